"""Pairs of code and configuration that failed before: kept by the workers, passed on to relays.

<state directory>/refused.json    {"BUILD CONFIG_DIGEST": {"reason": …, "at": …}, …}
"""

from pathlib import Path
from typing import Final

import msgspec

from relay_supervisor.ctl.words import clean

FILE_BYTES_MAX: Final = 1 << 20
REFUSED_MAX: Final = 64
REASON_CHARS_MAX: Final = 200
"""All of them together have to fit into one control request."""


class _Entry(msgspec.Struct, frozen=True):
    reason: str = ""


def as_argument(state_dir: str) -> str:
    """Return the JSON list that `swap` takes; the last ones where there are too many, none where
    the file is missing or cannot be read (the relays then remember their own).
    """
    try:
        with open(Path(state_dir) / "refused.json", "rb") as file:
            content = file.read(FILE_BYTES_MAX)
        entries = msgspec.json.decode(content, type=dict[str, _Entry])
    except (OSError, msgspec.MsgspecError, RecursionError):
        return "[]"
    listed = []
    for key, entry in list(entries.items())[-REFUSED_MAX:]:
        build, _, config_digest = key.rpartition(" ")
        reason = clean(entry.reason)[:REASON_CHARS_MAX]  # a control character takes seven bytes
        listed.append({"build": build, "config_digest": config_digest, "reason": reason})
    return msgspec.json.encode(listed).decode()
