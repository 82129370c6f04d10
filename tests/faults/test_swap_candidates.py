"""A new worker that fails before it serves: the old one goes on as if nobody had tried.

Each is a release that is sound but for one fault, and is swapped to while a call is under way.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.faults.ordeal import HOOK, SECONDS_MAX, Ordeal, on_message, ordeal
from tests.harness import stopwatch
from tests.integration.quick_release import quick_release

READY_SECONDS_MAX: Final = 1.5

FAILED: Final = "swap failed"
HANG: Final = "signal.pause()"

EXITS: Final = {
    "before the handshake": f"{HOOK}os._exit(STATUS)\n",
    "when configured": on_message("Configured", "os._exit(STATUS)"),
    "when it is to be ready": on_message("Ready", "os._exit(STATUS)"),
}
STATUSES: Final = (0, 125)

IMPOSTORS: Final = {
    "ready with another nonce": on_message(
        "Ready", "_send(self, v1.Ready(message.generation, 'not the nonce'))"
    ),
    "ready for another generation": on_message(
        "Ready", "_send(self, v1.Ready(message.generation - 1, message.nonce))"
    ),
}

HANGS: Final = {
    "before it reads hello": (f"{HOOK}{HANG}\n", "handshaking"),
    "instead of welcome": (
        f"{HOOK}Pipe.send_header = lambda self, header, *payload: {HANG}\n",
        "handshaking",
    ),
    "instead of configured": (on_message("Configured", HANG), "warming"),
    "instead of ready": (on_message("Ready", HANG), "warming"),
}


def refuse(one: Ordeal, code: str, *words: str) -> str:
    """Swap to a release with *code* in its worker: nothing comes of it, with these words, and the
    client sees nothing of it; return all that was said.
    """
    name = f"bad{len(list(one.relay.home.state.glob('releases/*')))}"
    quick_release(one.relay.home, name, main=code)
    one.ask()
    said = one.swap(name)
    assert (said.code, said.generation) == (1, 1), said.text
    for word in words:
        assert word in said.text
    one.answer()
    one.assert_as_before()
    return said.text


@pytest.mark.parametrize("code", EXITS.values(), ids=EXITS)
def test_one_that_exits(tmp_path: Path, code: str) -> None:
    """With whatever status: a success is none, if it comes before it serves."""
    with ordeal(tmp_path) as one:
        for status in STATUSES:
            refuse(one, code.replace("STATUS", str(status)), FAILED, f"exited with status {status}")


def test_one_that_is_ready_in_the_name_of_another(tmp_path: Path) -> None:
    with ordeal(tmp_path) as one:
        for code in IMPOSTORS.values():
            refuse(one, code, FAILED, "another generation")


@pytest.mark.parametrize(("code", "state"), HANGS.values(), ids=HANGS)
def test_one_that_hangs(tmp_path: Path, code: str, state: str) -> None:
    """It is given up at `ready_seconds_max`, in whatever state it is."""
    with ordeal(tmp_path, ready_seconds_max=READY_SECONDS_MAX) as one:
        took = stopwatch()
        limit = f"it was not ready within {READY_SECONDS_MAX:g} s (ready_seconds_max)"
        text = refuse(one, code, FAILED, limit)
        assert READY_SECONDS_MAX <= took() < SECONDS_MAX
        phases = [line.split()[0] for line in text.splitlines()]
        assert phases[phases.index("failed") - 1] == state


@pytest.mark.parametrize("where", ["instead of welcome", "instead of configured"])
def test_one_that_hangs_in_a_state_with_a_limit_of_its_own(tmp_path: Path, where: str) -> None:
    """However long it may take until it is ready: what takes time comes after these."""
    code, state = HANGS[where]
    with ordeal(tmp_path, module="tests.faults.impatient") as one:
        refuse(one, code, FAILED, f"it was {state} for too long")


def test_one_that_hangs_once_it_is_ready(tmp_path: Path) -> None:
    """It says no more how its backend is, and cannot take one over: whatever it still lacks, it is
    not kept.
    """
    code = on_message("Ready", f"_send(self, message); self.flush_last(); {HANG}")
    with ordeal(tmp_path, ready_seconds_max=READY_SECONDS_MAX) as one:
        text = refuse(one, code)
        assert FAILED in text or "swap rolled back" in text
