"""How the tests replace a supervisor's code: asking for it, and with code that is broken."""

import os
from pathlib import Path
from typing import Any

import msgspec

from relay_supervisor.ctl.client import find
from relay_supervisor.ctl.conversation import converse
from relay_supervisor.wire.control_v1 import Request
from tests.harness import Relay, RelayHome
from tests.integration.quick_release import quick_release

NOT_IN_THE_CHECK = 'import sys\nif "--self-check" not in sys.argv:\n    '
"""In front of what a supervisor's main module is to do only once it takes over."""


def reexec(relay: Relay, **args: Any) -> dict[str, Any]:
    """Ask for other code, and wait for the end of it; returns the relay's account."""
    (path,) = find(relay.env["RELAY_RUNTIME_DIR"], os.getuid())
    *_, last = (reply for reply in converse(path, Request("reexec", args=args)) if reply)
    if last.error is not None:
        return {"outcome": "refused", "reason": last.error.message, "code": last.error.code}
    result: dict[str, Any] = msgspec.json.decode(bytes(last.result))
    return result


def supervisor_release(
    home: RelayHome, name: str, *, main: str = "", edit: tuple[str, str, str] | None = None
) -> dict[str, str]:
    """Make a release whose supervisor is version 9.9.9; return the arguments that ask for it.

    main: put at the beginning of its main module.
    edit: a file below relay_supervisor, what to replace in it, and with what.
    """
    path = quick_release(home, name)
    (package,) = path.glob("lib/python*/site-packages/relay_supervisor")
    _edit(package / "__init__.py", '__version__ = "0.1.0"', '__version__ = "9.9.9"')
    module = package / "main.py"
    module.write_text(main + "\n" + module.read_text())
    if edit is not None:
        _edit(package / edit[0], edit[1], edit[2])
    return {"python": str(path / "bin" / "python"), "release": name}


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} in {path}"
    path.write_text(text.replace(old, new))


def descriptors(relay: Relay) -> dict[str, int]:
    """How many descriptors the supervisor has, by what they point at; Linux only."""
    found: dict[str, int] = {}
    for entry in Path(f"/proc/{relay.pid}/fd").iterdir():
        kind = os.readlink(entry).partition(":")[0].partition(" ")[0]
        found[kind] = found.get(kind, 0) + 1
    return found
