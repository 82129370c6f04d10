"""The relay ends in the middle of a swap: all of it is gone in time, whoever waits is told.

Backends ignore the end of their input and SIGTERM, and so do the workers that are to fail.
"""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.faults.ends import EOF_SECONDS, SIGNAL_SECONDS, STUBBORN, assert_ends_within
from tests.faults.ordeal import HOOK, SECONDS_MAX, Ordeal, on_message, ordeal
from tests.harness import Relay
from tests.integration.quick_release import quick_release

DEAF: Final = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"

CODES: Final = {
    "handshaking": f"{HOOK}{DEAF}\nsignal.pause()\n",
    "warming": on_message("Ready", f"{DEAF}; signal.pause()"),
    "active": HOOK,
}

ENDS: Final[dict[str, tuple[Callable[[Relay], object], float]]] = {
    "eof": (lambda relay: relay.client.close_stdin(), EOF_SECONDS),
    "sigterm": (lambda relay: relay.client.child.send_signal(signal.SIGTERM), SIGNAL_SECONDS),
}


def end(one: Ordeal, how: str) -> None:
    """End the relay: in time, and nothing is left."""
    action, seconds = ENDS[how]
    # The supervisor, two workers, a backend at least.
    assert_ends_within(one.relay, lambda: action(one.relay), seconds, 4)


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize(("state", "code"), CODES.items(), ids=CODES)
def test_the_relay_ends_during_a_swap(tmp_path: Path, state: str, code: str, how: str) -> None:
    with ordeal(tmp_path, flags=STUBBORN, probation_seconds=60) as one:
        quick_release(one.relay.home, "bad", main=code)
        one.ask()
        swap = one.begin_swap("bad")
        one.wait_worker(state, 2)
        end(one, how)
        done = swap.result(SECONDS_MAX)
        assert done.returncode == 1, done.stdout
        assert "swap failed after" in done.stdout and "the relay ends" in done.stdout
