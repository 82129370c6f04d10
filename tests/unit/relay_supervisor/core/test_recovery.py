"""A dead worker is followed by another: soon, later, then by the last good one, then by probes.

Whatever happens the relay stays, the lists stay, and calls are answered or held.
"""

import json
from typing import Any

import msgspec
import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Source
from relay_supervisor.core.recovery import (
    BACKOFF_SECONDS_FIRST,
    BACKOFF_SECONDS_MAX,
    DEATHS_MAX,
    PREVIOUS_MAX,
    PROBE_SECONDS,
    STEADY_CALLS,
    STEADY_SECONDS,
    WINDOW_SECONDS,
    Condition,
)
from relay_supervisor.wire import control_v1, v1
from tests.unit.relay_supervisor.core.driver import IDENTITY, SOURCE, Driver, call, request
from tests.unit.relay_supervisor.core.swap_driver import SwapDriver


def follow(relay: Driver) -> float:
    """Wait until a worker is started; returns for how long."""
    began = relay.now
    while not relay.take(effects.SpawnWorker):
        due = relay.relay.next_deadline()
        assert due is not None, "nobody is to follow"
        relay.wait(due - relay.now)
    return relay.now - began


def delays(relay: Driver, deaths: int, served: float = 0.0) -> list[float]:
    """Let the worker die so often; return how long each successor was waited for."""
    found = []
    relay.take(effects.SpawnWorker)
    first = relay.relay.shared.workers.state.last
    for number in range(first, first + deaths):
        relay.hatch(number)
        relay.configure(number)
        relay.wait(served)
        relay.die(number, status=1)
        found.append(follow(relay))
        relay.wanted.clear()
    return found


def started(**kwargs: Any) -> Driver:
    """A relay whose first worker is being started."""
    relay = Driver(**kwargs)
    relay.do(events.Started())
    return relay


def condition(relay: Driver) -> Condition:
    return relay.relay.recovery.state.condition


def with_a_version_before() -> SwapDriver:
    """A relay that has committed a swap, so that there is a version to go back to."""
    relay = SwapDriver()
    relay.serve()
    relay.swap(python="/new")
    relay.candidate(2, digest="two", limits=v1.Limits(probation_calls=0))
    relay.die(1)
    relay.wanted.clear()
    return relay


# ---- back-off


def test_the_back_off_doubles_with_each_death_and_is_spread_over_all_of_it() -> None:
    found = [delays(started(seed=seed), DEATHS_MAX - 1) for seed in range(1, 60)]
    for number, waited in enumerate(zip(*found, strict=True)):
        ceiling = BACKOFF_SECONDS_FIRST * 2**number
        assert ceiling <= BACKOFF_SECONDS_MAX
        assert 0 <= min(waited) < ceiling / 4, "full jitter reaches down to nothing"
        assert ceiling * 3 / 4 < max(waited) <= ceiling + 1e-6, "and up to its ceiling"


def test_a_worker_that_served_for_long_has_not_failed_at_its_start() -> None:
    relay = started()
    waited = delays(relay, 12, served=STEADY_SECONDS + 1)
    assert max(waited) <= BACKOFF_SECONDS_FIRST + 1e-6
    assert condition(relay) is Condition.WELL


@pytest.mark.parametrize("calls", [STEADY_CALLS - 1, STEADY_CALLS])
def test_a_worker_that_has_answered_so_many_calls_is_no_part_of_a_crash_loop(calls: int) -> None:
    """One that is killed under load, again and again, is not to blame for it."""
    relay = Driver()
    relay.serve()
    for number in range(1, 3 * DEATHS_MAX):
        for key in range(calls):
            relay.line(call(key))
            relay.reply(relay.one(v1.Call).call, generation=number)
        relay.client()
        relay.die(number)
        follow(relay)
        if condition(relay) is not Condition.WELL:
            break
        relay.hatch(number + 1)
        relay.configure(number + 1)
    assert (condition(relay) is Condition.WELL) == (calls == STEADY_CALLS)


def test_deaths_far_from_each_other_are_no_crash_loop() -> None:
    """They are forgotten one by one, also where no worker has served for long."""
    relay = started()
    relay.take(effects.SpawnWorker)
    for number in range(1, 4 * DEATHS_MAX):
        relay.hatch(number)
        relay.wait(WINDOW_SECONDS / (DEATHS_MAX - 1))  # it never comes to serve
        relay.die(number, status=1)
        follow(relay)
    assert condition(relay) is Condition.WELL


def test_the_same_seed_gives_the_same_run() -> None:
    def run(seed: int) -> list[float]:
        return delays(started(seed=seed), DEATHS_MAX - 1)

    assert run(3) == run(3) != run(4)


def test_no_number_of_crashes_ends_the_relay() -> None:
    """A crash loop over a night is some thousand deaths; the supervisor never exits for it."""
    relay = started()
    waited = delays(relay, 1500)
    assert max(waited) <= PROBE_SECONDS
    relay.hatch(1501)
    relay.configure(1501)
    assert relay.relay.shared.workers.state.active == 1501


# ---- crash loop


def test_a_crash_loop_leads_to_the_last_good_version_and_then_to_degraded() -> None:
    relay = with_a_version_before()
    crashes, conditions, made_of = 2 * DEATHS_MAX, [], []
    relay.wanted.clear()
    for number in range(2, 2 + crashes):
        relay.die(number, status=1)
        while not (spawned := relay.take(effects.SpawnWorker)):
            due = relay.relay.next_deadline()
            assert due is not None
            relay.wait(due - relay.now)
        conditions.append(condition(relay))
        made_of.append(spawned[0].python)
        relay.hatch(number + 1)
        relay.configure(number + 1)
    assert len(made_of) == crashes
    before = [Condition.WELL] * (DEATHS_MAX - 1)
    between = [Condition.LAST_GOOD] * DEATHS_MAX
    assert conditions == [*before, *between, Condition.DEGRADED], "as many deaths again"
    assert made_of == ["/new"] * (DEATHS_MAX - 1) + ["/python"] * (DEATHS_MAX + 1)


def test_before_a_release_that_never_came_up_there_is_the_relays_own_environment() -> None:
    """The current release may be one that this relay cannot speak with."""
    identity = msgspec.structs.replace(IDENTITY, python="/own")
    release = Source("/releases/two/bin/python", "two", SOURCE.config)
    relay = started(identity=identity, source=release)
    delays(relay, DEATHS_MAX - 1)
    relay.wanted.clear()
    relay.hatch(DEATHS_MAX)
    relay.die(DEATHS_MAX, status=64)
    follow(relay)
    assert condition(relay) is Condition.LAST_GOOD
    serving = relay.relay.shared.workers.state.generations[DEATHS_MAX + 1]
    assert serving.source == Source("/own", "", SOURCE.config)
    delays(relay, DEATHS_MAX)
    assert condition(relay) is Condition.DEGRADED


def test_the_relays_own_environment_is_not_followed_by_itself() -> None:
    relay = started(identity=msgspec.structs.replace(IDENTITY, python=SOURCE.python))
    delays(relay, DEATHS_MAX)
    assert condition(relay) is Condition.DEGRADED


def test_with_no_version_before_a_crash_loop_leads_to_degraded_at_once() -> None:
    relay = started()
    delays(relay, DEATHS_MAX - 1)
    assert condition(relay) is Condition.WELL
    waited = delays(relay, 1)
    assert condition(relay) is Condition.DEGRADED
    assert waited == [pytest.approx(PROBE_SECONDS)]


def degraded() -> Driver:
    """A greeted relay that has just given up on its worker: none is up."""
    relay = Driver()
    relay.serve()
    delays_left = DEATHS_MAX
    for number in range(1, DEATHS_MAX + 1):
        relay.die(number, status=1)
        delays_left -= 1
        if delays_left:
            relay.revive(number + 1)
    relay.wanted.clear()
    assert condition(relay) is Condition.DEGRADED
    return relay


def test_a_degraded_relay_serves_the_lists_and_refuses_calls_at_once() -> None:
    relay = degraded()
    names = [tool["name"] for tool in relay.ask(request(1, "tools/list"))["result"]["tools"]]
    assert names == ["files__read", "slow__think"]
    answer = relay.ask(call(2))["result"]
    assert answer["isError"] is True
    text = answer["content"][0]["text"]
    assert "again and again" in text and "relayctl" in text and "not carried out" in text
    relay.control("status")
    (reply,) = relay.told()
    assert json.loads(bytes(reply.result))["health"] == "degraded"


def test_a_degraded_relay_probes_and_a_worker_that_stays_makes_it_well() -> None:
    relay = degraded()
    assert follow(relay) == pytest.approx(PROBE_SECONDS)
    probe = DEATHS_MAX + 1
    relay.hatch(probe)
    relay.configure(probe)
    relay.line(call(1))
    assert relay.to_worker(v1.Call)[0][0] == probe, "whoever is up gets the calls"
    relay.reply(1, generation=probe)
    relay.wait(STEADY_SECONDS - 0.1)
    assert condition(relay) is Condition.DEGRADED
    relay.wait(0.2)
    assert condition(relay) is Condition.WELL
    assert [e.event for e in relay.take(effects.Journal)][-1] == "recovered"
    relay.die(probe, status=1)
    assert follow(relay) <= BACKOFF_SECONDS_FIRST, "all is as at the beginning"


def test_a_worker_that_answers_so_many_calls_makes_a_degraded_relay_well() -> None:
    relay = degraded()
    follow(relay)
    probe = DEATHS_MAX + 1
    relay.hatch(probe)
    relay.configure(probe)
    for key in range(STEADY_CALLS):
        assert condition(relay) is Condition.DEGRADED
        relay.line(call(key))
        relay.reply(relay.one(v1.Call).call, generation=probe)
    assert condition(relay) is Condition.WELL


def test_a_probe_that_dies_is_followed_by_the_next_and_no_sooner() -> None:
    relay = degraded()
    for number in range(DEATHS_MAX + 1, DEATHS_MAX + 6):
        assert follow(relay) == pytest.approx(PROBE_SECONDS)
        relay.hatch(number)
        relay.configure(number)
        relay.die(number, status=1)
    assert condition(relay) is Condition.DEGRADED


def test_a_worker_that_is_gone_again_is_not_called_steady() -> None:
    relay = degraded()
    follow(relay)
    relay.hatch(DEATHS_MAX + 1)
    relay.configure(DEATHS_MAX + 1)
    relay.wait(STEADY_SECONDS / 2)
    relay.die(DEATHS_MAX + 1, status=1)
    relay.wait(STEADY_SECONDS)
    assert condition(relay) is Condition.DEGRADED


def test_the_way_down_and_up_is_in_the_journal() -> None:
    relay = with_a_version_before()
    for number in range(2, 2 + DEATHS_MAX):
        relay.die(number, status=1)
        relay.revive(number + 1)
    relay.wait(STEADY_SECONDS + 1)
    told = [(e.event, e.fields) for e in relay.take(effects.Journal) if e.event != "worker_died"]
    assert told == [("degraded", {"condition": "last good"}), ("recovered", {})]


# ---- what a worker is made of


def test_a_dead_worker_is_followed_by_one_of_the_same_code_and_configuration() -> None:
    relay = Driver()
    relay.serve()
    relay.die()
    relay.revive()
    ((_, configure, payload),) = relay.frames(v1.Configure)
    assert configure.has_snapshot and payload == SOURCE.config


def test_the_snapshot_a_worker_has_read_itself_is_what_follows_it() -> None:
    """So a file that is broken meanwhile makes no crash loop."""
    relay = Driver(source=Source("/python", ""))
    relay.do(events.Started())
    relay.hatch()
    relay.frame(v1.ConfigRead(), b"as it was read")
    relay.configure()
    relay.frames(v1.Configure)
    relay.die()
    relay.revive()
    ((_, configure, payload),) = relay.frames(v1.Configure)
    assert (configure.has_snapshot, payload) == (True, b"as it was read")


def test_so_many_versions_before_are_remembered_and_none_twice_in_a_row() -> None:
    relay = SwapDriver()
    relay.serve()
    for number in range(2, 12):
        relay.swap(python=f"/v{number}")
        relay.candidate(number, digest=str(number), limits=v1.Limits(probation_calls=0))
        relay.die(number - 1)
    state = relay.relay.recovery.state
    assert state.committed.python == "/v11"
    assert [s.python for s in state.previous] == [
        f"/v{n}" for n in range(10, 10 - PREVIOUS_MAX, -1)
    ]


def test_orders_of_relayctl_are_taken_while_degraded() -> None:
    """The way out of a crash loop is a repaired version."""
    relay = degraded()
    relay.control("swap", python="/fixed")
    assert [e.python for e in relay.take(effects.SpawnWorker)] == ["/fixed"]
    relay.hatch(DEATHS_MAX + 1)
    relay.configure(DEATHS_MAX + 1)
    relay.line(call(1))
    assert relay.to_worker(v1.Call)[0][0] == DEATHS_MAX + 1
    replies: list[control_v1.Reply] = relay.told()
    assert replies and all(reply.error is None for reply in replies)
