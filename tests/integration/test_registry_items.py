"""What a backend lists badly is left out and reported; what it names oddly gets a safe name."""

import re

import mcp_types
import pytest

from tests.harness import RawClient, Relay, RpcError, fixture_backend, json_of, start_fixture
from tests.integration.through import configuration, names, relayed

CLAUDE_CODE_NAME_CHARS_MAX = 64
"""Of mcp__relay__TOOL; what every client and model API takes."""
SAFE = re.compile(r"[A-Za-z0-9_-]+\Z")
TOOLS_CHANGED = "notifications/tools/list_changed"

UNFIT = (
    "no_schema",
    "schema_string",
    "schema_array",
    "null_description",
    "not_object",
    "no_name",
    "number_name",
    "bad_icons",
    "bad_annotations",
)
ODD = {"odd_name": "bad.odd name/ü", "long_name": "bad_long_name_" + "n" * 140}


class TestQuarantine:
    @pytest.mark.parametrize("kind", UNFIT)
    def test_a_bad_tool_hides_no_other(self, kind: str) -> None:
        """In Claude Code one of these would empty the whole list."""
        plain = ("--plain-only", "--tools", "3")
        backends = {"x": fixture_backend(*plain, "--bad-tool", kind), "y": fixture_backend(*plain)}
        with relayed(backends) as relay:
            result = relay.client.request("tools/list")
            mcp_types.ListToolsResult.model_validate(result)
            expected = [f"{name}__plain_{n:04}" for name in "xy" for n in range(3)]
            assert names(result["tools"]) == sorted(["relay__status", *expected])
            assert json_of(relay.client.call_tool("x__plain_0000"))["tool"] == "plain_0000"
            (reported,) = relay.status()["registry"]["quarantined"]
            assert (reported["backend"], reported["kind"]) == ("x", "tools")
            assert reported["reason"]
            if kind not in {"not_object", "no_name", "number_name"}:
                assert reported["name"] == f"bad_{kind}"

    def test_of_two_with_one_name_the_first_counts(self) -> None:
        """A second one of that name would be lost in the client, or worse."""
        with relayed({"a": fixture_backend("--bad-tool", "duplicate_name")}) as relay:
            tools = relay.client.list_all("tools")
            (echo,) = [tool for tool in tools if tool["name"] == "a__echo"]
            assert echo["description"] != "a second echo"
            (reported,) = relay.status()["registry"]["quarantined"]
            assert reported["name"] == "echo" and "twice" in reported["reason"]

    def test_all_kinds_at_once(self) -> None:
        """And a person can read in the table what was left out."""
        flags = [f"--bad-tool={kind}" for kind in UNFIT]
        with relayed({"bad": fixture_backend(*flags)}) as relay:
            assert "bad__echo" in names(relay.client.list_all("tools"))
            assert len(relay.status()["registry"]["quarantined"]) == len(UNFIT)
            shown = relay.relayctl("status").stdout
            assert "bad_no_schema" in shown and "inputSchema" in shown


class TestNames:
    @pytest.mark.parametrize("kind", ODD)
    def test_an_odd_name_becomes_a_safe_one_and_is_called_by_it(self, kind: str) -> None:
        """Only what every client keeps as it is, short enough, with a hash, stable."""
        seen = set()
        for _ in range(2):
            with relayed({"a": fixture_backend("--bad-tool", kind)}) as relay:
                listed = names(relay.client.list_all("tools"))
                (shown,) = [name for name in listed if re.match("a__bad_(odd|long)", name)]
                seen.add(shown)
                assert SAFE.match(shown)
                assert len(f"mcp__relay__{shown}") <= CLAUDE_CODE_NAME_CHARS_MAX
                assert re.search(r"_[0-9a-f]{8}\Z", shown)
                # The fixture lists it without having it: its own error proves where it went.
                with pytest.raises(RpcError) as refused:
                    relay.client.call_tool(shown)
                assert ODD[kind] in refused.value.message
        assert len(seen) == 1

    def test_names_that_a_client_would_make_one(self) -> None:
        """`x.y`, `x y` and `x_y` are three tools, and stay so whatever comes and goes."""
        with relayed() as relay:
            client = relay.client
            before = names(client.list_all("tools"))
            shown: dict[str, str] = {}
            for own in ("x.y", "x y", "x_y"):
                client.call_tool("a__add_tool", {"name": own})
                client.wait_notification(TOOLS_CHANGED)
                listed = names(client.list_all("tools"))
                (shown[own],) = set(listed) - set(before) - set(shown.values())
                assert set(before) | set(shown.values()) == set(listed), "another was renamed"
            assert shown["x_y"] == "a__x_y"
            for own, name in shown.items():
                assert SAFE.match(name)
                assert json_of(client.call_tool(name))["called"] == own

    def test_separator_and_prefix_are_settings(self) -> None:
        """`separator: "-"`; the relay's own tool follows."""
        with relayed(separator="-") as relay:
            listed = names(relay.client.list_all("tools"))
            assert {"a-echo", "relay-status"} <= set(listed)
            assert json_of(relay.client.call_tool("a-echo", {"x": 1})) == {"x": 1}

    def test_without_prefix_it_looks_as_without_the_relay(self) -> None:
        """One backend, `prefix: false`, no tools of the relay's own: the very same lists."""
        config = configuration(prefix=False, builtin_tools=False)
        with start_fixture() as direct, Relay(config) as relay:
            relay.client.initialize(capabilities={"roots": {}})
            for what in ("tools", "prompts", "resources", "resources/templates"):
                through = relay.client.list_all(what)
                own = direct.list_all(what)
                assert sorted(through, key=str) == sorted(own, key=str)
            assert json_of(relay.client.call_tool("echo", {"x": 1})) == {"x": 1}
            params = {"name": "greet", "arguments": {"name": "Ada"}}
            assert relay.client.request("prompts/get", params) == direct.request(
                "prompts/get", params
            )

    def test_without_prefix_the_first_backend_keeps_a_contested_name(self) -> None:
        """The other's gets a hash; both are there, and the log tells."""
        backends = {"one": fixture_backend("--name", "one"), "two": fixture_backend()}
        with Relay(configuration(backends, prefix=False)) as relay:
            client = relay.client
            client.initialize()
            echoes = [name for name in names(client.list_all("tools")) if name[:4] == "echo"]
            plain, hashed = sorted(echoes)
            assert plain == "echo" and re.fullmatch(r"echo_[0-9a-f]{8}", hashed)
            pids = {json_of(client.call_tool(name))["pid"] for name in pid_tools(client)}
            assert len(pids) == 2
            assert pids == {relay.backend("one")["pid"], relay.backend("two")["pid"]}
            relay.wait_logged(hashed)

    def test_a_backend_with_an_odd_name(self) -> None:
        """Its name becomes part of tool names: made safe, with a hash, still one prefix."""
        with relayed({"my.server": fixture_backend("--plain-only", "--tools", "2")}) as relay:
            listed = [n for n in names(relay.client.list_all("tools")) if n != "relay__status"]
            assert len(listed) == 2
            for number, name in enumerate(listed):
                assert SAFE.match(name)
                assert json_of(relay.client.call_tool(name))["tool"] == f"plain_{number:04}"


def pid_tools(client: RawClient) -> list[str]:
    """The tools named pid, or pid and a hash."""
    found = [n for n in names(client.list_all("tools")) if re.fullmatch(r"pid(_[0-9a-f]{8})?", n)]
    assert len(found) == 2
    return found
