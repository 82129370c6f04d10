"""A new worker is told all of the session that the old one knew, and both hear what changes."""

import json

import pytest

from relay_supervisor.core import events
from relay_supervisor.core.registry import LINKS_MAX
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import BACKENDS, modern, notification, request
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver


@pytest.fixture
def relay() -> SwapDriver:
    driver = SwapDriver()
    driver.serve(roots={"listChanged": True})
    return driver


def test_the_candidate_is_told_who_the_client_is_and_what_was_learned(relay: SwapDriver) -> None:
    relay.frame(v1.LearnedLists("files", "h1"), b"lists of files")
    relay.ask(request(1, "logging/setLevel", level="debug"))
    relay.line(request(2, "resources/subscribe", uri="file:///a"))
    relay.reply(1)
    relay.swap()
    relay.hatch(2)
    relay.wanted.clear()
    relay.configure(2, limits=FAST)
    told = [(type(m), m, p) for g, m, p in relay.frames(v1.Message) if g == 2]
    assert [kind for kind, _, _ in told] == [v1.KnownLists, v1.Session, v1.Subscriptions]
    assert told[0][1:] == (v1.KnownLists("files", "h1"), b"lists of files")
    session = told[1][1]
    assert (session.era, session.protocol, session.log_level) == (0, "2025-11-25", "debug")
    params = json.loads(told[1][2])
    assert params["clientInfo"] == {"name": "tester", "version": "1"}
    assert params["capabilities"] == {"roots": {"listChanged": True}}
    assert told[2][1] == v1.Subscriptions(["file:///a"])


def test_open_subscriptions_of_a_modern_client_are_told_too() -> None:
    relay = SwapDriver()
    relay.start(limits=FAST)
    wanted = {"resourceSubscriptions": ["file:///a", "file:///b"], "toolsListChanged": True}
    relay.line(modern("l", "subscriptions/listen", notifications=wanted))
    relay.line(modern(1, "tools/list"))
    relay.ready(1)
    relay.swap()
    relay.hatch(2)
    relay.wanted.clear()
    relay.configure(2, limits=FAST)
    assert [m for g, m in relay.to_worker(v1.Subscriptions) if g == 2] == [
        v1.Subscriptions(["file:///a", "file:///b"])
    ]
    assert relay.one(v1.Session).era == v1.MODERN


def test_a_listen_goes_on_over_the_swap_and_hears_of_the_new_worker() -> None:
    relay = SwapDriver()
    relay.start(limits=FAST)
    wanted = {"resourceSubscriptions": ["file:///a"]}
    relay.line(modern("l", "subscriptions/listen", notifications=wanted))
    relay.line(modern(1, "tools/list"))
    relay.ready(1)
    relay.swap()
    relay.candidate(2)
    relay.client()
    updated = v1.Notification("files", "notifications/resources/updated")
    relay.frame(updated, b'{"uri":"file:///a"}', 2)
    (told,) = relay.client()
    assert told["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "l"}
    assert "l" in relay.state.requests, "it is answered only at its end"


@pytest.mark.parametrize("committed", [False, True])
def test_what_changes_later_is_told_to_every_worker_that_knows_the_client(
    relay: SwapDriver, committed: bool
) -> None:
    """The one that stands by may be gone back to, the one that drains still has calls."""
    relay.call_on("long")
    relay.swap()
    relay.candidate(2)
    if committed:
        relay.wait(FAST.probation_seconds)
    relay.wanted.clear()
    relay.ask(request(1, "logging/setLevel", level="error"))
    assert relay.to_worker(v1.SetLevel) == [(n, v1.SetLevel("error")) for n in (1, 2)]
    relay.line(notification("notifications/roots/list_changed"))
    assert [g for g, _ in relay.to_worker(v1.ClientNotification)] == [1, 2]
    listen = modern("l", "subscriptions/listen", notifications={"resourceSubscriptions": ["u"]})
    relay.line(listen)
    assert relay.to_worker(v1.Subscriptions) == [(n, v1.Subscriptions(["u"])) for n in (1, 2)]


def test_a_candidate_that_does_not_know_the_client_yet_is_told_all_at_once(
    relay: SwapDriver,
) -> None:
    relay.swap()
    relay.hatch(2)
    relay.ask(request(1, "logging/setLevel", level="error"))
    assert relay.to_worker(v1.SetLevel) == [(1, v1.SetLevel("error"))]
    relay.configure(2, limits=FAST)
    assert relay.one(v1.Session).log_level == "error"


def test_a_client_that_comes_while_a_candidate_warms_is_made_known_to_both() -> None:
    relay = SwapDriver()
    relay.start(limits=FAST)
    relay.ready(1)
    relay.swap()
    relay.hatch(2)
    relay.configure(2, limits=FAST)
    assert relay.frames(v1.Session) == []
    relay.ask(request("init", "initialize", protocolVersion="2025-11-25", capabilities={}))
    assert [generation for generation, _ in relay.to_worker(v1.Session)] == [1, 2]


def test_the_dead_are_told_nothing(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2)
    relay.wait(FAST.probation_seconds)
    relay.die(1)
    relay.wanted.clear()
    relay.ask(request(1, "logging/setLevel", level="error"))
    assert relay.to_worker(v1.SetLevel) == [(2, v1.SetLevel("error"))]


@pytest.mark.parametrize("change", ["subscribe", "unsubscribe"])
def test_a_subscription_made_with_one_worker_is_told_to_the_others(
    relay: SwapDriver, change: str
) -> None:
    """It is a call like any other; whoever serves next, or is gone back to, has not seen it."""
    relay.line(request(1, "resources/subscribe", uri="file:///a"))
    relay.reply(1)
    assert relay.to_worker(v1.Subscriptions) == [], "it knows by the call"
    relay.swap()
    relay.candidate(2)
    relay.wanted.clear()
    relay.line(request(2, f"resources/{change}", uri="file:///b"))
    relay.line(request(3, f"resources/{change}", uri="file:///a"))
    for generation, message in relay.to_worker(v1.Call):
        assert generation == 2
        relay.reply(message.call, generation=2)
    uris = ["file:///a", "file:///b"] if change == "subscribe" else []
    assert relay.to_worker(v1.Subscriptions) == [(1, v1.Subscriptions(uris))]


class TestRemoteSessions:
    """What workers share of a session with a remote server."""

    REMOTE = (*BACKENDS, v1.BackendInfo("search", "http"))

    @pytest.fixture
    def relay(self) -> SwapDriver:
        driver = SwapDriver()
        driver.do(events.Started())
        driver.hatch()
        driver.configure(limits=FAST, backends=self.REMOTE)
        driver.catalogue()
        driver.greet()
        driver.healthy(1, {"search": "ready"})
        driver.ready(1)
        driver.wanted.clear()
        return driver

    def candidate(self, relay: SwapDriver, number: int) -> None:
        """Bring up a candidate to its readiness."""
        relay.candidate(number, backends=self.REMOTE, states={"search": "ready"})

    def told(self, relay: SwapDriver) -> list[tuple[int, v1.Message]]:
        """What workers were told of it since the last look."""
        kinds = (v1.KnownSession, v1.Attend)
        return [(g, m) for g, m, _ in relay.frames(v1.Message) if isinstance(m, kinds)]

    def test_the_next_worker_goes_on_with_it_and_hears_when_it_serves(
        self, relay: SwapDriver
    ) -> None:
        relay.frame(v1.LearnedSession("search", "h1"), b"session")
        relay.swap()
        self.candidate(relay, 2)
        assert self.told(relay) == [
            (2, v1.Attend(attend=False)),
            (2, v1.KnownSession("search", "h1")),
            (1, v1.Attend(attend=False)),
            (2, v1.Attend(attend=True)),
        ]

    def test_it_is_given_as_it_came(self, relay: SwapDriver) -> None:
        relay.frame(v1.LearnedSession("search", "h1"), b"session")
        relay.swap()
        self.candidate(relay, 2)
        assert [payload for _, _, payload in relay.frames(v1.KnownSession)] == [b"session"]

    def test_one_that_is_over_is_not_given(self, relay: SwapDriver) -> None:
        relay.frame(v1.LearnedSession("search", "h1"), b"session")
        relay.frame(v1.LearnedSession("search", "h1"), b"")
        relay.swap()
        self.candidate(relay, 2)
        assert not relay.frames(v1.KnownSession)

    def test_what_a_candidate_begins_counts_when_it_serves(self, relay: SwapDriver) -> None:
        relay.frame(v1.LearnedSession("search", "h1"), b"old")
        relay.swap()
        relay.warm(2, backends=self.REMOTE, states={"search": "ready"})
        relay.frame(v1.LearnedSession("search", "h2"), b"new", 2)
        assert relay.relay.shared.registry.sessions["search"].payload == b"old"
        relay.ready(2)
        assert relay.relay.shared.registry.sessions["search"].payload == b"new"

    def test_going_back_gives_back_what_it_hears(self, relay: SwapDriver) -> None:
        relay.swap()
        self.candidate(relay, 2)
        relay.wanted.clear()
        relay.die(2)
        assert self.told(relay) == [(1, v1.Attend(attend=True))]

    def test_after_a_death_the_session_goes_on(self, relay: SwapDriver) -> None:
        relay.frame(v1.LearnedSession("search", "h1"), b"session")
        relay.die(1)
        relay.wait(1.0)
        relay.hatch(2)
        relay.configure(2, limits=FAST, backends=self.REMOTE)
        assert self.told(relay) == [(2, v1.KnownSession("search", "h1"))]

    def test_nobody_without_remote_backends_is_told_anything(self) -> None:
        relay = SwapDriver()
        relay.serve()
        relay.swap()
        relay.candidate(2)
        assert not relay.frames(v1.Attend)


class TestLinks:
    """Whose a resource is that a backend has named and none lists, every worker is to know."""

    def test_a_worker_is_told_at_once(self, relay: SwapDriver) -> None:
        relay.swap()
        relay.warm(2)
        relay.frame(v1.LearnedLinks("files", ["a://1", "a://2"]))
        assert self.told(relay) == [(2, v1.KnownLinks("files", ["a://1", "a://2"]))]
        relay.wanted.clear()
        relay.frame(v1.LearnedLinks("files", ["a://3"]), b"", 2)
        assert self.told(relay) == [(1, v1.KnownLinks("files", ["a://3"]))]

    def test_and_when_it_comes(self, relay: SwapDriver) -> None:
        relay.frame(v1.LearnedLinks("files", ["a://1", "a://2"]))
        relay.frame(v1.LearnedLinks("other", ["a://1"]))
        relay.die(1)
        relay.wait(1.0)
        relay.hatch(2)
        relay.configure(2, limits=FAST)
        assert self.told(relay) == [
            (2, v1.KnownLinks("files", ["a://2"])),
            (2, v1.KnownLinks("other", ["a://1"])),
        ]

    def test_they_are_bounded(self, relay: SwapDriver) -> None:
        relay.frame(v1.LearnedLinks("files", [str(number) for number in range(LINKS_MAX + 1)]))
        links = relay.relay.shared.registry.links
        assert len(links) == LINKS_MAX and "0" not in links

    @staticmethod
    def told(relay: SwapDriver) -> list[tuple[int, v1.Message]]:
        return [(to, message) for to, message, _ in relay.frames(v1.KnownLinks)]
