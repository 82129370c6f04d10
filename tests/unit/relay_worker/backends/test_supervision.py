"""A backend's life: every way it starts, ends, waits and is told of, on a clock of our own."""

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage as Reached
from relay_worker.backends.base import State
from tests.unit.relay_worker.backends.stage import Stage

Make = Callable[..., Stage]


def test_from_the_client_to_ready(stage: Make) -> None:
    one = stage()
    assert one.spawn.argv[0].endswith("/sh") and one.spawn.argv[1:] == ["-c", "x"]
    process = one.connect(tools=({"name": "t"},))
    assert one.states == [State.SPAWNING, State.CONNECTING, State.READY]
    assert one.backend.pid == process.pid and process.pid in one.around.life.groups
    assert one.backend.lists is not None and one.learned_times == 1
    assert one.backend.restarts == 0 and one.backend.last_error is None


def test_without_a_client_or_enabled_nothing_starts(stage: Make) -> None:
    assert stage(client=False).sent == []
    one = stage(enabled=False)
    assert one.sent == [] and one.backend.state is State.DISABLED
    one.backend.want()
    assert one.sent == [] and "disabled" in one.backend.trouble


def test_a_lazy_backend_starts_for_its_lists_or_for_a_call(stage: Make) -> None:
    one = stage(lazy=True)
    assert one.count(v1.Spawn) == 1
    lists = one.backend.lists
    two = stage(lazy=True, client=False)
    one.connect()
    lists = one.backend.lists
    two.backend.lists = lists
    two.introduce()
    assert two.sent == [] and two.backend.state is State.IDLE
    two.backend.want()
    two.backend.want()
    assert two.count(v1.Spawn) == 1


def test_a_death_while_ready(stage: Make) -> None:
    one = stage()
    process = one.connect()
    assert one.backend.call(7, "tools/call", b"{}") is None
    assert one.backend.call(8, "tools/call", b"{}") is None
    one.turn()
    process.heard()
    process.say(id=8, result={})
    one.exit(-9)
    assert one.told[-2][:2] == ("replied", 8), "its last words are heard"
    assert one.told[-1] == ("lost", [7], "it was ended by SIGKILL")
    assert one.backend.state is State.BACKING_OFF and one.backend.pid is None
    assert process.pid not in one.around.life.groups
    one.wait(0.9)
    assert one.count(v1.Spawn) == 1
    one.wait(0.2)
    assert one.count(v1.Spawn) == 2
    one.connect()
    assert one.backend.restarts == 1 and one.backend.last_error == "it was ended by SIGKILL"
    assert one.learned_times == 1, "its lists are the same"


def test_an_exit_that_the_end_of_a_pipe_announces_is_waited_for(stage: Make) -> None:
    one = stage()
    process = one.connect()
    one.backend.call(7, "tools/call", b"{}")
    one.turn()
    process.heard()
    process.close("stdout")
    one.turn()
    assert one.backend.state is State.FALLEN and one.told == []
    assert one.count(v1.StopBackend) == 0
    one.exit(3)
    assert one.told == [("lost", [7], "it exited with status 3")]
    assert one.backend.last_error == "it exited with status 3"


def test_a_process_that_lingers_is_ended_and_its_calls_are_answered(stage: Make) -> None:
    one = stage()
    process = one.connect()
    one.backend.call(7, "tools/call", b"{}")
    one.turn()
    process.close("stdout")
    one.turn()
    one.wait(0.11)
    assert one.backend.state is State.ENDING and one.told == []
    assert one.sent[-1] == v1.StopBackend("fix", process.pid)
    one.wait(0.6)
    assert one.told == [("lost", [7], "it closed its output")]
    one.backend.want()
    one.wait(3600)
    assert one.count(v1.Spawn) == 1, "never two processes of one backend"
    one.exit(-15)
    assert one.backend.state is State.BACKING_OFF
    assert one.backend.last_error == "it closed its output; it was ended by SIGTERM"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="told by Linux only")
def test_calls_that_no_process_has_read_are_told_apart(stage: Make) -> None:
    one = stage()
    for call in range(7, 11):
        one.ledger.take(call)
    process = one.connect()
    process.heard()
    one.backend.call(7, "tools/call", b"{}")
    one.turn()
    process.heard()
    one.backend.call(8, "tools/call", b"{}")
    one.turn()
    assert process.stdin is not None
    os.read(process.stdin, 5)
    one.backend.call(9, "tools/call", b"{}")
    one.turn()
    one.backend.call(10, "tools/call", b"{}")
    one.exit(-9)
    assert one.told == [
        ("lost", [7, 8], "it was ended by SIGKILL"),
        ("unread", [9, 10], "it was ended by SIGKILL"),
    ]
    stages = one.ledger.read()
    assert {stages[call] for call in (9, 10)} == {Reached.RECEIVED}, "no backend has seen them"


def test_while_anybody_may_still_read_a_call_counts_as_read(stage: Make) -> None:
    one = stage()
    process = one.connect()
    heir = os.dup(process.stdin or 0)
    one.backend.call(7, "tools/call", b"{}")
    one.turn()
    one.exit(-9)
    os.close(heir)
    assert one.told == [("lost", [7], "it was ended by SIGKILL")]


def test_the_delays_grow_then_it_is_given_up_until_a_call_wants_it(stage: Make) -> None:
    one = stage()
    for delay in (1, 2, 4):
        one.start_process()
        one.exit(1)
        assert one.backend.state is State.BACKING_OFF
        spawns = one.count(v1.Spawn)
        one.wait(delay - 0.1)
        assert one.count(v1.Spawn) == spawns
        one.wait(0.2)
        assert one.count(v1.Spawn) == spawns + 1
    one.start_process()
    one.exit(1)
    assert one.backend.state is State.FAILED
    one.wait(3600)
    assert one.count(v1.Spawn) == 4
    one.backend.want()
    assert one.backend.state is State.SPAWNING
    one.refuse("still no")
    assert one.backend.state is State.FAILED, "one attempt per call"
    assert one.backend.last_error == "it could not be started: still no"
    one.backend.want()
    one.connect()
    assert one.backend.state is State.READY


def test_a_backend_that_ran_long_enough_starts_anew(stage: Make) -> None:
    one = stage()
    for _ in range(10):
        one.connect()
        one.wait(61)
        one.exit(1)
        one.wait(1.1)
    assert one.backend.state is State.SPAWNING and one.backend.restarts == 10


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        ({"argv": ("nothing-such",)}, "was not found on PATH"),
        ({"cwd": "/nowhere"}, "does not exist (cwd)"),
        ({"argv": ("sh", "x" * (5 << 20))}, "over the limit"),
    ],
)
def test_what_cannot_be_started_fails_at_once(
    stage: Make, plan: dict[str, Any], error: str
) -> None:
    one = stage(**plan)
    assert one.backend.state is State.FAILED and error in one.backend.trouble
    assert one.sent == []
    one.backend.want()
    assert one.backend.state is State.FAILED


def test_the_start_timeout_covers_spawn_initialize_and_lists(stage: Make) -> None:
    one = stage(start_timeout_seconds=10.0)
    process = one.start_process()
    one.wait(9)
    (request,) = process.heard()
    result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}}
    process.say(id=request["id"], result=result)
    one.turn()
    one.wait(1.1)
    assert one.backend.state is State.ENDING
    assert one.backend.last_error is not None and "within 10 s" in one.backend.last_error
    assert one.sent[-1] == v1.StopBackend("fix", process.pid)
    one.exit(-15)
    assert one.backend.last_error.endswith("(start_timeout_seconds); it was ended by SIGTERM")


def test_a_supervisor_that_does_not_answer_is_named(stage: Make) -> None:
    one = stage(start_timeout_seconds=10.0)
    one.wait(11)
    assert one.backend.state is State.SPAWNING
    assert one.backend.last_error == (
        "the supervisor did not start it within 10 s (start_timeout_seconds)"
    )


def test_learning_ends_with_the_lists_or_with_the_start_timeout(stage: Make) -> None:
    one = stage(start_timeout_seconds=10.0)
    assert one.backend.learning
    one.connect()
    assert not one.backend.learning
    two = stage(start_timeout_seconds=10.0)
    for _ in range(2):
        two.refuse()
        assert two.backend.learning
        two.wait(2.1)
    two.wait(7)
    assert not two.backend.learning


def test_descriptors_that_do_not_come_are_a_failed_start(stage: Make) -> None:
    one = stage()
    one.backend.spawned(v1.Spawned(one.spawn.token, "fix", 4711))
    assert one.backend.state is State.ENDING and one.backend.last_error == "none came"
    assert one.sent[-1] == v1.StopBackend("fix", 4711)
    one.backend.exited(v1.Exited("fix", 4711, -15))
    assert one.backend.state is State.BACKING_OFF


def test_messages_about_other_processes_change_nothing(stage: Make) -> None:
    one = stage()
    one.connect()
    one.backend.exited(v1.Exited("fix", 1, 0))
    one.backend.spawned(v1.Spawned(99, "fix", 1))
    one.backend.refused(v1.SpawnRefused(99, "fix", "no"))
    assert one.backend.state is State.READY


def test_an_idle_backend_stops_but_not_under_a_call(stage: Make) -> None:
    one = stage(idle_stop_seconds=10.0)
    process = one.connect()
    one.wait(9)
    one.backend.call(7, "tools/call", b"{}")
    one.wait(100)
    assert one.backend.state is State.READY
    process.say(id=7, result={})
    one.turn()
    one.wait(9)
    assert one.backend.state is State.READY
    one.wait(2)
    assert one.backend.state is State.STOPPING
    one.backend.want()
    one.exit(0)
    assert one.backend.state is State.IDLE and one.told[-1][0] == "replied"
    one.backend.want()
    one.connect()
    assert one.backend.restarts == 0 and one.backend.last_error is None


def test_a_subscribed_backend_is_not_stopped(stage: Make) -> None:
    one = stage(idle_stop_seconds=10.0)
    one.connect(resources={"subscribe": True})
    one.backend.subscribe(frozenset({"a://b"}))
    one.wait(100)
    assert one.backend.state is State.READY
    one.backend.subscribed("a://b", wanted=False)
    one.wait(100)
    one.wait(100)
    assert one.backend.state is State.STOPPING


def test_another_client_means_another_process_unless_a_call_is_under_way(stage: Make) -> None:
    one = stage()
    one.connect()
    one.introduce()
    assert one.backend.state is State.READY, "the same client again"
    one.backend.call(7, "tools/call", b"{}")
    one.introduce(roots={})
    assert one.backend.state is State.READY
    one.processes[-1].say(id=7, result={})
    one.turn()
    one.introduce(sampling={})
    assert one.backend.state is State.STOPPING
    one.exit(0)
    assert one.backend.state is State.SPAWNING
    process = one.start_process()
    assert process.heard()[0]["params"]["capabilities"] == {"sampling": {}}


def test_level_subscriptions_and_pause_outlive_a_process(stage: Make) -> None:
    one = stage()
    one.backend.set_level("error")
    one.backend.subscribe(frozenset({"a://b"}))
    for _ in range(2):
        process = one.connect(logging={}, resources={"subscribe": True})
        methods = [message["method"] for message in process.heard()]
        assert methods == ["logging/setLevel", "resources/subscribe"]
        one.exit(1)
        one.wait(2.1)
    one.backend.pause(paused=True)
    process = one.start_process()
    (request,) = process.heard()
    process.say(id=request["id"], result={"protocolVersion": "2025-11-25", "capabilities": {}})
    one.turn()
    assert one.backend.state is State.CONNECTING
    one.backend.pause(paused=False)
    one.turn()
    assert one.backend.state is State.READY
