"""`relayctl swap`, again and again, while the suite runs."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.harness.relay import RELAYCTL

SWAP_EVERY_SECONDS: Final = 1.0
SWAP_SECONDS_MAX: Final = 120.0

_OVER: Final = re.compile(
    "No relay is running|it has ended|the relay ends|it ended|without an answer", re.IGNORECASE
)


@dataclass(slots=True)
class Swaps:
    """How many swaps were committed, and why others were not. Those of a relay that has ended, as
    its session has, are in neither.
    """

    committed: int = 0
    failed: list[str] = field(default_factory=list)

    def once(self, env: Mapping[str, str], project: Path) -> None:
        """Swap the relays that run now."""
        command = [sys.executable, "-c", RELAYCTL, "swap"]
        try:
            done = subprocess.run(
                command,
                env=env,
                cwd=project,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SWAP_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.failed.append(f"not done after {SWAP_SECONDS_MAX:g} s")
            return
        if done.returncode == os.EX_OK:
            self.committed += 1
        elif not _OVER.search(done.stdout + done.stderr):
            self.failed.append((done.stderr + done.stdout).strip())


@contextmanager
def swapping(swaps: Swaps, env: Mapping[str, str], project: Path) -> Iterator[None]:
    """Begin a swap each second meanwhile; one that takes longer delays the next."""
    stop = threading.Event()

    def swap() -> None:
        pause = SWAP_EVERY_SECONDS
        while not stop.wait(pause):
            begin = time.monotonic()
            swaps.once(env, project)
            pause = max(0.0, begin + SWAP_EVERY_SECONDS - time.monotonic())

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
