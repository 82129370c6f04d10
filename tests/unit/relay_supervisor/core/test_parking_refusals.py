"""What is no good about a retry, and about a question, in a request that is parked."""

import json

import pytest

from relay_supervisor.core import parking
from relay_supervisor.core.asks import ASKS_MAX
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import notification, request
from tests.unit.relay_supervisor.core.parking_driver import ParkingDriver


@pytest.fixture
def relay() -> ParkingDriver:
    driver = ParkingDriver()
    driver.serve()
    return driver


def test_a_state_is_for_one_retry(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    relay.retry(6, asked)
    relay.answered()
    relay.retry(7, asked)
    assert "used already" in relay.refused(), "while the first retry is open"
    relay.question(b"2")
    second = relay.parked(6)
    relay.retry(8, asked)
    assert "used already" in relay.refused(), "and when it is parked again"
    relay.retry(9, second)
    relay.reply(number)
    assert [line["id"] for line in relay.client()] == [9]
    relay.retry(10, second)
    assert "over" in relay.refused() and relay.frames(v1.Call) == []


def test_a_state_that_is_forged_is_refused(relay: ParkingDriver) -> None:
    _, asked = relay.park(5)
    good = asked["requestState"]
    ours = good.partition(":")[0] + ":"
    for state in (good[:-1], good + "0", good.replace(".1.", ".2."), ours, ours + "1"):
        relay.retry(6, asked, state=state)
        assert "none that this relay has given" in relay.refused(), state
    assert relay.frames(v1.Call) == []
    relay.retry(6, asked)
    assert relay.answered()


def test_a_state_of_another_relay_is_for_the_backend_that_has_given_it(
    relay: ParkingDriver,
) -> None:
    """A backend may be a relay. One that is none refuses it: `retries.objection`."""
    other = ParkingDriver()
    other.relay.shared.memory.parking.secret = b"of another"
    other.serve()
    _, asked = other.park(5)
    relay.retry(6, asked)
    ((_, _, params),) = relay.frames(v1.Call)
    assert json.loads(params)["requestState"] == asked["requestState"] and relay.client() == []


def test_a_state_is_for_the_request_it_was_given_to(relay: ParkingDriver) -> None:
    _, asked = relay.park(5)
    relay.retry(6, asked, name="slow__think")
    assert "another request" in relay.refused()
    relay.retry(6, asked, method="prompts/get")
    assert "another request" in relay.refused() and relay.frames(v1.Call) == []


@pytest.mark.parametrize("responses", [[], 5, "x", {"a": 5}, {"a": []}, {"a": None}])
def test_responses_of_another_shape_are_refused_and_change_nothing(
    relay: ParkingDriver, responses: object
) -> None:
    _, asked = relay.park(5)
    relay.retry(6, asked, responses)
    assert "inputResponses" in relay.refused()
    relay.retry(6, asked)
    assert relay.answered()


def test_a_state_of_somebody_elses_goes_to_the_backend(relay: ParkingDriver) -> None:
    """A modern backend has its own, which nobody else can judge."""
    relay.retry(6, {"requestState": "theirs", "inputRequests": {}})
    ((_, message, payload),) = relay.frames(v1.Call)
    assert message.name == "files__read" and json.loads(payload)["requestState"] == "theirs"


def test_a_legacy_request_may_have_any_member(relay: ParkingDriver) -> None:
    relay.begin(5)
    relay.question()
    state = relay.parked(5)["requestState"]
    relay.line(request(6, "initialize", protocolVersion="2025-11-25", capabilities={}))
    relay.line(request(7, "tools/call", name="files__read", requestState=state))
    assert relay.one(v1.Call).era == v1.LEGACY


@pytest.mark.parametrize(
    ("method", "params", "capabilities", "word"),
    [
        ("elicitation/create", {}, {"roots": {}}, "elicitation"),
        ("elicitation/create", {"mode": "url"}, {"elicitation": {}}, "elicitation.url"),
        ("sampling/createMessage", {"tools": []}, {"sampling": {}}, "sampling.tools"),
        ("tools/call", {}, {"tools": {}}, "tools/call"),
    ],
)
def test_what_the_request_does_not_declare_is_refused_as_the_client_would(
    method: str, params: object, capabilities: dict[str, object], word: str
) -> None:
    relay = ParkingDriver()
    relay.serve(**capabilities)
    relay.begin(5)
    relay.question(method=method, params=params)
    ((_, _, members),) = relay.answered()
    assert members["error"]["code"] in {-32601, -32602} and word in members["error"]["message"]
    assert relay.client() == [] and list(relay.state.requests) == [5] and not relay.state.asks


def test_parts_of_capabilities_that_are_declared_are_asked_for() -> None:
    relay = ParkingDriver()
    relay.serve(elicitation={"url": {}}, sampling={"tools": {}})
    relay.begin(5)
    relay.question(b"1", params={"mode": "url", "url": "https://x", "message": "?"})
    relay.question(b"2", "sampling/createMessage", params={"tools": []})
    assert relay.parked(5) and len(relay.state.asks) == 2


def test_the_envelope_of_the_last_retry_says_what_can_be_asked(relay: ParkingDriver) -> None:
    relay.begin(5)
    relay.question(b"1")
    asked = relay.parked(5)
    relay.capabilities = {"roots": {}}
    relay.retry(6, asked)
    relay.answered()
    relay.question(b"2")
    ((_, _, members),) = relay.answered()
    assert "elicitation" in members["error"]["message"] and relay.client() == []


def test_outside_of_a_request_nobody_can_be_asked(relay: ParkingDriver) -> None:
    relay.question()
    relay.begin(5, "slow__think")
    relay.question(b"2")
    relay.line(relay.modern(6, "completion/complete", ref={}))
    relay.frame(v1.Routed(relay.one(v1.Call).call, "files"))
    relay.question(b"3")
    errors = [members["error"]["code"] for _, _, members in relay.answered()]
    assert errors == [-32601] * 3 and relay.client() == []


def test_who_shakes_hands_later_is_not_asked_again_what_is_parked(relay: ParkingDriver) -> None:
    _, asked = relay.park(5)
    info = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}}
    relay.line(request("init", "initialize", **info))
    relay.line(notification("notifications/initialized"))
    assert "elicitation/create" not in [line.get("method") for line in relay.client()]
    relay.retry(6, asked)
    assert relay.answered()


def test_no_id_of_the_clients_is_taken_for_a_parked_request(relay: ParkingDriver) -> None:
    other = relay.begin("\x00parked 1", "slow__think")
    number, asked = relay.park(5)
    relay.reply(other)
    assert [line["id"] for line in relay.client()] == ["\x00parked 1"]
    relay.retry(6, asked)
    relay.reply(number)
    assert [line["id"] for line in relay.client()] == [6] and relay.state.calls == {}


def test_there_is_a_limit_to_questions(relay: ParkingDriver) -> None:
    relay.begin(5)
    for number in range(ASKS_MAX):
        relay.question(b"%d" % number)
    relay.parked(5)
    relay.question(b"one more")
    ((_, _, members),) = relay.answered()
    assert str(ASKS_MAX) in members["error"]["message"] and len(relay.state.asks) == ASKS_MAX


def test_there_is_a_limit_to_parked_requests(
    relay: ParkingDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "PARKED_MAX", 2)
    for key in range(3):
        relay.begin(key)
        relay.question(b"%d" % key)
    ((_, backend_id, members),) = relay.answered()
    assert backend_id == b"2" and "2 requests" in members["error"]["message"]
