"""An old worker that does not go: what it has under way is answered, the new one serves all the
while, and in the end nothing of the old one is left.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.faults.ends import SIGNAL_SECONDS, assert_ends_within
from tests.faults.ordeal import SECONDS_MAX, on_message, ordeal
from tests.harness import RelayHome, alive, wait_until
from tests.integration.quick_release import quick_release

IMPATIENT: Final = "tests.faults.impatient"

DEAF: Final = (
    on_message(
        "Configured",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); _send(self, message, *payload)",
    )
    + """
decode = v1.decode_to_worker
def decode_to_worker(header):
    message = decode(header)
    return v1.Ping(0) if type(message) is v1.Retire else message
v1.decode_to_worker = decode_to_worker
"""
)
"""It takes no order to retire, and ignores SIGTERM."""


def first_is(code: str) -> Callable[[RelayHome], None]:
    """For `ordeal`: the first worker is of a release with this code."""

    def prepare(home: RelayHome) -> None:
        quick_release(home, "first", main=code)
        (home.state / "releases" / "current").write_text("first\n")

    return prepare


def test_one_that_is_deaf(tmp_path: Path) -> None:
    """It is killed."""
    with ordeal(tmp_path, prepare=first_is(DEAF)) as one:
        old = one.wait_worker("active", 1)
        one.call(seconds=0.5)
        said = one.swap("installed")
        assert (said.code, said.generation) == (0, 2), said.text
        one.settle()
        wait_until(lambda: not alive(old), SECONDS_MAX, "the old worker's end")
        one.assert_as_before()


def test_one_that_is_deaf_when_the_relay_ends(tmp_path: Path) -> None:
    """It is not waited for."""
    with ordeal(tmp_path, prepare=first_is(DEAF)) as one:
        old = one.wait_worker("active", 1)
        assert one.swap("installed").code == 0
        assert alive(old)
        terminate = lambda: one.client.child.send_signal(signal.SIGTERM)  # noqa: E731
        assert_ends_within(one.relay, terminate, SIGNAL_SECONDS, 4)


def test_one_that_hangs_with_calls(tmp_path: Path) -> None:
    """It is given up; what it was given and did not answer may be lost, and is said to be."""
    with ordeal(tmp_path, module=IMPATIENT) as one:
        old = one.wait_worker("active", 1)
        begun = [one.call(seconds=30.0) for _ in range(4)]  # none ends before its worker hangs
        one.change_backend()
        swap = one.begin_swap()
        one.wait_worker("active", 2)
        os.kill(old, signal.SIGSTOP)
        for _ in range(4):
            one.start()
        said = one.said(swap)
        assert (said.code, said.generation) == (0, 2), said.text
        one.settle(*begun)
        wait_until(lambda: not alive(old), SECONDS_MAX, "the old worker's end")
        one.assert_as_before()
