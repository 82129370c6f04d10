"""Signals and deaths around every step of a re-exec: none is lost, and none ends what should live.

The new code waits at its import for the test to let it on: all that happens meanwhile happens
between two process images.
"""

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.faults.ends import (
    EOF_SECONDS,
    SIGNAL_SECONDS,
    all_ready,
    allowed,
    own_status,
    seconds_until_gone,
)
from tests.faults.succession import NOT_IN_THE_CHECK, reexec, supervisor_release
from tests.harness import Relay, RelayHome, fixture_backend, json_of, text_of, wait_until

HARMLESS = (signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT, signal.SIGURG)


@contextmanager
def between_two_images(relay: Relay, home: RelayHome, folder: Path) -> Iterator[None]:
    """Ask for other code, and let the block run while nobody serves."""
    gate, there = folder / "gate", folder / "there"
    os.mkfifo(gate)
    wait = f"open({str(there)!r}, 'w').close(); open({str(gate)!r}).close()"
    args = supervisor_release(home, "slow", main=NOT_IN_THE_CHECK + wait)
    asking = threading.Thread(target=reexec, args=(relay,), kwargs=args, daemon=True)
    asking.start()
    wait_until(there.exists, 20.0, "the new code to wait")
    try:
        yield
    finally:
        gate.open("w").close()
    asking.join(20.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_between_two_images_is_heeded_after(tmp_path: Path, number: int) -> None:
    home = RelayHome.make()
    with Relay({"backends": {"fix": fixture_backend()}}, home=home) as relay:
        all_ready(relay)
        family = psutil.Process(relay.pid).children(recursive=True)
        with between_two_images(relay, home, tmp_path):
            os.kill(relay.pid, number)
        _, left = psutil.wait_procs(family, timeout=allowed(EOF_SECONDS))
        assert not left
        assert relay.ended_by(lambda: None) == 0
    home.remove()


def test_children_that_die_between_two_images_are_reaped_and_replaced(tmp_path: Path) -> None:
    """A worker and a backend: what was under way is answered, and both are started again."""
    home = RelayHome.make()
    with Relay({"backends": {"fix": fixture_backend()}}, home=home) as relay:
        all_ready(relay)
        before = own_status(relay)
        pids = {before["workers"][0]["pid"]} | {b["pid"] for b in before["backends"]} - {None}
        call = relay.client.start_tool("fix__slow", {"seconds": 30})
        wait_until(lambda: own_status(relay)["calls"]["in_flight"] >= 1, 5.0, "the call")
        with between_two_images(relay, home, tmp_path):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        answer = relay.client.response(call).result
        assert answer["isError"] and "may have run" in text_of(answer)
        assert json_of(relay.client.call_tool("fix__echo", {"n": 1})) == {"n": 1}
        zombies = [
            child.pid
            for child in psutil.Process(relay.pid).children()
            if child.status() == psutil.STATUS_ZOMBIE
        ]
        assert zombies == [] and own_status(relay)["supervisor"]["version"] == "9.9.9"
    home.remove()


def test_what_the_client_says_between_two_images_is_answered_after(tmp_path: Path) -> None:
    home = RelayHome.make()
    with Relay({"backends": {"fix": fixture_backend()}}, home=home) as relay:
        all_ready(relay)
        with between_two_images(relay, home, tmp_path):
            calls = [relay.client.start_tool("fix__echo", {"n": n}) for n in range(50)]
        assert [json_of(relay.client.response(c).result)["n"] for c in calls] == list(range(50))
    home.remove()


def test_a_client_that_goes_between_two_images_is_noticed_after(tmp_path: Path) -> None:
    home = RelayHome.make()
    with Relay({"backends": {"fix": fixture_backend()}}, home=home) as relay:
        all_ready(relay)
        with between_two_images(relay, home, tmp_path):
            relay.client.close_stdin()
        assert relay.ended_by(lambda: None) == 0
    home.remove()


def test_a_storm_of_signals_that_mean_nothing_ends_nothing() -> None:
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        over, pause, chance = threading.Event(), threading.Event(), random.Random(1)

        def storm() -> None:
            while not over.is_set():
                os.kill(relay.pid, chance.choice(HARMLESS))
                pause.wait(0.0005)

        thread = threading.Thread(target=storm)
        thread.start()
        try:
            for n in range(20):
                assert reexec(relay)["outcome"] == "committed"
                assert json_of(relay.client.call_tool("fix__echo", {"n": n})) == {"n": n}
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_a_signal_at_any_time_of_it_ends_all_in_time(share: float) -> None:
    """Without a gate: the new code takes the time it takes, and the client's patience holds."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        took = sum(seconds for _, seconds in reexec(relay)["phases"][-1:])
        asking = threading.Thread(target=try_reexec, args=(relay,), daemon=True)
        asking.start()
        threading.Event().wait(took * share)
        gone = seconds_until_gone(relay, lambda: os.kill(relay.pid, signal.SIGTERM), 3)
        assert relay.ended_by(lambda: None) == 0
        assert gone <= allowed(SIGNAL_SECONDS)
        asking.join(20.0)


def try_reexec(relay: Relay) -> None:
    """Ask for other code, of a relay that may end before it has any."""
    try:
        reexec(relay)
    except Exception:  # noqa: BLE001 - that it ends is what is wanted
        return
