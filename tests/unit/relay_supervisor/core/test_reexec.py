"""The supervisor's code is replaced: tried first, then between two events, or not at all."""

from typing import Any

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.reexec import CHECK_SECONDS_MAX
from relay_supervisor.core.swap_record import Outcome
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import answers, call
from tests.unit.relay_supervisor.core.swap_driver import SwapDriver


@pytest.fixture
def relay() -> SwapDriver:
    relay = SwapDriver()
    relay.serve()
    return relay


def asked(relay: SwapDriver, **args: Any) -> effects.CheckSupervisor:
    """relayctl wants other code; returns what is to be tried."""
    relay.control("reexec", **args)
    (check,) = relay.take(effects.CheckSupervisor)
    return check


def replaced(relay: SwapDriver, build: str = "10.0") -> None:
    """The other code takes over."""
    relay.reexec(build)
    relay.do(events.SupervisorReplaced())


def told_status(relay: SwapDriver) -> Any:
    relay.control("status", 9)
    return relay.final(9)


def test_other_code_is_tried_and_takes_over_and_relayctl_is_told_by_it(relay: SwapDriver) -> None:
    relay.line(call("long"))
    assert asked(relay, python="/new", release="new") == effects.CheckSupervisor("/new")
    assert relay.take(effects.ReplaceSupervisor) == []
    relay.now += 0.25
    relay.do(events.SupervisorChecked("10.0"))
    assert relay.take(effects.ReplaceSupervisor) == [effects.ReplaceSupervisor("/new")]
    relay.now += 0.25
    replaced(relay)
    result = relay.final()
    assert (result["kind"], result["outcome"], result["seconds"]) == (
        "supervisor",
        "committed",
        0.5,
    )
    assert result["from"] == {"release": "", "build": "9.9"}
    assert result["to"] == result["supervisor"] == {"release": "new", "build": "10.0"}
    assert result["calls_at_cut_over"] == 1 and result["serving"]["generation"] == 1
    assert not relay.relay.reexec.open and relay.relay.next_deadline() is not None


def test_status_tells_version_release_and_how_often(relay: SwapDriver) -> None:
    for count in (1, 2):
        asked(relay, python="/new", release="new")
        relay.do(events.SupervisorChecked("10.0"))
        replaced(relay)
        supervisor = told_status(relay)["supervisor"]
        assert supervisor["reexecs"] == count
        assert (supervisor["version"], supervisor["release"]) == ("10.0", "new")
    last = told_status(relay)["last_swap"]
    assert (last["kind"], last["outcome"], last["to"]) == ("supervisor", "committed", "10.0")


def test_without_a_release_the_one_that_runs_is_kept(relay: SwapDriver) -> None:
    asked(relay, python="/new", release="new")
    relay.do(events.SupervisorChecked("10.0"))
    replaced(relay)
    relay.told()
    assert asked(relay).python == ""
    relay.do(events.SupervisorChecked("10.0"))
    replaced(relay)
    assert relay.final()["supervisor"]["release"] == "new"


def test_an_interpreter_without_a_release_is_of_none(relay: SwapDriver) -> None:
    asked(relay, python="/new", release="new")
    relay.do(events.SupervisorChecked("10.0"))
    replaced(relay)
    relay.told()
    asked(relay, python="/installed")
    relay.do(events.SupervisorChecked("10.0"))
    replaced(relay)
    assert relay.final()["supervisor"]["release"] == ""


def test_code_that_cannot_go_on_is_refused_and_nothing_changes(relay: SwapDriver) -> None:
    asked(relay, python="/new")
    relay.do(events.SupervisorChecked("", "No module named relay_supervisor"))
    assert relay.take(effects.ReplaceSupervisor) == []
    result = relay.final()
    assert (result["outcome"], result["supervisor"]["build"]) == ("failed", "9.9")
    assert "No module" in result["reason"] and told_status(relay)["supervisor"]["reexecs"] == 0


def test_what_keeps_it_from_taking_over_is_told_too(relay: SwapDriver) -> None:
    asked(relay)
    relay.do(events.SupervisorChecked("10.0"))
    relay.do(events.SupervisorStayed("too many open files"))
    assert relay.final()["reason"] == "too many open files"
    asked(relay)  # and it may be tried again


def test_code_that_says_nothing_has_a_limit(relay: SwapDriver) -> None:
    asked(relay)
    relay.wait(CHECK_SECONDS_MAX)
    assert relay.take(effects.StopCheck) == [effects.StopCheck()]
    assert "within 10 s" in relay.final()["reason"]
    relay.do(events.SupervisorChecked("10.0"))
    assert relay.take(effects.ReplaceSupervisor) == [], "too late"


def test_a_check_that_was_in_time_has_no_limit_any_more(relay: SwapDriver) -> None:
    asked(relay)
    relay.do(events.SupervisorChecked("10.0"))
    assert "self-check" not in relay.relay.shared.timers.at


def test_during_a_swap_and_its_probation_it_is_refused(relay: SwapDriver) -> None:
    relay.swap(connection=3)
    relay.control("reexec")
    assert relay.final().code == "busy"
    relay.candidate(2)
    relay.control("reexec")
    refusal = relay.final()
    assert refusal.code == "busy" and "probation" in refusal.message
    relay.answered_calls(3)
    asked(relay)


@pytest.mark.parametrize("op", ["swap", "rollback", "reexec"])
def test_while_it_goes_on_nothing_else_is_begun(relay: SwapDriver, op: str) -> None:
    asked(relay)
    relay.control(op, 8)
    assert relay.final(8).code == "busy"
    relay.do(events.SupervisorChecked("10.0"))
    relay.control(op, 8)
    assert relay.final(8).code == "busy"
    assert relay.take(effects.SpawnWorker) == [] and relay.take(effects.CheckSupervisor) == []


@pytest.mark.parametrize("checked", [False, True])
def test_the_end_of_the_relay_ends_it(relay: SwapDriver, checked: bool) -> None:
    asked(relay)
    if checked:
        relay.do(events.SupervisorChecked("10.0"))
    relay.do(events.StopRequested(15))
    assert relay.final()["reason"] == "the relay ends"
    assert relay.take(effects.StopCheck) and not relay.relay.reexec.replacing


def test_swaps_and_replacements_have_numbers_of_their_own(relay: SwapDriver) -> None:
    asked(relay)
    relay.do(events.SupervisorChecked("10.0"))
    replaced(relay)
    relay.swap(8)
    relay.candidate(2)
    relay.answered_calls(3)
    assert (relay.final()["id"], relay.final(8)["id"]) == ("i1-1", "i1-2")


def test_the_journal_has_it(relay: SwapDriver) -> None:
    asked(relay)
    relay.do(events.SupervisorChecked("10.0"))
    replaced(relay)
    entries = [(e.event, e.fields.get("phase")) for e in relay.take(effects.Journal)]
    assert entries == [
        ("swap_phase", "checking"),
        ("swap_phase", "replacing"),
        ("swap_phase", "committed"),
        ("swap_ended", None),
    ]
    last = relay.relay.swaps.last
    assert last is not None and last.outcome is Outcome.COMMITTED and last.kind == "supervisor"


def test_a_call_under_way_is_answered_by_the_next_code(relay: SwapDriver) -> None:
    generation, number = relay.call_on("long", _meta={"progressToken": "t"})
    asked(relay)
    relay.do(events.SupervisorChecked("10.0"))
    replaced(relay)
    relay.frame(v1.Progress(number), b'{"progress":1}', generation)
    relay.reply(number, generation=generation)
    lines = relay.client()
    assert len(answers(lines, "long")) == 1
    assert [m["params"]["progressToken"] for m in lines if "params" in m] == ["t"]
