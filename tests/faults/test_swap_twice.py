"""A second swap, or a rollback, while one is under way: refused, superseded or given up, and
whoever waits for one of them is told what has become of it.
"""

import os
import socket
from pathlib import Path
from typing import Final

from relay_supervisor.ctl.client import find
from tests.faults.ordeal import on_message, ordeal
from tests.integration.quick_release import quick_release

NEVER_READY: Final = on_message("Ready", "signal.pause()")


def test_a_second_one_while_a_candidate_is_prepared(tmp_path: Path) -> None:
    """It is refused, as are all after it. A rollback gives the first one up, and both are told."""
    with ordeal(tmp_path) as one:
        quick_release(one.relay.home, "slow", main=NEVER_READY)
        one.ask()
        first = one.begin_swap("slow")
        one.wait_worker("warming", 2)
        for other in [one.begin_swap(*args) for args in ((), ("slow",), ("--force",))]:
            said = one.said(other)
            assert (said.code, said.generation) == (1, 1), said.text
            assert "a swap is under way already" in said.text
        assert not first.done()
        back = one.relayctl("rollback")
        assert (back.code, back.generation) == (0, 1), back.text
        said = one.said(first)
        assert (said.code, said.generation) == (1, 1), said.text
        assert "asked for by relayctl rollback" in said.text
        one.answer()
        one.assert_as_before()


def test_a_second_one_during_the_probation(tmp_path: Path) -> None:
    """The first one has failed then. Calls of all three workers are answered."""
    with ordeal(tmp_path, probation_seconds=60, probation_calls=3) as one:
        one.ask()
        first = one.begin_swap()
        one.wait_worker("active", 2)
        one.call(seconds=0.5)
        second = one.begin_swap()
        one.wait_worker("active", 3)
        one.call(seconds=0.5)
        said = one.said(first)
        assert (said.code, said.generation) == (1, 3), said.text
        assert "superseded by swap 2" in said.text
        assert not second.done() and one.status()["last_swap"]["outcome"] == "probation"
        one.call()
        one.call()
        said = one.said(second)
        assert (said.code, said.generation) == (0, 3), said.text
        one.settle()
        one.answer()
        one.assert_as_before()


def test_who_asked_for_it_is_gone(tmp_path: Path) -> None:
    """A relayctl that is killed does not stop what it has begun."""
    with ordeal(tmp_path) as one:
        one.ask()
        (path,) = find(str(one.relay.home.runtime), os.getuid())
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(b'{"op":"swap"}\n')
        one.wait_worker("active", 2)
        one.answer()
        one.assert_as_before()
        assert one.status()["last_swap"]["outcome"] == "committed"
