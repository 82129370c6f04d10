"""relayctl is told each phase as it comes, and then how it ended: once, whatever happens."""

import json
from typing import Any

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Life
from relay_supervisor.wire import control_v1, v1
from tests.unit.relay_supervisor.core.driver import BODY
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver
from tests.unit.relay_supervisor.core.test_swap_gate import FEWER


@pytest.fixture
def relay() -> SwapDriver:
    driver = SwapDriver()
    driver.serve()
    return driver


def phases(replies: list[control_v1.Reply]) -> list[str]:
    """The phases among progress lines."""
    lines = [json.loads(bytes(reply.result)) for reply in replies if not reply.done]
    assert all(set(line) == {"phase", "seconds", "text"} for line in lines)
    return [line["phase"] for line in lines]


def results(replies: list[control_v1.Reply]) -> list[Any]:
    """The final results."""
    return [json.loads(bytes(reply.result)) for reply in replies if reply.done]


def test_every_phase_is_told_when_it_comes_and_the_outcome_at_the_commit(relay: SwapDriver) -> None:
    told: list[list[str]] = []

    def after(step: object) -> None:
        told.append(phases(relay.told()))

    after(relay.swap())
    after(relay.spawned(2))
    after(relay.welcome(2))
    after(relay.configure(2, limits=FAST))
    after(relay.healthy(2))
    after(relay.catalogue(generation=2))
    after(relay.ready(2))
    assert told == [["spawning"], ["handshaking"], ["warming"], [], [], [], ["ready", "active"]]
    relay.wait(FAST.probation_seconds)
    last = relay.told()
    assert phases(last) == ["committed"]
    (result,) = results(last)
    assert (result["outcome"], result["id"], result["swap"]) == ("committed", "i1-1", 1)
    assert result["serving"]["generation"] == result["to"]["generation"] == 2
    assert result["from"]["generation"] == 1
    assert result["tools"] == {"kept": 2, "added": [], "lost": []}
    assert (result["seconds"], result["reason"]) == (FAST.probation_seconds, "")
    assert result["ending"] is False
    assert [name for name, _ in result["phases"]] == [
        *("spawning", "handshaking", "warming", "ready", "active", "committed")
    ]
    relay.wait(100.0)
    assert relay.told() == []


def test_no_wait_is_answered_at_the_cut_over_and_hears_no_more(relay: SwapDriver) -> None:
    relay.swap(no_wait=True)
    relay.candidate(2)
    told = relay.told()
    assert phases(told)[-1] == "active"
    assert [result["outcome"] for result in results(told)] == ["probation"]
    relay.wait(FAST.probation_seconds)
    assert relay.told() == []


@pytest.mark.parametrize("no_wait", [False, True])
@pytest.mark.parametrize("failure", ["spawn", "die", "gate", "late", "refused"])
def test_a_swap_that_fails_before_the_cut_over_is_told_with_its_reason_and_who_serves(
    relay: SwapDriver, failure: str, no_wait: bool
) -> None:
    refused = '[{"build":"bad","config_digest":"","reason":"it fell"}]'
    relay.swap(no_wait=no_wait, refused=refused)
    if failure == "spawn":
        relay.do(events.WorkerSpawnFailed(2, "no room"))
    elif failure == "die":
        relay.hatch(2)
        relay.die(2, status=1)
    elif failure == "gate":
        relay.candidate(2, body=FEWER)
    elif failure == "late":
        relay.hatch(2)
        relay.wait(FAST.ready_seconds_max)
    else:
        relay.hatch(2, build="bad")
        relay.configure(2)
    words = {
        "spawn": "no room",
        "die": "status 1",
        "gate": "slow__think",
        "late": "ready_seconds_max",
    }
    (result,) = results(relay.told())
    assert result["outcome"] == "failed" and result["serving"]["generation"] == 1
    assert words.get(failure, "it fell") in result["reason"]
    assert relay.active == 1


def test_a_rollback_is_told_to_whoever_waits_for_the_swap_and_to_who_asked(
    relay: SwapDriver,
) -> None:
    relay.swap(connection=7)
    relay.candidate(2)
    relay.control("rollback", 9)
    for connection in (7, 9):
        (result,) = results(relay.told(connection))
        assert result["outcome"] == "rolled_back" and result["serving"]["generation"] == 1
        assert "relayctl rollback" in result["reason"]


def test_calls_under_way_and_checks_are_in_the_result(relay: SwapDriver) -> None:
    relay.call_on("a")
    relay.swap()
    relay.warm(2)
    relay.frame(v1.Checked(0, [v1.CheckResult("t", True, 0.25, "")]), b"", 2)
    relay.ready(2)
    relay.frame(v1.Checked(relay.one(v1.RunChecks).token, []), b"", 2)
    relay.reply(1, generation=1)
    relay.answered_calls(1, v1.OUTCOME_RELAY_ERROR)
    relay.answered_calls(FAST.probation_calls - 1)
    (result,) = results(relay.told())
    assert result["calls_at_cut_over"] == 1
    calls = {"at_cut_over": 1, "handed_over": 0, "finished_by_old": 1, "relay_errors": 1}
    assert result["calls"] == {**calls, "answered": FAST.probation_calls}
    assert result["checks"] == [
        {"tool": "t", "ok": True, "seconds": 0.25, "detail": "", "when": "ready"}
    ]


@pytest.mark.parametrize("how", ["signal", "client"])
@pytest.mark.parametrize("reached", ["waiting", "spawning", "warming", "probation"])
def test_the_end_of_the_relay_is_told_to_whoever_waits(
    relay: SwapDriver, reached: str, how: str
) -> None:
    if reached == "waiting":
        for number in (1, 2):
            relay.call_on(f"long{number}")
            relay.swap()
            relay.candidate(number + 1, limits=v1.Limits(probation_calls=0))
    relay.swap(connection=8)
    number = max(relay.relay.shared.workers.state.generations)
    if reached in {"warming", "probation"}:
        relay.warm(number)
    if reached == "probation":
        relay.ready(number)
    relay.do(events.StopRequested(15) if how == "signal" else events.ClientGone())
    (result,) = results(relay.told(8))
    assert (result["outcome"], result["reason"]) == ("failed", "the relay ends")
    assert result["ending"], "who serves now does not for long"


@pytest.mark.parametrize("reached", ["spawning", "handshaking", "warming", "ready", "probation"])
def test_a_signal_in_the_middle_of_a_swap_ends_all_in_time(relay: SwapDriver, reached: str) -> None:
    began = relay.now
    relay.swap()
    if reached == "handshaking":
        relay.spawned(2)
    elif reached == "warming":
        relay.warm(2)
    elif reached in {"ready", "probation"}:
        relay.candidate(2, states={"files": "starting"} if reached == "ready" else None)
    relay.do(events.StopRequested(15))
    if reached == "spawning":
        relay.do(events.WorkerSpawned(2, 5002))
        relay.pids[2] = 5002
    relay.take(effects.SpawnWorker)
    for _ in range(100):
        if relay.take(effects.Exit):
            break
        due = relay.relay.next_deadline()
        assert due is not None
        relay.wait(due - relay.now)
    assert relay.now - began < 0.4
    killed = {pid for pid, signal in relay.signals() if signal == 9}
    assert killed == set(relay.pids.values())
    assert relay.take(effects.SpawnWorker) == []


def test_what_a_candidate_says_during_the_end_changes_nothing(relay: SwapDriver) -> None:
    relay.swap()
    relay.warm(2)
    relay.do(events.StopRequested(15))
    relay.ready(2)
    assert relay.active == 1 and relay.life(2) is Life.WARMING
    relay.die(1)
    relay.die(2)
    relay.wait(5.0)
    assert len(relay.take(effects.Exit)) >= 1
    assert relay.take(effects.SpawnWorker) == []


def test_a_swap_under_way_is_in_the_status(relay: SwapDriver) -> None:
    relay.swap()
    relay.control("status", 5)
    assert relay.final(5)["last_swap"] is None, "it has come to nothing yet"
    relay.candidate(2, build="9.9")
    relay.wait(2.5)
    relay.control("status", 5)
    status = relay.final(5)
    assert (status["last_swap"]["outcome"], status["last_swap"]["seconds"]) == ("probation", 2.5)
    assert (status["last_swap"]["from"], status["last_swap"]["to"]) == ("9.8", "9.9")
    assert [w["state"] for w in status["workers"]] == ["standby", "active"]
    relay.wait(FAST.probation_seconds)
    relay.control("status", 5)
    assert relay.final(5)["last_swap"]["outcome"] == "committed"


# ---- the journal


def journal(relay: SwapDriver) -> list[tuple[str, Any]]:
    """Take out the journal: events with the field that tells most."""
    entries = relay.take(effects.Journal)
    return [(e.event, e.fields.get("phase") or e.fields.get("outcome")) for e in entries]


def test_the_journal_has_every_phase_and_the_whole_record_at_the_end(relay: SwapDriver) -> None:
    relay.swap(backup="relay.yaml.1")
    relay.candidate(2, body=BODY)
    relay.wait(FAST.probation_seconds)
    entries = relay.take(effects.Journal)
    assert [(e.event, e.fields.get("phase")) for e in entries] == [
        ("swap_phase", "spawning"),
        ("swap_phase", "handshaking"),
        ("swap_phase", "warming"),
        ("swap_phase", "ready"),
        ("swap_phase", "active"),
        ("swap_phase", "committed"),
        ("swap_ended", None),
        ("drained", None),
    ]
    assert all(e.fields["swap"] == 1 for e in entries if e.event.startswith("swap"))
    (ended,) = [e.fields for e in entries if e.event == "swap_ended"]
    assert (ended["outcome"], ended["backup"]) == ("committed", "relay.yaml.1")
    assert set(ended) == {
        *("swap", "outcome", "reason", "from", "to", "seconds", "phases", "tools", "calls"),
        *("checks", "problems", "op", "force", "refused", "backup", "kind"),
    }


def test_a_rollback_is_in_the_journal_with_the_death_that_caused_it(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2)
    journal(relay)
    relay.die(2)
    assert journal(relay) == [
        ("swap_phase", "rolled_back"),
        ("swap_ended", "rolled_back"),
        ("worker_died", None),
    ]


def test_the_start_of_a_relay_is_in_the_journal() -> None:
    relay = SwapDriver()
    relay.do(events.Started())
    (entry,) = relay.take(effects.Journal)
    assert (entry.event, entry.fields) == ("started", {"build": "9.9"})
