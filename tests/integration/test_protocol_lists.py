"""The four lists through the relay: what is in them, in which order, and when they change."""

from collections.abc import Iterator

import pytest

from tests.harness import Relay, RpcError, fixture_backend, json_of, start_fixture
from tests.integration.through import names, relayed, seen

KEYS = {
    "tools": "name",
    "prompts": "name",
    "resources": "uri",
    "resources/templates": "uriTemplate",
}
TOOLS_CHANGED = "notifications/tools/list_changed"
PROMPTS_CHANGED = "notifications/prompts/list_changed"
RESOURCES_CHANGED = "notifications/resources/list_changed"


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """One relay with two fixture servers, for tests that change nothing."""
    with relayed({"b": fixture_backend("--prompts", "3"), "a": fixture_backend()}) as relay:
        yield relay


class TestContent:
    @pytest.mark.parametrize("what", KEYS)
    def test_every_item_is_listed_as_the_backend_has_it(self, relay: Relay, what: str) -> None:
        """Nothing but the names of tools and prompts differs from what the server itself lists."""
        with start_fixture() as direct:
            own = direct.list_all(what)
        assert own
        through = relay.client.list_all(what)
        prefix = "a__" if KEYS[what] == "name" else ""
        expected = [{**item, "name": prefix + item["name"]} for item in own]
        assert [item for item in expected if item not in through] == []

    @pytest.mark.parametrize("what", KEYS)
    def test_one_sorted_page(self, relay: Relay, what: str) -> None:
        """Sorted by name or URI, so that the order never depends on who answered first."""
        page = relay.client.request(f"{what}/list")
        assert "nextCursor" not in page
        (items,) = page.values()
        keys = [item[KEYS[what]] for item in items]
        assert keys == sorted(keys) and len(keys) == len(set(keys))

    @pytest.mark.parametrize("what", KEYS)
    def test_an_unknown_cursor_is_refused(self, relay: Relay, what: str) -> None:
        """There is one page, so no cursor was ever given out."""
        with pytest.raises(RpcError) as refused:
            relay.client.request(f"{what}/list", {"cursor": "of another server"})
        assert refused.value.code == -32602

    def test_prompts_of_all_backends_can_be_got(self, relay: Relay) -> None:
        """Prompts are prefixed like tools, and routed back."""
        listed = names(relay.client.list_all("prompts"))
        assert listed == ["a__greet", "b__greet", *(f"b__prompt_{n:04}" for n in range(3))]
        for name in listed:
            got = relay.client.request("prompts/get", {"name": name, "arguments": {"name": "Ada"}})
            own = name.partition("__")[2]
            assert got["messages"][0]["content"]["text"] == f"{own}: name=Ada"

    def test_the_same_resource_of_two_backends_is_listed_once(self, relay: Relay) -> None:
        """URIs are not rewritten: the backend that comes first in the configuration has it."""
        listed = [item["uri"] for item in relay.client.list_all("resources")]
        assert listed == ["fixture://blob", "fixture://text"]
        left_out = relay.status()["registry"]["quarantined"]
        assert {(one["backend"], one["name"]) for one in left_out} >= {("a", "fixture://text")}


class TestPagesOfBackends:
    @pytest.mark.parametrize("size", ["1", "7"])
    def test_all_pages_are_walked(self, size: str) -> None:
        """However a backend pages, the client gets all of it on one page."""
        flags = ("--tools", "20", "--prompts", "20", "--resources", "20")
        with start_fixture(*flags) as direct:
            whole = {what: direct.list_all(what) for what in KEYS}
        with relayed({"a": fixture_backend(*flags, "--page-size", size)}, prefix=False) as relay:
            for what, key in KEYS.items():
                through = {item[key]: item for item in relay.client.list_all(what)}
                assert [i for i in whole[what] if through.get(i[key]) != i] == []

    def test_an_empty_cursor_is_a_cursor(self) -> None:
        """Only an absent nextCursor ends a list."""
        paged = fixture_backend("--page-size", "30", "--page-fault", "empty_cursor")
        with start_fixture() as direct, relayed({"a": paged}) as relay:
            through = names(relay.client.list_all("tools"))
            assert {f"a__{name}" for name in names(direct.list_all("tools"))} <= set(through)

    @pytest.mark.parametrize(
        ("fault", "said"), [("endless", "list_pages_max"), ("loop", "same cursor")]
    )
    def test_a_list_without_end_costs_a_bound(self, fault: str, said: str) -> None:
        """What was found is served, the other backend is not affected, and the log says why."""
        faulty = fixture_backend("--page-size", "5", "--page-fault", fault)
        with relayed({"a": faulty, "b": fixture_backend()}, list_pages_max=20) as relay:
            listed = names(relay.client.list_all("tools"))
            assert "b__echo" in listed
            found = [name for name in listed if name.startswith("a__")]
            assert len(found) == 5
            result = relay.client.call_tool("a__ping_client")
            assert "isError" not in result, "a tool that was found can be called"
            relay.client.child.wait_stderr(said)

    def test_a_backend_that_cannot_list_does_not_hide_the_others(self) -> None:
        """Its own tools are missing, and status says why."""
        backends = {"a": fixture_backend("--list-error"), "b": fixture_backend()}
        with relayed(backends, restart_attempts_max=0) as relay:
            listed = names(relay.client.list_all("tools"))
            assert "b__echo" in listed and "a__echo" not in listed
            assert "fixture cannot list" in relay.backend("a")["last_error"]


class TestChanges:
    def test_an_added_tool_is_announced_listed_and_called(self) -> None:
        """list_changed comes when the new list is there to be fetched, not before."""
        with relayed() as relay:
            client = relay.client
            client.list_all("tools")
            client.call_tool("a__add_tool", {"name": "new", "description": "fresh"})
            client.wait_notification(TOOLS_CHANGED)
            assert "a__new" in names(client.list_all("tools"))
            assert json_of(client.call_tool("a__new", {"x": 1}))["called"] == "new"

    def test_a_changed_description_is_announced(self) -> None:
        """The bytes of the list differ, though the names do not."""
        with relayed() as relay:
            client = relay.client
            before = client.list_all("tools")
            client.call_tool("a__add_tool", {"name": "echo", "description": "changed"})
            client.wait_notification(TOOLS_CHANGED)
            after = client.list_all("tools")
            assert names(after) == names(before)
            changed = [item for item in after if item not in before]
            assert [(item["name"], item["description"]) for item in changed] == [
                ("a__echo", "changed")
            ]

    def test_a_removed_tool_is_announced_and_refused(self) -> None:
        """Unknown tools are -32602."""
        with relayed() as relay:
            client = relay.client
            client.list_all("tools")
            client.call_tool("a__remove_tool", {"name": "echo"})
            client.wait_notification(TOOLS_CHANGED)
            assert "a__echo" not in names(client.list_all("tools"))
            with pytest.raises(RpcError) as refused:
                client.call_tool("a__echo")
            assert refused.value.code == -32602

    def test_prompts_and_resources_too(self) -> None:
        """Each list has its own notification, and only that one is sent."""
        with relayed() as relay:
            client = relay.client
            for what in KEYS:
                client.list_all(what)
            client.call_tool("a__add_prompt", {"name": "new"})
            client.wait_notification(PROMPTS_CHANGED)
            assert "a__new" in names(client.list_all("prompts"))
            client.call_tool("a__add_resource", {"uri": "fixture://new"})
            client.wait_notification(RESOURCES_CHANGED)
            assert "fixture://new" in [item["uri"] for item in client.list_all("resources")]
            assert not client.notifications(TOOLS_CHANGED)
            assert len(client.notifications(PROMPTS_CHANGED)) == 1

    def test_nothing_is_announced_when_nothing_changed(self) -> None:
        """A backend may cry list_changed as it likes: without other bytes the client is spared."""
        with relayed() as relay:
            client = relay.client
            for what in KEYS:
                client.list_all(what)
            client.call_tool("a__list_changed", {"kind": "tools", "times": 20})
            # Handled in this order, so when this one is announced the others have been dealt with.
            client.call_tool("a__add_prompt", {"name": "barrier"})
            client.wait_notification(PROMPTS_CHANGED)
            assert seen(client)["methods"]["tools/list"] > 1, "it was not even looked at"
            assert not client.notifications(TOOLS_CHANGED)

    def test_many_changes_become_few_notifications(self) -> None:
        """Coalesced; and whoever waits for the next one ends up with all changes."""
        with relayed() as relay:
            client = relay.client
            client.list_all("tools")
            calls = [client.start_tool("a__add_tool", {"name": f"n{n:02}"}) for n in range(40)]
            for call in calls:
                client.response(call)
            wanted = {f"a__n{n:02}" for n in range(40)}
            while not wanted <= set(names(client.list_all("tools"))):
                client.wait_notification(TOOLS_CHANGED)
            assert len(client.notifications(TOOLS_CHANGED)) <= 10

    def test_a_change_in_one_backend_leaves_the_others_bytes_alone(self) -> None:
        """Nothing else moves, nothing is renamed."""
        with relayed({"a": fixture_backend(), "b": fixture_backend()}) as relay:
            client = relay.client
            before = client.list_all("tools")
            client.call_tool("b__add_tool", {"name": "zz"})
            client.wait_notification(TOOLS_CHANGED)
            after = client.list_all("tools")
            assert [item for item in after if item["name"] != "b__zz"] == before
