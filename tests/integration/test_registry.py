"""The registry: lists from the disk before any backend is up, the same bytes every time.

The backends here are scripts, so that a server can change between two starts of the relay while the
configuration, by which the cache is kept, does not.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness import (
    RawClient,
    Relay,
    RelayHome,
    eventually,
    fixture_argv,
    fixture_backend,
    json_of,
    side_effects,
    start_fixture,
    stopwatch,
    wait_until,
)
from tests.integration.through import backend_state, configuration, names

LISTS = ("tools", "prompts", "resources", "resources/templates")
TOOLS_CHANGED = "notifications/tools/list_changed"
SERVERS_MAX = 8
"""A relay with all lists is up within the time that so many small servers take, one by one."""


def write_script(path: Path, *argv: str) -> None:
    """Make a program that runs argv."""
    path.write_text(f"#!/bin/sh\nexec {shlex.join(argv)}\n")
    path.chmod(0o755)


def scripted(home: RelayHome, *flags: str, **settings: Any) -> dict[str, Any]:
    """A fixture server as a backend, started by HOME/server, which can be written anew."""
    write_script(home.root / "server", *fixture_argv(*flags))
    return {"command": str(home.root / "server"), **settings}


@contextmanager
def started(
    home: RelayHome, config: Mapping[str, Any], capabilities: Mapping[str, Any] | None = None
) -> Iterator[Relay]:
    """A relay after the handshake."""
    with Relay(config, home=home) as relay:
        relay.client.initialize(capabilities=capabilities)
        yield relay


def raw_lists(client: RawClient) -> list[bytes]:
    """The four lists as bytes, asked for under the same ids each time."""
    return [
        client.response(client.start(f"{what}/list", request_id=f"list-{what}")).raw
        for what in LISTS
    ]


class TestSlowBackend:
    def test_five_seconds_to_start(self, home: RelayHome) -> None:
        """Cold: 4 s at most, then list_changed. Second start: all tools in a tenth of its time."""
        slow = fixture_backend("--start-delay", "5", "--tools", "97")
        config = {"backends": {"slow": slow, "quick": fixture_backend()}}
        with started(home, config) as relay:
            elapsed = stopwatch()
            first = names(relay.client.list_all("tools"))
            assert elapsed() < 5.0
            assert "quick__echo" in first and "slow__echo" not in first
            relay.client.wait_notification(TOOLS_CHANGED)
            assert "slow__plain_0096" in names(relay.client.list_all("tools"))
        # The best of three, and beside a server alone: what else the machine does is not the
        # relay's doing.
        seconds, alone = [], []
        for attempt in range(3):
            elapsed = stopwatch()
            with start_fixture():
                alone.append(elapsed())
            elapsed = stopwatch()
            with started(home, config) as relay:
                assert "slow__plain_0096" in names(relay.client.list_all("tools"))
                seconds.append(elapsed())
                if attempt == 2:
                    call = relay.client.start_tool("slow__echo", {"x": 1})
                    quick = relay.client.call_tool("quick__echo", {"x": 2})
                    assert json_of(quick) == {"x": 2}
                    assert not relay.client.answered(call), "it cannot be up yet"
                    assert json_of(relay.client.response(call).result) == {"x": 1}
                    assert not relay.client.notifications(TOOLS_CHANGED)
        limit = max(0.5, SERVERS_MAX * min(alone))
        assert min(seconds) < limit, f"from process start to tools/list: {seconds}, {alone} alone"

    def test_the_first_list_waits_no_longer_than_set(self, home: RelayHome) -> None:
        """first_list_wait_seconds; who comes later is announced, who never comes harms nobody."""
        late = fixture_backend("--start-delay", "1")
        backends = {"late": late, "never": fixture_backend("--start-delay", "600")}
        with started(home, configuration(backends, first_list_wait_seconds=0.1)) as relay:
            elapsed = stopwatch()
            assert names(relay.client.list_all("tools")) == ["relay__status"]
            assert elapsed() < 3.0, "the default is 4 s"
            relay.client.wait_notification(TOOLS_CHANGED)
            assert "late__echo" in names(relay.client.list_all("tools"))

    def test_it_does_not_wait_once_all_are_there(self, home: RelayHome) -> None:
        """The wait is a bound and not a delay."""
        backends = {"a": fixture_backend("--start-delay", "0.3"), "b": fixture_backend()}
        with started(home, configuration(backends, first_list_wait_seconds=600)) as relay:
            listed = names(relay.client.list_all("tools"))
            assert {"a__echo", "b__echo"} <= set(listed)
            assert not relay.client.notifications(TOOLS_CHANGED)


class TestFromDisk:
    def test_a_backend_that_is_down_keeps_its_tools(self, home: RelayHome) -> None:
        """Listed from the cache; a call says whose fault it is; the others are not affected."""
        backends = {"down": scripted(home), "up": fixture_backend()}
        config = configuration(backends, restart_attempts_max=1, restart_delay_seconds=0.1)
        with started(home, config) as relay:
            before = raw_lists(relay.client)
        write_script(home.root / "server", *fixture_argv("--exit-at-start", "7"))
        with started(home, config) as relay:
            assert raw_lists(relay.client) == before
            result = relay.client.call_tool("down__echo")
            assert result["isError"] is True
            assert "down" in result["content"][0]["text"]
            assert "status 7" in result["content"][0]["text"]
            assert json_of(relay.client.call_tool("up__echo", {"x": 1})) == {"x": 1}
            wait_until(lambda: backend_state(relay.client, "down")["state"] == "failed", 10)
            assert backend_state(relay.client, "down")["tools"] > 0
            assert raw_lists_again(relay.client) == names_of(before)
            assert not relay.client.notifications(TOOLS_CHANGED)

    def test_a_lazy_backend_is_started_by_a_call_only(self, home: RelayHome) -> None:
        """Started once to learn its lists; from then on the cache has them."""
        lazy = fixture_backend("--log", "effects", start="lazy")
        config = configuration({"lazy": lazy})
        log = home.project / "effects"
        with started(home, config) as relay:
            assert "lazy__echo" in names(relay.client.list_all("tools"))
        assert len(side_effects(log, "start")) == 1
        with started(home, config) as relay:
            assert "lazy__echo" in names(relay.client.list_all("tools"))
            relay.client.call_tool("relay__status")
            assert len(side_effects(log, "start")) == 1
            assert json_of(relay.client.call_tool("lazy__echo", {"x": 1})) == {"x": 1}
        assert len(side_effects(log, "start")) == 2

    def test_what_has_changed_meanwhile_is_announced(self, home: RelayHome) -> None:
        """The cache is served at once, the truth follows with list_changed."""
        config = configuration({"a": scripted(home, "--plain-only", "--tools", "2")})
        with started(home, config) as relay:
            relay.client.list_all("tools")
        flags = ("--plain-only", "--tools", "3", "--start-delay", "0.5")
        write_script(home.root / "server", *fixture_argv(*flags))
        with started(home, config) as relay:
            assert "a__plain_0002" not in names(relay.client.list_all("tools"))
            relay.client.wait_notification(TOOLS_CHANGED)
            assert "a__plain_0002" in names(relay.client.list_all("tools"))

    def test_clients_with_other_capabilities_have_other_lists(self, home: RelayHome) -> None:
        """Some servers go by them; nobody is served the list of another client."""
        config = configuration({"a": fixture_backend("--tools-by-capability")})
        for _ in range(2):
            for capabilities in ({"roots": {}}, {"sampling": {}}):
                with started(home, config, capabilities) as relay:
                    listed = names(relay.client.list_all("tools"))
                    assert ("a__roots" in listed) == ("roots" in capabilities)
                    assert ("a__sample" in listed) == ("sampling" in capabilities)
                    assert not relay.client.notifications(TOOLS_CHANGED)

    def test_an_edited_configuration_counts_at_once(self, home: RelayHome) -> None:
        """What was cached under the old one is not shown under the new one."""
        backend = fixture_backend("--plain-only", "--tools", "3")
        for rules, left in (({}, 3), ({"deny": ["*_0001"]}, 2), ({"allow": ["*_0001"]}, 1)):
            with started(home, configuration({"a": {**backend, "tools": rules}})) as relay:
                listed = [n for n in names(relay.client.list_all("tools")) if n[:3] == "a__"]
                assert len(listed) == left


def names_of(lists: list[bytes]) -> list[bytes]:
    """Lists without the ids they were asked for under."""
    return [raw.partition(b'"result"')[2] for raw in lists]


def raw_lists_again(client: RawClient) -> list[bytes]:
    """The four lists as bytes, without ids."""
    return names_of([client.response(client.start(f"{what}/list")).raw for what in LISTS])


class TestSameBytes:
    def test_over_restarts_of_relay_and_backends(self, home: RelayHome) -> None:
        """Whatever order a backend lists in, and whichever is up first."""
        backends = {
            "b": fixture_backend("--tools", "20", "--shuffle"),
            "a": scripted(home, "--tools", "20", "--shuffle"),
        }
        config = configuration(backends)
        seen = set()
        for delay in ("0", "0.3", "0"):
            flags = ("--tools", "20", "--shuffle", "--list-delay", delay)
            write_script(home.root / "server", *fixture_argv(*flags))
            with started(home, config) as relay:
                seen.add(tuple(raw_lists(relay.client)))
                # Up, asked anew, and again after their death: nothing to tell.
                relay.client.start_tool("a__die")
                relay.client.call_tool("a__echo")
                relay.client.call_tool("b__list_changed", {"times": 3})
                eventually(lambda r=relay: ready_after_restart(r.client), 10)
                assert names_of(next(iter(seen))) == raw_lists_again(relay.client)
                assert not relay.client.notifications(TOOLS_CHANGED)
        assert len(seen) == 1

    def test_without_any_cache(self, home: RelayHome) -> None:
        """Learned anew, the lists are what they were."""
        config = configuration({"a": fixture_backend("--shuffle"), "b": fixture_backend()})
        seen = set()
        for _ in range(2):
            with started(home, config) as relay:
                seen.add(tuple(raw_lists(relay.client)))
            for cached in [path for path in home.state.rglob("*") if path.is_file()]:
                cached.unlink()
        assert len(seen) == 1


def ready_after_restart(client: RawClient) -> None:
    """Fail unless backend a has come back."""
    state = backend_state(client, "a")
    assert (state["state"], state["restarts"]) == ("ready", 1)
