"""A new worker that fails while it serves on probation: the one before serves again, with all its
calls, and nobody takes the failed one a second time but by force.
"""

import os
import signal
from pathlib import Path
from typing import Final

import pytest

from tests.faults.impatient import SILENCE_SECONDS
from tests.faults.ordeal import HOOK, SECONDS_MAX, Ordeal, on_call, ordeal
from tests.harness import wait_until
from tests.integration.quick_release import quick_release

SILENT: Final = f"no sign of life for {SILENCE_SECONDS:g} s"

LONG: Final = {"probation_seconds": 60, "probation_calls": 1000}
IMPATIENT: Final = "tests.faults.impatient"

FAULTS: Final = {
    "is killed by a signal": ("os.kill(os.getpid(), 11)", "it was ended by signal 11"),
    "exits with 0": ("os._exit(0)", "it exited with status 0"),
    "closes its pipe": (
        "os.close(int(sys.argv[sys.argv.index('--fds') + 1].split(',')[1])); signal.pause()",
        "it closed its pipe",
    ),
    "is busy for ever": ("while True: pass", SILENT),
    "is stopped": ("os.kill(os.getpid(), signal.SIGSTOP)", SILENT),
}


def roll_back(one: Ordeal, *words: str) -> None:
    """Swap to the release `bad` and call it: it fails, with these words."""
    one.ask()
    swap = one.begin_swap("bad")
    one.wait_worker("active", 2)
    for _ in range(3):
        one.start()
    said = one.said(swap)
    assert (said.code, said.generation) == (1, 1), said.text
    for word in ("swap rolled back", *words):
        assert word in said.text
    one.settle()
    one.answer()
    one.assert_as_before()


@pytest.mark.parametrize(("body", "words"), FAULTS.values(), ids=FAULTS)
def test_one_that_fails_at_its_first_call(tmp_path: Path, body: str, words: str) -> None:
    """No backend has seen the call, nor those after it: the worker before carries them out."""
    with ordeal(tmp_path, module=IMPATIENT, **LONG) as one:
        quick_release(one.relay.home, "bad", main=on_call(body))
        roll_back(one, words)


def test_one_that_is_active_and_does_not_know(tmp_path: Path) -> None:
    """It hangs at the first thing it gets as the active one."""
    code = f"""{HOOK}
decode = v1.decode_to_worker
def decode_to_worker(header):
    message = decode(header)
    return signal.pause() if type(message) in (v1.Ping, v1.Call) else message
v1.decode_to_worker = decode_to_worker
"""
    with ordeal(tmp_path, module=IMPATIENT, **LONG) as one:
        quick_release(one.relay.home, "bad", main=code)
        roll_back(one, SILENT)


def test_one_that_is_killed_in_the_middle_of_calls(tmp_path: Path) -> None:
    """What its backend has been given may be lost, and is said to be; the rest is carried out."""
    with ordeal(tmp_path, **LONG) as one:
        one.ask()
        swap = one.begin_swap()
        pid = one.wait_worker("active", 2)
        begun = [one.call(seconds=0.5) for _ in range(8)]
        os.kill(pid, signal.SIGKILL)
        for _ in range(8):
            one.start()
        said = one.said(swap)
        assert (said.code, said.generation) == (1, 1), said.text
        assert "swap rolled back" in said.text and "ended by signal 9" in said.text
        one.settle(*begun)
        one.answer()
        one.assert_as_before()


def test_one_that_failed_is_refused_until_it_is_forced(tmp_path: Path) -> None:
    """Also by another relay of the same user, and nothing serves meanwhile but the one before."""
    with ordeal(tmp_path, module=IMPATIENT, **LONG) as one:
        quick_release(one.relay.home, "bad", main=on_call("os._exit(1)"))
        roll_back(one)
        for args in ((), ("--no-wait",)):
            said = one.swap("bad", *args)
            assert (said.code, said.generation) == (1, 1), said.text
            assert "failed before (it exited with status 1" in said.text
            assert "--force takes it all the same" in said.text
        state = one.relay.home.state
        wait_until((state / "refused.json").exists, SECONDS_MAX, "the refusal on the disk")
        with ordeal(tmp_path, env={"RELAY_STATE_DIR": str(state)}, **LONG) as other:
            assert "failed before" in other.swap("bad").text
        said = one.swap("bad", "--force", "--no-wait")
        assert (said.code, said.generation > 1) == (0, True), said.text
        assert one.relayctl("rollback").generation == 1
        one.assert_as_before()
