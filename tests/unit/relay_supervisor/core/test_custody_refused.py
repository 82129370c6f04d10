"""A backend that nobody can take over is started anew: the worker that cannot lives, and the calls
on it get the honest answer. Say the worker is of an older release than the one before it.
"""

import pytest

from relay_supervisor.core import effects
from relay_supervisor.core.custody import ADOPT_DEATHS_MAX, ADOPT_SECONDS_MAX
from relay_supervisor.core.generation import Life
from relay_supervisor.core.state import Hold
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from tests.unit.relay_supervisor.core.custody_driver import CustodyDriver
from tests.unit.relay_supervisor.core.driver import notification
from tests.unit.relay_supervisor.core.test_calls_limits import text_of

WHY = "what it is left in cannot be read"
UNSAFE, SAFE = "files__read", "files__list"


@pytest.fixture
def relay() -> CustodyDriver:
    driver = CustodyDriver()
    driver.serve(elicitation={})
    return driver


def refused(relay: CustodyDriver, stages: dict[int, int]) -> None:
    """The worker is killed, and the next one cannot take `files` over."""
    relay.kill(1, stages)
    relay.revive(2)
    relay.given()
    relay.adopted("slow")
    relay.take(effects.CloseStdin)
    relay.adopted("files", 2, WHY)


def test_the_worker_lives_and_gets_another_process_once_this_one_is_gone(
    relay: CustodyDriver,
) -> None:
    first = relay.pid_of["files"]
    refused(relay, {})
    assert relay.active == 2 and relay.life(2) is Life.ACTIVE
    assert relay.take(effects.CloseStdin) == [effects.CloseStdin(first)]
    assert relay.given() == [] and relay.hold("files") == (Hold.FREE, 0)
    assert relay.spawn("files", 2) is None, "there are never two processes of one backend"
    relay.backend_dies("files")
    ((to, adopt, left),) = relay.given()
    assert (to, adopt.backend, adopt.pid, left) == (2, "files", 0, b"")
    assert relay.spawn("files", 2) not in (None, first)
    assert relay.hold("slow") == (Hold.HELD, 2), "nothing else has changed"


def test_what_it_worked_on_is_unknown_and_what_may_be_repeated_is(relay: CustodyDriver) -> None:
    _, unsafe = relay.call_on(5, UNSAFE)
    _, safe = relay.call_on(6, SAFE)
    relay.to_worker(v1.Call)
    refused(relay, {unsafe: Stage.WRITTEN, safe: Stage.WRITTEN})
    (answer,) = relay.client()
    assert answer["id"] == 5 and answer["result"]["isError"]
    assert text_of(answer).startswith(
        "Relay: its backend could not be taken over and was started anew. The outcome is unknown"
    )
    ((generation, again),) = relay.to_worker(v1.Call)
    assert (generation, again.name, again.attempt) == (2, SAFE, 2) and again.call > safe
    relay.reply(again.call, generation=2)
    assert len(relay.client()) == 1 and relay.state.calls == {}


def test_what_it_has_not_seen_is_given_on(relay: CustodyDriver) -> None:
    """A call that was cut off with its worker, or waited to be written, at a swap."""
    _, number = relay.call_on(5, UNSAFE)
    relay.cut_over()
    relay.frozen("files", unsent=[number])
    relay.hand_over("slow")
    relay.kill(1)  # nobody is left that could have it back
    relay.given()
    relay.adopted("files", 2, WHY)
    assert relay.life(2) is Life.ACTIVE and relay.client() == []
    ((generation, again),) = relay.to_worker(v1.Call)
    assert generation == 2 and again.call > number


def test_what_was_called_meanwhile_waits_for_the_next_process(relay: CustodyDriver) -> None:
    relay.kill(1, {})
    relay.revive(2)
    _, number = relay.call_on(5, UNSAFE)
    relay.adopted("files", 2, WHY)
    assert relay.client() == [] and relay.state.calls[number].generation == 2


def test_its_questions_are_withdrawn_and_nothing_is_left_to_be_told(relay: CustodyDriver) -> None:
    pid = relay.pid_of["files"]
    ask = v1.BackendRequest("files", b'"q"', pid, "elicitation/create", 1)
    relay.frame(ask, b'{"message":"?"}')
    _, number = relay.call_on(5, UNSAFE)
    relay.kill(1, {number: Stage.WRITTEN})
    relay.line(notification("notifications/cancelled", requestId=5))
    relay.revive(2)
    assert relay.state.asks and relay.state.errands
    relay.adopted("files", 2, WHY)
    assert relay.state.asks == {} and relay.state.errands == {}


@pytest.mark.parametrize("deaf", [False, True], ids=["dies of it", "does not say so"])
def test_workers_do_not_die_of_it_for_ever(relay: CustodyDriver, deaf: bool) -> None:
    _, number = relay.call_on(5, UNSAFE)
    relay.kill(1, {number: Stage.WRITTEN})
    for generation in range(2, 2 + ADOPT_DEATHS_MAX):
        relay.revive(generation)
        relay.adopted("slow", generation)
        assert "files" in {adopt.backend for _, adopt, _ in relay.given() if adopt.pid}
        if deaf:
            relay.wait(ADOPT_SECONDS_MAX + 0.1)
        assert relay.client() == []
        relay.kill(generation, {})
    (answer,) = relay.client()
    assert "outcome is unknown" in text_of(answer)
    assert relay.take(effects.CloseStdin)[-1] == effects.CloseStdin(relay.pid_of["files"])
    relay.backend_dies("files")
    relay.revive(2 + ADOPT_DEATHS_MAX)
    assert {adopt.backend: bool(adopt.pid) for _, adopt, _ in relay.given()} == {
        "files": False,
        "slow": True,
    }


def test_deaths_count_only_one_after_another(relay: CustodyDriver) -> None:
    """Somebody kills workers, and it happens to be while they take over."""
    relay.kill(1, {})
    for generation in range(2, 3 * ADOPT_DEATHS_MAX, 2):
        relay.revive(generation)
        relay.given()
        relay.kill(generation, {})
        relay.revive(generation + 1)
        while gifts := relay.given():  # one, and then the other
            relay.adopted(gifts[0][1].backend, generation + 1)
        assert {charge.deaths for charge in relay.state.charges.values()} == {0}
        relay.wait(20.0)
        relay.kill(generation + 1, {})
    assert effects.CloseStdin(relay.pid_of["files"]) not in relay.take(effects.CloseStdin)


def test_only_what_they_die_of_is_started_anew(relay: CustodyDriver) -> None:
    """Nobody knows at first what it was: what may be it is given alone, the likelier the later."""
    relay.kill(1, {})
    given = list[list[str]]()
    for generation in range(2, 2 + ADOPT_DEATHS_MAX):
        relay.revive(generation)
        given.append([adopt.backend for _, adopt, _ in relay.given()])
        if given[-1] == ["slow"]:
            relay.adopted("slow", generation)
            given[-1] += [adopt.backend for _, adopt, _ in relay.given()]
        relay.kill(generation, {})
    assert given == [["files", "slow"], ["files"], ["slow", "files"]]
    closed = relay.take(effects.CloseStdin)
    assert effects.CloseStdin(relay.pid_of["files"]) in closed
    assert effects.CloseStdin(relay.pid_of["slow"]) not in closed
