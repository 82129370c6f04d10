"""The lists are the same bytes for as long as nothing changed, and a change is told once."""

import json

import msgspec
import pytest

from relay_supervisor.core.mcp import Kind
from relay_supervisor.core.registry import Registry
from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core.driver import BODY

SETTLED = v1.Catalogue("d1", settled=True)


def body(*names: str) -> cache.Body:
    """A catalogue with these tools alone."""
    entry = [cache.Entry(n, "b", msgspec.json.encode({"name": n})) for n in names]
    return cache.Body(tools=entry, capabilities=b'{"tools":{}}')


def filled(*names: str) -> Registry:
    """A registry that serves these tools."""
    registry = Registry()
    registry.update(SETTLED, cache.encode_body(body(*names)))
    return registry


def tools(registry: Registry, era: int = v1.LEGACY) -> list[str]:
    """The names on the page of tools."""
    result = json.loads(b"{" + registry.page(Kind.TOOLS, era))["result"]
    return [tool["name"] for tool in result["tools"]]


@pytest.mark.parametrize("era", [v1.LEGACY, v1.MODERN])
@pytest.mark.parametrize("kind", Kind)
def test_a_page_is_byte_identical_between_runs_and_after_the_same_catalogue_again(
    kind: Kind, era: int
) -> None:
    one, other = Registry(), Registry()
    for registry in (one, other):
        registry.update(SETTLED, cache.encode_body(BODY))
    first = one.page(kind, era)
    assert first == other.page(kind, era)
    one.update(v1.Catalogue("d2", settled=True), cache.encode_body(BODY))
    assert one.page(kind, era) == first
    recalled = Registry()
    recalled.recall(cache.Snapshot("d1", "hi", BODY))
    assert recalled.page(kind, era) == first


@pytest.mark.parametrize("kind", Kind)
def test_items_are_served_byte_for_byte_in_the_order_given(kind: Kind) -> None:
    registry = Registry()
    registry.update(SETTLED, cache.encode_body(BODY))
    lists = (BODY.tools, BODY.prompts, BODY.resources, BODY.templates)
    entries = dict(zip(Kind, lists, strict=True))[kind]
    want = b"[" + b",".join(entry.item for entry in entries) + b"]"
    assert registry.page(kind, v1.LEGACY) == b'"result":{"%s":%s}}' % (kind.value.encode(), want)


def test_a_modern_page_says_how_long_it_may_be_kept() -> None:
    result = json.loads(b"{" + filled("a").page(Kind.TOOLS, v1.MODERN))["result"]
    assert result["resultType"] == "complete"
    assert result["ttlMs"] == 0 and result["cacheScope"] == "private"
    assert [tool["name"] for tool in result["tools"]] == ["a"]


def test_only_lists_the_client_has_seen_are_told_of_and_only_once() -> None:
    registry = filled("a")
    assert registry.update(v1.Catalogue("d2", settled=True), cache.encode_body(body("b"))) is False
    registry.page(Kind.TOOLS, v1.LEGACY)
    assert registry.update(v1.Catalogue("d3", settled=True), cache.encode_body(body("c"))) is True
    assert registry.announce(Kind) == [Kind.TOOLS]
    assert registry.announce(Kind) == []
    assert tools(registry) == ["c"]


def test_what_nobody_wants_to_hear_of_stays_unseen() -> None:
    registry = filled("a")
    for kind in (Kind.TOOLS, Kind.RESOURCES):
        registry.page(kind, v1.LEGACY)
    registry.update(v1.Catalogue("d2", settled=True), cache.encode_body(BODY))
    assert registry.announce([]) == []
    assert registry.announce([Kind.RESOURCES]) == [Kind.RESOURCES]
    assert registry.announce(Kind) == [Kind.TOOLS]


def test_a_change_that_is_undone_before_it_is_told_is_no_change() -> None:
    registry = filled("a")
    registry.page(Kind.TOOLS, v1.LEGACY)
    registry.update(v1.Catalogue("d2", settled=True), cache.encode_body(body("b")))
    registry.update(v1.Catalogue("d3", settled=True), cache.encode_body(body("a")))
    assert registry.announce(Kind) == []


def test_a_broken_catalogue_is_an_error_and_the_old_one_stays() -> None:
    registry = filled("a")
    with pytest.raises(msgspec.MsgspecError):
        registry.update(v1.Catalogue("d2", settled=True), b"\xc1 no msgpack")
    assert tools(registry) == ["a"]
    assert registry.digest == "d1"


def test_lists_wait_for_a_settled_catalogue_a_recalled_one_or_the_end_of_the_wait() -> None:
    registry = Registry()
    assert not registry.servable
    registry.update(v1.Catalogue("d1", settled=False), cache.encode_body(body("a")))
    assert not registry.servable
    registry.update(v1.Catalogue("d1", settled=True), b"not looked at, the digest is the same")
    assert registry.servable and tools(registry) == ["a"]
    late = Registry()
    late.servable = True
    assert late.servable and tools(late) == []
    known = Registry()
    known.recall(cache.Snapshot("d1", "hi", BODY))
    assert known.servable and known.instructions == "hi"


def test_a_catalogue_that_is_short_for_now_takes_no_tool_away() -> None:
    registry = filled("a", "b")
    registry.page(Kind.TOOLS, v1.LEGACY)
    short = cache.encode_body(body("a"))
    assert registry.update(v1.Catalogue("d2", settled=False), short) is False
    assert tools(registry) == ["a", "b"]
    assert registry.update(v1.Catalogue("d2", settled=True), short) is True
    assert tools(registry) == ["a"]


def test_a_catalogue_that_gained_is_served_also_while_more_is_on_its_way() -> None:
    registry = filled("a")
    registry.page(Kind.TOOLS, v1.LEGACY)
    longer = cache.encode_body(body("a", "b"))
    assert registry.update(v1.Catalogue("d2", settled=False), longer) is True
    assert tools(registry) == ["a", "b"]


@pytest.mark.parametrize("digest", ["d1", "d2"])
def test_lists_that_were_served_once_never_make_a_client_wait_again(digest: str) -> None:
    """A worker that confirms the cache while a backend is still on its way takes nothing back."""
    registry = Registry()
    registry.recall(cache.Snapshot("d1", "hi", body("a")))
    assert registry.servable
    registry.update(v1.Catalogue(digest, settled=False), cache.encode_body(body("a", "b")))
    assert registry.servable


def test_capabilities_are_a_superset_until_they_are_known() -> None:
    cold = json.loads(bytes(Registry().capabilities()))
    assert set(cold) == {"tools", "prompts", "resources", "completions", "logging", "tasks"}
    assert cold["resources"] == {"listChanged": True, "subscribe": True}
    assert bytes(filled("a").capabilities()) == b'{"tools":{}}'


def test_the_backend_of_every_item_is_known_by_its_key() -> None:
    registry = Registry()
    registry.update(SETTLED, cache.encode_body(BODY))
    assert registry.owners[Kind.TOOLS] == {"files__read": "files", "slow__think": "slow"}
    assert registry.owners[Kind.RESOURCES] == {"file:///a": "files"}
    registry.update(v1.Catalogue("d2", settled=True), cache.encode_body(body("x")))
    assert registry.owners[Kind.TOOLS] == {"x": "b"}
    assert registry.owners[Kind.RESOURCES] == {}


def test_raw_lists_are_kept_by_backend_the_last_one_counts() -> None:
    registry = Registry()
    registry.learn(v1.LearnedLists("a", "h1"), b"one")
    registry.learn(v1.LearnedLists("a", "h2"), b"two")
    registry.learn(v1.LearnedLists("b", "h3"), b"three")
    assert registry.lists == {
        "a": cache.Lists("a", "h2", b"two"),
        "b": cache.Lists("b", "h3", b"three"),
    }


def test_who_owns_an_item_is_told_where_it_is_known() -> None:
    registry = Registry()
    assert registry.owner(Kind.TOOLS, "files__read") == ""
    registry.update(v1.Catalogue("d", settled=True), cache.encode_body(BODY))
    assert registry.owner(Kind.TOOLS, "files__read") == "files"
    assert registry.owner(Kind.PROMPTS, "files__read") == ""
    assert registry.owner(None, "files__read") == ""
