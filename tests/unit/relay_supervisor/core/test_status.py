"""`relayctl status` gets one instance of the documented JSON, whatever state the relay is in."""

import base64
import json
from typing import Any

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.wire import cache, control_v1, v1
from relay_worker.backends.base import State
from tests.unit.relay_supervisor.core.driver import BODY, Driver, call
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver


def ask(relay: Driver, line: bytes) -> control_v1.Reply:
    """relayctl asks; returns the reply, which must be the last."""
    relay.do(events.ControlRequested(3, line))
    (effect,) = relay.take(effects.ReplyToControl)
    assert effect.connection == 3 and effect.done and effect.line.count(b"\n") == 1
    return control_v1.decode_reply(effect.line)


def status(relay: Driver) -> Any:
    """The instance as relayctl sees it."""
    reply = ask(relay, control_v1.encode(control_v1.Request("status")))
    assert reply.error is None and reply.done
    return json.loads(bytes(reply.result))


def test_all_documented_members_are_there_and_true() -> None:
    relay = Driver()
    pid = relay.serve()
    relay.frame(v1.BackendState("files", "ready", 61, 2))
    relay.frame(v1.BackendState("slow", "ready", 62, 1))
    relay.line(call(1))
    relay.wait(0.25)
    relay.reply(1)
    relay.line(call(2))
    got = status(relay)
    assert got["id"] == "i1" and got["health"] == "ok"
    assert got["supervisor"]["pid"] == 4000 and got["supervisor"]["version"] == "9.9"
    assert got["supervisor"]["uptime_s"] == 0.25 and got["supervisor"]["reexecs"] == 0
    assert got["client"] == {
        "name": "tester",
        "version": "1",
        "era": "legacy",
        "protocol": "2025-11-25",
    }
    (worker,) = got["workers"]
    assert (worker["generation"], worker["pid"], worker["state"]) == (1, pid, "active")
    assert (worker["release"], worker["in_flight"]) == ("9.8", 1)
    assert (got["calls"]["total"], got["calls"]["in_flight"], got["calls"]["queued"]) == (2, 1, 0)
    assert got["calls"]["p50_ms"] == got["calls"]["p99_ms"] == pytest.approx(250.0)
    assert (got["registry"]["tools"], got["registry"]["digest"]) == (2, "d1")
    assert [b["name"] for b in got["backends"]] == ["files", "slow"]
    files = got["backends"][0]
    assert (files["kind"], files["state"], files["pid"]) == ("stdio", "ready", 61)
    assert (files["tools"], files["calls"], files["errors"]) == (2, 2, 0)
    assert got["last_swap"] is None


def test_it_says_how_signals_find_each_process() -> None:
    relay = Driver()
    relay.serve()
    relay.do(events.BackendSpawned(1, 8, "files", 61))
    relay.do(events.BackendSpawned(1, 9, "slow", 62, pidfd=True))
    relay.frame(v1.BackendState("files", "ready", 61, 2))
    relay.frame(v1.BackendState("slow", "ready", 62, 1))
    got = status(relay)
    assert [one["signalled_by"] for one in got["workers"]] == ["pid"]
    assert [one["signalled_by"] for one in got["backends"]] == ["pid", "pidfd"]
    other = Driver()
    other.do(events.Started())
    assert status(other)["workers"][0]["signalled_by"] is None
    other.do(events.WorkerSpawned(1, 5001, pidfd=True))
    assert status(other)["workers"][0]["signalled_by"] == "pidfd"


def test_health_goes_from_starting_to_ok_to_degraded_and_back() -> None:
    relay = Driver()
    relay.do(events.Started())
    assert status(relay)["health"] == "starting"
    relay.hatch()
    relay.configure()
    assert status(relay)["health"] == "starting", "no backend has been reported yet"
    for name in ("files", "slow"):
        relay.frame(v1.BackendState(name, "ready"))
    assert status(relay)["health"] == "ok"
    relay.do(events.WorkerPipeFailed(1, "gone"))
    assert status(relay)["health"] == "degraded"
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2)
    for name in ("files", "slow"):
        relay.frame(v1.BackendState(name, "ready"), generation=2)
    assert status(relay)["health"] == "ok"


HEALTH_BY_WORD = {
    "disabled": "ok",
    "idle": "ok",
    "starting": "starting",
    "awaited": "starting",
    "ready": "ok",
    "stopping": "ok",
    "restarting": "degraded",
    "backing_off": "degraded",
    "failed": "degraded",
}


@pytest.mark.parametrize(("word", "health"), HEALTH_BY_WORD.items())
def test_one_backend_decides_the_health_of_a_relay_that_is_well_otherwise(
    word: str, health: str
) -> None:
    relay = Driver()
    relay.serve()
    relay.frame(v1.BackendState("slow", "ready"))
    relay.frame(v1.BackendState("files", word))
    assert status(relay)["health"] == health


def test_every_word_a_worker_can_report_stands_for_a_health() -> None:
    assert {state.word for state in State} == set(HEALTH_BY_WORD)


def test_before_anything_happened_there_is_a_status_too() -> None:
    got = status(Driver())
    assert got["client"]["era"] is None and got["workers"] == [] and got["calls"]["p50_ms"] is None


def test_held_requests_and_quarantined_items_are_shown() -> None:
    relay = Driver()
    relay.start()
    bad = cache.Quarantined("files", "tool", "broken", "no inputSchema")
    relay.catalogue(cache.Body(tools=BODY.tools, quarantined=[bad]), "d2")
    relay.greet()
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.line(call(1))
    got = status(relay)
    assert got["calls"]["queued"] == 1
    assert got["registry"]["quarantined"] == [
        {"backend": "files", "kind": "tool", "name": "broken", "reason": "no inputSchema"}
    ]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", "bad_request"),
        (b"{", "bad_request"),
        (b"[]", "bad_request"),
        (b'{"op":5}', "bad_request"),
        (b'{"op":"\xff"}', "bad_request"),
        (b"[" * 100_000, "bad_request"),
        (b'{"op":"status","v":2}', "version"),
        (b'{"op":"fly"}', "unknown_op"),
    ],
)
def test_a_request_that_is_none_is_refused_by_name(line: bytes, code: str) -> None:
    reply = ask(Driver(), line)
    assert reply.error is not None and reply.error.code == code and reply.error.message


def test_a_tool_of_the_relays_own_gets_the_same_status() -> None:
    relay = Driver()
    relay.serve()
    relay.frame(v1.StatusRequest(77))
    ((generation, message, payload),) = relay.frames(v1.StatusReply)
    assert (generation, message) == (1, v1.StatusReply(77))
    assert json.loads(payload) == status(relay)


def test_latencies_are_of_the_last_answers_only() -> None:
    relay = Driver()
    relay.serve()
    for number in range(1100):
        relay.line(call(1))
        relay.wait(1.0 if number < 76 else 0.002)
        relay.reply(number + 1)
    got = status(relay)["calls"]
    assert got["p99_ms"] == pytest.approx(2.0) and got["total"] == 1100
    assert len(relay.state.counts.latencies) == 1024


def test_the_configuration_in_force_is_told_byte_for_byte() -> None:
    relay = Driver()
    relay.start()
    relay.frame(v1.ConfigRead(), b"\xffbackends: {}\r\n")
    reply = ask(relay, control_v1.encode(control_v1.Request("configuration")))
    told = json.loads(bytes(reply.result))
    assert told["path"] == "/etc/relay.yaml"
    assert base64.b64decode(told["content"]) == b"backends: {}\n", "of the pair that is committed"


def test_releases_that_may_be_started_again_are_kept() -> None:
    relay = SwapDriver()
    relay.serve()
    assert status(relay)["releases_kept"] == []
    for number, name in ((2, "one"), (3, "two"), (4, "one")):
        relay.swap(python=f"/{name}", release=name)
        relay.candidate(number)
        relay.wanted.clear()
        assert name not in status(relay)["releases_kept"] or number == 4, "it is not committed yet"
        relay.wait(FAST.probation_seconds)
        relay.wanted.clear()
    assert status(relay)["releases_kept"] == ["one", "two"]
