"""Backends outlive their worker: a swap, a rollback and its SIGKILL leave them running, with the
calls they work on, the questions they have asked, and all they remember.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ends import all_ready, own_status
from tests.harness import Relay, alive, fixture_backend, json_of, side_effects, text_of, wait_until
from tests.storm.disturbances import killer, replacer, swapper
from tests.storm.endurance import endure

SETTINGS = {"probation_seconds": 0}
SECONDS_MAX = 20.0


@contextmanager
def relay_with(backends: dict[str, Any], **more: Any) -> Iterator[Relay]:
    with Relay({"backends": backends, "relay": SETTINGS, **more}) as relay:
        all_ready(relay)
        yield relay


def swap(relay: Relay, *args: str, code: int = 0) -> None:
    done = relay.relayctl("swap", *args)
    assert done.returncode == code, done.stdout + done.stderr


def kill(relay: Relay) -> None:
    """SIGKILL the active worker, and wait for the next one."""
    before = active(relay)
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: active(relay, default=before) != before, SECONDS_MAX, "another worker")


def active(relay: Relay, default: Any = None) -> Any:
    found = [(w["generation"], w["pid"]) for w in workers(relay) if w["state"] == "active"]
    return {"generation": found[0][0], "pid": found[0][1]} if found else default


def workers(relay: Relay) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = own_status(relay)["workers"]
    return found


DISTURBANCES = {"swap": swap, "kill": kill}
disturbed = pytest.mark.parametrize("disturb", DISTURBANCES.values(), ids=DISTURBANCES)
Disturb = Callable[[Relay], None]


@disturbed
def test_a_backend_keeps_its_process_its_state_and_its_calls(
    tmp_path: Path, disturb: Disturb
) -> None:
    """A counter goes on counting, and a call under way is answered, once, with its progress."""
    log = tmp_path / "log"
    with relay_with({"fix": fixture_backend("--log", str(log))}) as relay:
        client = relay.client
        pid = json_of(client.call_tool("fix__pid"))["pid"]
        long_call = client.start_tool("fix__slow", {"seconds": 4, "steps": 40}, progress_token="p")
        counting = client.start_tool("fix__counter", {"tag": "long", "seconds": 4})
        for number in range(1, 4):
            disturb(relay)
            count = json_of(client.call_tool("fix__counter", {"tag": f"n{number}"}))["count"]
            assert count == number + 1, "it has forgotten the long one, or more"
        assert json_of(client.call_tool("fix__pid"))["pid"] == pid
        assert not client.response(long_call).result.get("isError")
        assert json_of(client.response(counting).result)["count"] > 0
        steps = [p["progress"] for p in client.notifications("notifications/progress")]
        assert steps == sorted(set(steps)) and len(steps) >= 39, "told twice, or not at all"
        tags = [entry["tag"] for entry in side_effects(log)]
        assert sorted(tags) == sorted({"long", "n1", "n2", "n3"})
        assert len(side_effects(log, "start")) == 1, "it was started again"


@disturbed
def test_a_question_stays_open_and_its_answer_reaches_who_asked(disturb: Disturb) -> None:
    with Relay({"backends": {"fix": fixture_backend()}, "relay": SETTINGS}) as relay:
        client = relay.client
        client.initialize(capabilities={"elicitation": {}})
        call = client.start_tool("fix__elicit", {"message": "name?"})
        asked = client.wait_request("elicitation/create")
        disturb(relay)
        assert client.notifications("notifications/cancelled") == []
        client.answer(asked, {"action": "accept", "content": {"name": "Ann"}})
        result = client.response(call).result
        assert not result.get("isError") and "Ann" in text_of(result)


@disturbed
def test_a_cancellation_reaches_the_backend(tmp_path: Path, disturb: Disturb) -> None:
    log = tmp_path / "log"
    with relay_with({"fix": fixture_backend("--log", str(log))}) as relay:
        client = relay.client
        call = client.start_tool("fix__slow", {"seconds": 30, "steps": 3, "tag": "unwanted"})
        client.call_tool("fix__echo", {"n": 1})
        disturb(relay)
        client.notify("notifications/cancelled", {"requestId": call})
        wait_until(lambda: side_effects(log, "cancelled"), SECONDS_MAX, "it to be told")
        assert not client.answered(call)


@disturbed
def test_large_frames_cross_whole(disturb: Disturb) -> None:
    """2 MB both ways, while the worker changes: no byte is lost, and none comes twice."""
    text = "relay " * 350_000
    with relay_with({"fix": fixture_backend(), "more": fixture_backend()}) as relay:
        for _ in range(3):
            calls = [
                relay.client.start_tool(f"{name}__echo", {"n": n, "text": text})
                for n in range(4)
                for name in ("fix", "more")
            ]
            disturb(relay)
            answers = [relay.client.response(call, 60.0).result for call in calls]
            unknown = [a for a in answers if a.get("isError")]
            assert len(unknown) <= (2 if disturb is kill else 0), "one per backend and kill"
            assert all(json_of(a)["text"] == text for a in answers if not a.get("isError"))


def test_a_swap_does_not_wait_for_backends_that_start_slowly() -> None:
    """Each needs far longer than the whole swap may take."""
    backends = {f"slow{n}": fixture_backend("--start-delay", "2") for n in range(5)}
    with relay_with(backends) as relay:
        pids = {name: relay.backend(name)["pid"] for name in backends}
        swap(relay)
        seconds = own_status(relay)["last_swap"]["seconds"]
        assert seconds < 2, "it has waited for a backend"
        assert {name: relay.backend(name)["pid"] for name in backends} == pids


def test_a_backend_in_the_middle_of_its_start_is_not_started_again(tmp_path: Path) -> None:
    """The swap comes while it is being initialised; the call that waits for it is answered."""
    log = tmp_path / "log"
    backends = {"slow": fixture_backend("--start-delay", "2", "--log", str(log))}
    with Relay({"backends": backends, "relay": SETTINGS}) as relay:
        relay.client.initialize()
        call = relay.client.start_tool("slow__echo", {"n": 1})
        wait_until(lambda: side_effects(log, "start"), SECONDS_MAX, "its process")
        swap(relay)
        swap(relay)
        assert json_of(relay.client.response(call).result) == {"n": 1}
        assert len(side_effects(log, "start")) == 1


def test_changed_new_and_removed_backends(tmp_path: Path) -> None:
    """The changed one is started anew, and its call is finished by the process that has it."""
    log = str(tmp_path / "log")
    old = {n: fixture_backend("--log", log, "--name", n) for n in ("same", "changed", "removed")}
    with relay_with(old) as relay:
        client = relay.client
        pids = {name: json_of(client.call_tool(f"{name}__pid"))["pid"] for name in old}
        calls = [client.start_tool(f"{n}__slow", {"seconds": 3, "steps": 3, "tag": n}) for n in old]
        new = {
            "same": old["same"],
            "changed": fixture_backend("--log", log, "--name", "other"),
            "new": fixture_backend("--log", log, "--name", "new"),
        }
        relay.home.write_config({"backends": new, "relay": SETTINGS})
        swap(relay)
        assert json_of(client.call_tool("same__pid"))["pid"] == pids["same"]
        assert json_of(client.call_tool("changed__pid"))["pid"] != pids["changed"]
        assert not client.call_tool("new__echo", {}).get("isError")
        for name, call in zip(old, calls, strict=True):
            assert text_of(client.response(call).result) == f"slow {name}"
        wait_until(lambda: not alive(pids["removed"]), SECONDS_MAX, "the removed one to end")
        wait_until(lambda: not alive(pids["changed"]), SECONDS_MAX, "the old one to end")


def test_a_rollback_gives_them_back() -> None:
    settings = {"probation_seconds": 60, "probation_calls": 1000}
    with Relay({"backends": {"fix": fixture_backend()}, "relay": settings}) as relay:
        all_ready(relay)
        client = relay.client
        pid = json_of(client.call_tool("fix__pid"))["pid"]
        call = client.start_tool("fix__slow", {"seconds": 4, "steps": 2, "tag": "x"})
        swap(relay, "--no-wait")
        assert json_of(client.call_tool("fix__pid"))["pid"] == pid
        done = relay.relayctl("rollback")
        assert done.returncode == 0, done.stderr
        assert json_of(client.call_tool("fix__pid"))["pid"] == pid
        swap(relay, "--no-wait")
        os.kill(active(relay)["pid"], signal.SIGKILL)  # and one that fails on probation
        assert json_of(client.call_tool("fix__pid"))["pid"] == pid
        assert text_of(client.response(call).result) == "slow x"


@disturbed
def test_a_subscription_is_never_given_up_in_between(disturb: Disturb) -> None:
    """What changed meanwhile would not be heard of."""
    with relay_with({"fix": fixture_backend()}) as relay:
        relay.client.request("resources/subscribe", {"uri": "fixture://text"})
        disturb(relay)
        seen = json_of(relay.client.call_tool("fix__seen"))
        assert seen["subscriptions"] == ["fixture://text"]
        assert "resources/unsubscribe" not in seen["methods"]


def test_a_client_that_does_not_read_loses_nothing() -> None:
    """Far more than a mailbox for such small frames holds is waiting; then all of it is read."""
    settings = {**SETTINGS, "frame_bytes_max": 65_536}
    with Relay({"backends": {"fix": fixture_backend()}, "relay": settings}) as relay:
        all_ready(relay)
        arguments = {"bytes": 60_000, "fill": "ab"}
        relay.client.child.pause_reading()
        calls = [relay.client.start_tool("fix__big", arguments) for _ in range(400)]
        relay.client.child.resume_reading()
        for call in calls:
            assert len(text_of(relay.client.response(call, 30.0).result)) == 60_000


def test_the_last_words_of_a_backend_are_heard_by_the_next_worker() -> None:
    """It answers and dies while its worker is stopped, which is then killed."""
    with relay_with({"fix": fixture_backend()}) as relay:
        worker = active(relay)["pid"]
        pid = json_of(relay.client.call_tool("fix__pid"))["pid"]
        os.kill(pid, signal.SIGSTOP)
        dying = relay.client.start_tool("fix__die_after")
        own_status(relay)  # the worker has given it to the backend before it answers this
        os.kill(worker, signal.SIGSTOP)
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: not alive(pid), SECONDS_MAX, "the backend to die")
        os.kill(worker, signal.SIGKILL)
        assert text_of(relay.client.response(dying).result) == "last words"


def test_stderr_is_read_while_no_worker_is_up(tmp_path: Path) -> None:
    """Or the backend would stop for want of a reader; and it is kept."""
    with relay_with({"fix": fixture_backend()}) as relay:
        call = relay.client.start_tool("fix__slow", {"seconds": 1, "steps": 1, "tag": "x"})
        flood = relay.client.start_tool("fix__stderr_flood", {"bytes": 500_000})
        kill(relay)
        assert text_of(relay.client.response(call).result) == "slow x"
        assert relay.client.response(flood)


def test_one_session_through_everything(tmp_path: Path) -> None:
    """Swaps, kills and re-execs, a few here; `make storm --mode endure` does hundreds."""
    log = tmp_path / "log"
    with relay_with({"fix": fixture_backend("--log", str(log))}) as relay:
        trials = [("swaps", swapper(relay), 3), ("kills", killer(relay), 2)]
        shown = endure(relay, "fix", log, [*trials, ("reexecs", replacer(relay), 3)], seconds=3.0)
        assert shown["faults"] == []
