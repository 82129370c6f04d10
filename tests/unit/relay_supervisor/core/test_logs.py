"""A modern client hears what a backend logs for a request that has asked for it, and no more."""

import pytest

from relay_supervisor.core.logs import LEVELS
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import Driver, modern

LOG_LEVEL = "io.modelcontextprotocol/logLevel"


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.start()
    return driver


def logs(relay: Driver, level: object = "info", backend: str = "files") -> list[object]:
    """What the client hears of a backend that logs."""
    message = v1.Notification(backend, "notifications/message")
    relay.frame(message, b'{"level":"%s","data":1}' % str(level).encode())
    return relay.client()


def begin(relay: Driver, key: int, **meta: object) -> v1.Call:
    """A call at `files` that asks so."""
    params = {"name": "files__read", "arguments": {}}
    relay.line(modern(key, "tools/call", _meta=meta, **params))
    return relay.one(v1.Call)


def test_from_the_level_that_it_names(relay: Driver) -> None:
    call = begin(relay, 1, **{LOG_LEVEL: "warning"})
    heard = [level for level in LEVELS if logs(relay, level)]
    assert heard == ["warning", "error", "critical", "alert", "emergency"]
    assert logs(relay, "fatal") == [] and logs(relay, "error", "slow") == []
    relay.reply(call.call)
    relay.client()
    assert logs(relay, "error") == []


def test_one_that_names_none_wants_none(relay: Driver) -> None:
    begin(relay, 1)
    assert logs(relay, "emergency") == []
    begin(relay, 2, **{LOG_LEVEL: "loud"})
    assert logs(relay, "emergency") == []


def test_nothing_else_is_told_without_being_asked_for(relay: Driver) -> None:
    begin(relay, 1, **{LOG_LEVEL: "debug"})
    relay.frame(v1.Notification("files", "notifications/x"), b'{"level":"error"}')
    assert relay.client() == []
