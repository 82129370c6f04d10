"""The catalogue: merged, sorted, byte-stable, with every call's way home."""

import itertools
import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.wire import cache
from relay_worker.catalogue import QUARANTINED_MAX, Catalogue, Route, build
from relay_worker.config.model import BackendSpec, Config, RelaySettings, ToolRules
from relay_worker.lists import RawLists

PREFIXED = RelaySettings()
BARE = RelaySettings(prefix=False)


def config(*backends: str, relay: RelaySettings = PREFIXED, **rules: object) -> Config:
    spec = BackendSpec(command="x", tools=msgspec.convert(rules, ToolRules))
    return Config(dict.fromkeys(backends, spec), relay=relay)


def tool(name: str, **members: object) -> bytes:
    return json.dumps({"name": name, "inputSchema": {"type": "object"}, **members}).encode()


def tools(*names: str) -> RawLists:
    return RawLists(tools=[tool(name) for name in names])


def resources(*uris: str, templates: tuple[str, ...] = ()) -> RawLists:
    return RawLists(
        capabilities=b'{"resources":{}}',
        resources=[json.dumps({"uri": uri, "name": "r"}).encode() for uri in uris],
        templates=[json.dumps({"uriTemplate": uri, "name": "r"}).encode() for uri in templates],
    )


def keys(entries: list[cache.Entry]) -> list[str]:
    return [entry.key for entry in entries]


def quarantined(catalogue: Catalogue) -> list[tuple[str, str, str]]:
    return [(item.backend, item.kind, item.name) for item in catalogue.body.quarantined]


def test_tools_are_merged_and_sorted() -> None:
    found = build(config("b", "a"), {"a": tools("z", "y"), "b": tools("x")})
    assert keys(found.body.tools) == ["a__y", "a__z", "b__x"]
    assert found.tools["a__z"] == Route("a", "z")
    assert [entry.backend for entry in found.body.tools] == ["a", "a", "b"]
    assert found.complete and not found.problems and not found.body.quarantined


HOSTILE = tuple("x" * 119 + odd + f"{n:012d}" for n in range(250) for odd in ("x", ".", "/", "é"))
"""A thousand names of 132 characters that a client cuts, or makes equal by fours."""


@pytest.mark.parametrize("relay", [PREFIXED, BARE], ids=["prefixed", "bare"])
def test_hostile_names_are_told_apart_and_never_change(relay: RelaySettings) -> None:
    """Whatever else comes, goes or returns, and in whatever order they are listed."""

    def shown(lists: dict[str, RawLists]) -> dict[tuple[str, str], str]:
        found = build(config(*lists, relay=relay), lists)
        assert not quarantined(found) and not found.problems
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,52}", key) for key in found.tools)
        return {(route.backend, route.name): key for key, route in found.tools.items()}

    both = {"a": tools(*HOSTILE), "b": tools(*HOSTILE)}
    names = shown(both)
    assert len(names) == len(set(names.values())) == 2 * len(HOSTILE)
    assert names == shown({name: tools(*reversed(HOSTILE)) for name in both})
    for left in ({"b": both["b"]}, {"a": tools(*HOSTILE[::3]), "b": tools(*HOSTILE[1::2])}):
        assert shown(left).items() <= names.items()


UNION = tool("union", inputSchema={"type": "object", "anyOf": [{"required": ["a"]}]})


def test_a_tool_that_models_refuse_is_shown_and_named() -> None:
    found = build(config("a"), {"a": RawLists(tools=[UNION, tool("good")])})
    assert keys(found.body.tools) == ["a__good", "a__union"] and not quarantined(found)
    (problem,) = found.problems
    assert "'union' of backend a" in problem and "anyOf" in problem
    assert "backends.a.tools.deny" in problem and "strict_schemas" in problem


def test_of_a_tool_that_is_hidden_nobody_hears() -> None:
    assert not build(config("a", deny=["union"]), {"a": RawLists(tools=[UNION])}).problems


def test_strict_schemas_puts_it_in_quarantine() -> None:
    strict = config("a", relay=RelaySettings(strict_schemas=True))
    found = build(strict, {"a": RawLists(tools=[UNION, tool("good")])})
    assert keys(found.body.tools) == ["a__good"] and not found.problems
    assert quarantined(found) == [("a", "tools", "union")]
    assert "anyOf" in found.body.quarantined[0].reason


def test_an_item_keeps_its_bytes_but_for_the_name() -> None:
    item = (
        b'{"_meta":{"x": 1.00},"name":"read","big":123456789012345678901234567890,'
        b'"inputSchema":{ "type":"object" },"icons":[],"unknown":null,"e":1e400}'
    )
    lists = {"a": RawLists(tools=[item])}
    assert build(config("a", relay=BARE), lists).body.tools[0].item == item
    expected = item.replace(b'"read"', b'"a__read"')
    assert build(config("a"), lists).body.tools[0].item == expected


def test_a_description_is_replaced_in_its_place_or_added() -> None:
    rules = {"describe": {"one": "ünë", "two": "2"}}
    lists = {"a": RawLists(tools=[tool("two"), tool("one", description="old", z=1)])}
    one, two = build(config("a", relay=BARE, **rules), lists).body.tools
    assert one.item == (
        '{"name":"one","inputSchema":{"type": "object"},"description":"ünë","z":1}'.encode()
    )
    assert two.item == b'{"name":"two","inputSchema":{"type": "object"},"description":"2"}'


def test_rules() -> None:
    rules = {"allow": ["read*", "gone"], "deny": ["*_secret"], "rename": {"read_a": "look"}}
    lists = {"a": tools("read_a", "read_secret", "write", "readme")}
    found = build(config("a", **rules), lists)
    assert keys(found.body.tools) == ["a__look", "a__readme"]
    assert found.tools["a__look"] == Route("a", "read_a")
    assert json.loads(found.body.tools[0].item)["name"] == "a__look"


def test_rules_for_tools_that_are_not_there_are_reported() -> None:
    found = build(config("a", rename={"gone": "x"}, describe={"lost": "y"}), {"a": tools("t")})
    assert len(found.problems) == 2
    assert "'gone'" in found.problems[0] and "'lost'" in found.problems[1]
    assert keys(found.body.tools) == ["a__t"]


def test_rules_do_not_concern_prompts() -> None:
    lists = {"a": RawLists(prompts=[b'{"name":"p"}'])}
    found = build(config("a", allow=[], rename={"p": "q"}), lists)
    assert keys(found.body.prompts) == ["a__p"]
    assert found.prompts == {"a__p": Route("a", "p")}


def test_contested_names_go_to_the_first_backend_and_are_reported() -> None:
    found = build(config("b", "a", relay=BARE), {"a": tools("t"), "b": tools("t")})
    assert found.tools["t"] == Route("b", "t")
    (other,) = set(found.tools) - {"t"}
    assert found.tools[other] == Route("a", "t")
    (problem,) = found.problems
    assert other in problem and "backend a" in problem and "backend b" in problem


def test_a_bad_item_hides_no_other() -> None:
    bad = [tool("n", description=None), b"5", b"{", tool("good")]
    found = build(config("a"), {"a": RawLists(tools=[tool("good", n=1), *bad])})
    assert keys(found.body.tools) == ["a__good"]
    assert b'"n":1' in found.body.tools[0].item
    assert sorted(quarantined(found)) == [("a", "tools", name) for name in ("", "", "good", "n")]
    assert all(item.reason for item in found.body.quarantined)


def test_bad_items_are_reported_up_to_a_limit() -> None:
    found = build(config("a"), {"a": RawLists(tools=[b"5"] * (QUARANTINED_MAX + 7))})
    assert len(found.body.quarantined) == QUARANTINED_MAX + 1
    assert "7 more" in found.body.quarantined[-1].reason


def test_resources_belong_to_the_first_backend_that_lists_them() -> None:
    lists = {"a": resources("x:1", "x:2"), "b": resources("x:2", "x:3")}
    found = build(config("b", "a"), lists)
    assert keys(found.body.resources) == ["x:1", "x:2", "x:3"]
    assert found.resources.listed == {"x:1": "a", "x:2": "b", "x:3": "b"}
    assert quarantined(found) == [("a", "resources", "x:2")]
    assert "b" in found.body.quarantined[0].reason
    assert [found.resources.owner(uri, {}) for uri in ("x:1", "x:2", "y:1")] == ["a", "b", None]


def test_a_uri_goes_to_the_most_literal_template() -> None:
    lists = {
        "a": resources("db://users/row/1", templates=("db://{+any}",)),
        "b": resources(templates=("db://{table}/row/{id}", "db://{")),
        "c": resources(templates=("{+everything}", "db://{+any}")),
    }
    found = build(config("c", "b", "a"), lists)
    assert found.resources.owner("db://users/row/1", {}) == "a"
    assert found.resources.owner("db://users/row/2", {}) == "b"
    assert found.resources.owner("db://users/x", {}) == "c"
    assert found.resources.owner("http://x", {}) == "c"
    assert found.resources.owner("db://{table}/row/{id}", {}) == "b"
    assert sorted(quarantined(found)) == [
        ("a", "templates", "db://{+any}"),
        ("b", "templates", "db://{"),
    ]


def test_an_unlisted_uri_goes_to_the_only_backend_with_resources() -> None:
    lists = {"a": tools("t"), "b": resources("x:1")}
    assert build(config("a", "b"), lists).resources.owner("y:1", {}) == "b"
    assert build(config("a"), lists).resources.owner("y:1", {}) is None


def test_capabilities() -> None:
    lists = {"a": resources("x:1"), "b": RawLists(capabilities=b'{"logging":{}}')}
    assert json.loads(build(config("a"), lists).body.capabilities).keys() == {"tools", "resources"}
    both = build(config("a", "b"), lists)
    assert json.loads(both.body.capabilities).keys() == {"tools", "resources", "logging"}


def test_while_lists_are_unknown_the_catalogue_is_incomplete() -> None:
    found = build(config("a", "b"), {"a": tools("t")})
    assert not found.complete
    assert json.loads(found.body.capabilities)["prompts"] == {"listChanged": True}
    assert keys(found.body.tools) == ["a__t"]


def test_disabled_and_unknown_backends_play_no_part() -> None:
    off = BackendSpec(command="x", enabled=False)
    found = build(Config({"a": off}), {"a": tools("t"), "gone": tools("t")})
    assert found.complete and not found.tools and found.owner_hint("a__t") is None


def test_the_relays_own_tools_come_first_and_with_their_prefix() -> None:
    builtin = tools("status")
    found = build(config("a", relay=BARE), {"a": tools("relay__status")}, builtin)
    assert found.tools["relay__status"] == Route("relay", "status")
    assert len(found.tools) == 2 and len(found.problems) == 1


def test_a_backend_cannot_take_the_relays_own_name() -> None:
    found = build(config("relay"), {"relay": tools("x")}, tools("status"))
    assert list(found.tools) == ["relay__status"]
    assert "backends.relay" in found.problems[0]
    assert list(build(config("relay"), {"relay": tools("x")}).tools) == ["relay__x"]


def test_owner_hint() -> None:
    found = build(config("a", "a__b", "my files"), {}, tools("status"))
    names = ["a__x", "a__b__x", "my_files__x", "relay__x", "b__x", "a_x", ""]
    expected = ["a", "a__b", "my files", "relay", None, None, None]
    assert [found.owner_hint(name) for name in names] == expected
    assert build(config("a", relay=BARE), {}).owner_hint("a__x") is None


def test_long_names_are_capped_by_the_setting() -> None:
    relay = RelaySettings(tool_name_chars_max=24)
    found = build(config("backend", relay=relay), {"backend": tools("a" * 50, "b" * 50)})
    assert all(len(name) == 24 for name in found.tools)
    assert {route.name for route in found.tools.values()} == {"a" * 50, "b" * 50}


NAMES = st.lists(st.sampled_from(["t", "t.u", "t_u", "ü", "a__t", "long" * 20, "T"]), max_size=5)
ITEMS = st.builds(
    lambda names, uris, bad: RawLists(
        capabilities=b'{"resources":{}}' if uris else b"{}",
        tools=[*(tool(name) for name in names), *bad],
        prompts=[json.dumps({"name": name}).encode() for name in names],
        resources=resources(*uris).resources,
        templates=resources(templates=tuple(uris)).templates,
    ),
    NAMES,
    st.lists(st.sampled_from(["x:1", "x:{a}", "x:{", "y:2"]), max_size=3),
    st.lists(st.sampled_from([b"5", b"{}", b'{"name":""}']), max_size=2),
)
LISTS = st.dictionaries(st.sampled_from(["a", "b", "a__t", "c d"]), ITEMS, max_size=4)


@given(LISTS, st.booleans(), st.randoms(use_true_random=False))
def test_equal_inputs_give_equal_bytes(lists: dict, prefix: bool, random: object) -> None:
    settings = config(*lists, "b", relay=RelaySettings(prefix=prefix))
    first = build(settings, lists)
    shuffled = list(lists.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = build(settings, dict(shuffled))
    assert again.payload == first.payload and again.digest == first.digest


@given(LISTS, st.booleans())
def test_every_entry_has_a_way_home(lists: dict, prefix: bool) -> None:
    found = build(config(*lists, relay=RelaySettings(prefix=prefix)), lists)
    assert cache.decode_body(found.payload) == found.body
    for entries, routes in (
        (found.body.tools, found.tools),
        (found.body.prompts, found.prompts),
    ):
        assert keys(entries) == sorted(routes)
        for entry in entries:
            assert json.loads(entry.item)["name"] == entry.key
            assert routes[entry.key].backend == entry.backend
    for entry in found.body.resources:
        assert found.resources.owner(entry.key, {}) == entry.backend
    for entry in found.body.templates:
        assert found.resources.owner(entry.key, {}) in lists
    original = sorted((route.backend, route.name) for route in found.tools.values())
    assert len(original) == len(set(original))


def claude_code(name: str) -> str:
    """What Claude Code makes of a name; of several that it makes one it keeps one."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)


@given(LISTS, st.booleans())
def test_no_client_makes_two_names_one(lists: dict, prefix: bool) -> None:
    relay = RelaySettings(prefix=prefix)
    found = build(config(*lists, relay=relay), lists, tools("status", "a__t"))
    for names in (keys(found.body.tools), keys(found.body.prompts)):
        assert len({claude_code(name) for name in names}) == len(names)
        assert all(claude_code(name) == name for name in names)
        assert all(len(f"mcp__relay__{name}") <= 64 for name in names)
    own = [entry.key for entry in found.body.tools if entry.backend == "relay"]
    assert own == ["relay__a__t", "relay__status"], "whatever the others are called"


@given(LISTS, ITEMS, st.booleans())
def test_a_backend_that_is_added_last_renames_nothing(
    lists: dict, added: RawLists, prefix: bool
) -> None:
    relay = RelaySettings(prefix=prefix)
    before = build(config(*lists, relay=relay), lists)
    after = build(config(*lists, "last", relay=relay), {**lists, "last": added})
    assert before.tools.items() <= after.tools.items()
    assert before.prompts.items() <= after.prompts.items()


@given(LISTS)
def test_no_item_is_lost_without_a_word(lists: dict) -> None:
    found = build(config(*lists), lists)
    offered = sum(
        len(getattr(raw, kind))
        for raw, kind in itertools.product(
            lists.values(), ["tools", "prompts", "resources", "templates"]
        )
    )
    body = found.body
    listed = [*body.tools, *body.prompts, *body.resources, *body.templates]
    assert len(listed) + len(body.quarantined) == offered


@pytest.mark.parametrize("count", [1000])
def test_many_tools(count: int) -> None:
    lists = {name: tools(*(f"tool_{number}" for number in range(count))) for name in "abcd"}
    assert len(build(config("a", "b", "c", "d"), lists).tools) == 4 * count


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    ("hints", "harmless"),
    [
        ({"readOnlyHint": True}, True),
        ({"idempotentHint": True, "destructiveHint": True}, True),
        ({"readOnlyHint": False, "idempotentHint": False}, False),
        ({"openWorldHint": False}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_tool_may_be_repeated_by_hints_that_are_trusted(
    hints: dict[str, bool] | None, harmless: bool, trusted: bool
) -> None:
    members = {} if hints is None else {"annotations": hints}
    spec = BackendSpec(command="x", trust_hints=trusted)
    settings = Config(backends={"a": spec}, relay=PREFIXED)
    lists = RawLists(tools=[tool("t", **members)], prompts=[b'{"name":"p"}'])
    body = build(settings, {"a": lists}).body
    assert [entry.repeatable for entry in body.tools] == [harmless and trusted]
    assert [entry.repeatable for entry in body.prompts] == [False]


def test_the_relays_own_hints_are_trusted() -> None:
    own = RawLists(tools=[tool("status", annotations={"readOnlyHint": True}), tool("other")])
    body = build(config(), {}, own).body
    assert [(entry.key, entry.repeatable) for entry in body.tools] == [
        ("relay__other", False),
        ("relay__status", True),
    ]


def test_a_tool_that_is_of_no_use_to_the_client_is_reported() -> None:
    lists = msgspec.structs.replace(tools("x"), withheld=["must"])
    found = build(config("a"), {"a": lists})
    assert keys(found.body.tools) == ["a__x"]
    assert quarantined(found) == [("a", "tools", "must")]
