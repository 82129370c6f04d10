"""A parked call outlives swaps, deaths and new code, or the retry is told what has become of it."""

import json

import pytest

from relay_supervisor.core.generation import Life
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from tests.unit.relay_supervisor.core.parking_driver import ParkingDriver
from tests.unit.relay_supervisor.core.swap_driver import FAST


@pytest.fixture
def relay() -> ParkingDriver:
    driver = ParkingDriver()
    driver.serve()
    return driver


def swap_without_hand_over(relay: ParkingDriver) -> None:
    """To workers that cannot take a backend over: each keeps its own, and its calls."""
    relay.relay.shared.workers.state.generations[1].offer.adopts = False
    relay.swap()
    relay.candidate(2, adopts=False)


def test_a_swap_takes_it_along_with_its_backend(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    relay.cut_over()
    relay.hand_over("files")
    relay.hand_over("slow")
    relay.wanted.clear()
    relay.retry(6, asked)
    assert [(generation, i) for generation, i, _ in relay.answered()] == [(2, b'"q"')]
    relay.question(b"2", generation=2)
    second = relay.parked(6)
    relay.reply(number, generation=2)
    relay.retry(7, second)
    (answer,) = relay.client()
    assert answer["id"] == 7 and answer["result"] == {"ok": 1}


def test_a_worker_cannot_ask_in_the_call_of_another(relay: ParkingDriver) -> None:
    number = relay.begin(5)
    relay.cut_over()
    relay.question(generation=2, call=number)
    assert relay.client() == [] and not relay.state.asks


def test_a_retry_while_the_backend_moves_reaches_whoever_gets_it(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    relay.cut_over()
    relay.frozen("files")
    relay.wanted.clear()
    relay.retry(6, asked)
    sent = relay.answered()
    relay.adopted("files")
    assert [(generation, i) for generation, i, _ in sent + relay.answered()] == [(2, b'"q"')]
    relay.reply(number, generation=2)
    assert [line["id"] for line in relay.client()] == [6]


def test_a_worker_that_cannot_hand_over_lives_until_the_retry() -> None:
    relay = ParkingDriver()
    relay.serve()
    number, asked = relay.park(5)
    swap_without_hand_over(relay)
    relay.wait(FAST.probation_seconds)
    assert relay.life(1) is Life.DRAINING
    relay.wanted.clear()
    relay.retry(6, asked)
    assert [generation for generation, _, _ in relay.answered()] == [1]
    relay.reply(number, generation=1)
    assert [line["id"] for line in relay.client()] == [6] and relay.life(1) is not Life.DRAINING


def test_a_server_whose_session_moved_asks_in_a_call_of_the_worker_before() -> None:
    """What it says by itself the worker hears that serves; the call is still the other's."""
    relay = ParkingDriver()
    relay.serve()
    number = relay.begin(5)
    swap_without_hand_over(relay)
    relay.wanted.clear()
    relay.question(generation=2)
    asked = relay.parked(5)
    newer = relay.begin(6)
    relay.question(b'"r"', generation=2)
    relay.parked(6)
    relay.retry(7, asked)
    assert [generation for generation, _, _ in relay.answered()] == [2]
    relay.reply(number, generation=1)
    relay.reply(newer, generation=2)
    assert [line["id"] for line in relay.client()] == [7]


def test_a_worker_is_asked_in_a_call_of_its_own_if_there_is_one() -> None:
    relay = ParkingDriver()
    relay.serve()
    _, asked = relay.park(5)
    swap_without_hand_over(relay)
    relay.wanted.clear()
    relay.begin(6)
    relay.question(b'"r"', generation=2)
    relay.parked(6)
    relay.retry(7, asked)
    relay.answered()
    relay.question(b'"s"', generation=2)
    assert relay.client() == [], "it waits for the retry of its own call, though 7 is open"


def test_over_the_hard_limit_the_retry_is_told_so() -> None:
    relay = ParkingDriver()
    relay.serve()
    _, asked = relay.park(5)
    swap_without_hand_over(relay)
    relay.wait(FAST.probation_seconds + FAST.drain_max_seconds)
    assert relay.life(1) is not Life.DRAINING and relay.client() == []
    relay.retry(6, asked)
    (answer,) = relay.client()
    assert answer["id"] == 6 and "drain_max_seconds" in json.dumps(answer["result"])


def test_a_killed_worker_does_not_matter_where_the_backend_lives(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    relay.kill(1, {number: int(Stage.WRITTEN)})
    relay.retry(6, asked)
    assert relay.client() == [] and relay.answered() == [], "nobody is there yet"
    relay.revive(2)
    assert [(generation, i) for generation, i, _ in relay.answered()] == [(2, b'"q"')]
    relay.adopted("files")
    relay.reply(number, generation=2)
    assert [line["id"] for line in relay.client()] == [6]


def test_a_dead_backend_makes_the_retry_honest(relay: ParkingDriver) -> None:
    """Its worker answers for the call, as it does for any other."""
    number, asked = relay.park(5)
    relay.backend_dies("files")
    assert relay.state.asks == {} and relay.client() == []
    failed = b'"result":{"isError":true,"content":[]}}'
    relay.reply(number, failed, outcome=v1.OUTCOME_RELAY_ERROR)
    relay.retry(6, asked)
    (answer,) = relay.client()
    assert answer["id"] == 6 and answer["result"]["isError"] and relay.answered() == []


def test_a_call_lost_with_its_worker_is_answered_as_unknown() -> None:
    relay = ParkingDriver()
    relay.serve()
    number, asked = relay.park(5)
    relay.charge("files").joined = b""
    relay.kill(1, {number: int(Stage.WRITTEN)})
    assert relay.client() == []
    relay.retry(6, asked)
    (answer,) = relay.client()
    assert answer["id"] == 6 and "outcome is unknown" in json.dumps(answer["result"])
    assert relay.frames(v1.Call) == [] and relay.state.counts.unknown_outcome == 1


def test_what_may_be_repeated_is_repeated_and_asks_again(relay: ParkingDriver) -> None:
    number = relay.begin(5, "files__list")
    relay.question()
    asked = relay.parked(5)
    relay.charge("files").joined = b""
    relay.kill(1, {number: int(Stage.WRITTEN)})
    relay.revive(2)
    again = relay.one(v1.Call).call
    assert again != number
    relay.frame(v1.BackendRequest("files", b"2", 99, "elicitation/create"), b"{}", 2)
    relay.retry(6, asked, name="files__list")
    assert relay.answered() == [], "that question is gone"
    second = relay.parked(6)
    relay.retry(7, second, name="files__list")
    assert [(generation, i) for generation, i, _ in relay.answered()] == [(2, b"2")]
    relay.reply(again, generation=2)
    assert [line["id"] for line in relay.client()] == [7]


def test_the_code_of_the_supervisor_may_change_meanwhile(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    relay.reexec("10.0")
    relay.retry(6, asked)
    assert [i for _, i, _ in relay.answered()] == [b'"q"']
    relay.reply(number)
    assert [line["id"] for line in relay.client()] == [6]
