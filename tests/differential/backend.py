"""The server of the sessions on stdio: `python -m tests.differential.backend ERA HOUSE RECEIVED`.

HOUSE is a JSON file with its lists; every line it reads goes to the file RECEIVED, unchanged,
before anything is done about it.
"""

import json
import os
import sys
from pathlib import Path

from tests.differential.player import Player


def main(era: str, house: Path, received: Path) -> None:
    """Serve until stdin ends."""
    player = Player(era, json.loads(house.read_text(encoding="utf-8")), say)
    with received.open("ab", buffering=0) as file:
        for line in sys.stdin.buffer:
            file.write(line)
            player.hear(line.decode())


def say(_about: str, message: str) -> None:
    """Write a message."""
    data = memoryview(message.encode() + b"\n")
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
