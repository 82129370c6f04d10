"""A backend is asked back, and given, in every state its life has."""

import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.base import State
from tests.unit.relay_worker.backends.handing import Make, descriptors, heir
from tests.unit.relay_worker.backends.stage import Stage


def given_back(one: Stage, pid: int = 0) -> None:
    assert one.backend.state is State.AWAITED and one.count(v1.Frozen) == 1
    assert one.sent[-1] == v1.Frozen("fix", pid)
    one.wait(1000)
    assert one.backend.state is State.AWAITED, "no timer is left"
    spawns = one.count(v1.Spawn)
    one.backend.want()
    assert one.count(v1.Spawn) == spawns


def test_while_it_is_being_started(stage: Make) -> None:
    one, two = stage(), heir(stage)
    one.backend.freeze()
    assert one.backend.state is State.LEAVING and one.count(v1.Frozen) == 0
    before = descriptors()
    process = one.start_process()
    assert descriptors() == before + 3 + 4, "the process's ends and the supervisor's"
    given_back(one, process.pid)
    two.adopt(process, one.payloads[v1.Frozen])
    assert process.heard()[0]["method"] == "initialize"
    assert two.backend.state is State.CONNECTING


def test_while_it_is_being_refused(stage: Make) -> None:
    one = stage()
    one.backend.freeze()
    one.refuse()
    given_back(one)


def test_though_its_descriptors_do_not_come(stage: Make) -> None:
    one = stage()
    one.backend.freeze()
    one.backend.spawned(v1.Spawned(one.spawn.token, "fix", 4711))
    given_back(one, 4711)


def test_while_it_stops(stage: Make) -> None:
    one = stage()
    one.connect()
    one.introduce(roots={})
    assert one.backend.state is State.STOPPING
    one.backend.freeze()
    one.backend.freeze()
    assert one.count(v1.Frozen) == 0
    one.exit(0)
    given_back(one)
    assert one.backend.last_error is None, "it was told to stop"


@pytest.mark.parametrize("lingers", [False, True])
def test_while_it_falls(stage: Make, lingers: bool) -> None:
    one = stage()
    process = one.connect()
    one.backend.call(7, "tools/call", b"{}")
    one.turn()
    process.heard()
    process.close("stdout")
    one.turn()
    assert one.backend.state is State.FALLEN
    if lingers:
        one.wait(0.11)
        assert one.backend.state is State.ENDING
    one.backend.freeze()
    assert one.count(v1.Frozen) == 0 and one.count(v1.StopBackend) == 1
    if lingers:
        one.wait(0.6)
        assert one.told == [("lost", [7], "it closed its output")]
    one.exit(-15)
    assert [told[:2] for told in one.told] == [("lost", [7]), ("frozen", [])]
    given_back(one)


def test_while_it_waits_for_its_next_start(stage: Make) -> None:
    one, two = stage(), heir(stage)
    one.connect()
    one.exit(1)
    assert one.backend.state is State.BACKING_OFF
    one.backend.freeze()
    given_back(one)
    two.backend.adopt(v1.Adopt(0, "fix", 0), one.payloads[v1.Frozen])
    assert two.backend.state is State.SPAWNING
    assert two.backend.last_error == "it exited with status 1"


def test_where_it_has_failed_sleeps_or_is_switched_off(stage: Make) -> None:
    failed = stage(argv=("nothing-such",))
    assert failed.backend.state is State.FAILED
    failed.backend.freeze()
    given_back(failed)
    idle = stage(client=False)
    idle.backend.freeze()
    given_back(idle)
    disabled = stage(enabled=False)
    disabled.backend.freeze()
    assert disabled.sent == [v1.Frozen("fix", 0)]
    disabled.backend.adopt(v1.Adopt(0, "fix", 0), b"")
    assert disabled.backend.state is State.DISABLED and disabled.count(v1.Spawn) == 0


def test_what_is_given_without_a_process_is_started_as_usual(stage: Make) -> None:
    lazy = heir(stage, lazy=True)
    known = stage()
    known.connect()
    lazy.backend.lists = known.backend.lists
    lazy.backend.want()
    assert lazy.backend.state is State.AWAITED and not lazy.backend.learning
    lazy.backend.adopt(v1.Adopt(0, "fix", 0), b"")
    assert lazy.backend.state is State.IDLE
    nobody = stage(client=False)
    nobody.backend.expect()
    nobody.backend.adopt(v1.Adopt(0, "fix", 0), b"")
    assert nobody.backend.state is State.IDLE and nobody.sent == []


def test_one_whose_process_has_died_in_between(stage: Make) -> None:
    one, two = stage(), heir(stage)
    process = one.connect()
    for call in (7, 8):
        one.backend.call(call, "tools/call", b"{}")
    one.turn()
    process.heard()
    process.say(id=7, result={})
    one.freeze()
    process.close()
    two.adopt(process, one.payloads[v1.Frozen], 7, 8)
    two.backend.exited(v1.Exited("fix", process.pid, -9))
    assert [told[:2] for told in two.told if told[0] in {"replied", "lost"}] == [
        ("replied", 7),
        ("lost", [8]),
    ]
    assert two.backend.state is State.BACKING_OFF
