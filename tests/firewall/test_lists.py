"""Whatever a backend lists, every client can read what the relay makes of it."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mcp_types
import pytest

from tests.fixtures.scripted import SAY
from tests.harness import Relay, RelayHome
from tests.harness.http_mcp import INIT, Exchange, HttpMcp
from tests.integration.through import relayed

SCRIPTED = Path(__file__).parents[1] / "fixtures" / "scripted.py"
SCHEMA = {"type": "object"}
PROMPT = {"name": "good"}
RESOURCE = {"uri": "x://good", "name": "good"}
TEMPLATE = {"uriTemplate": "x://{good}", "name": "good"}

KINDS = {
    "tools": ("tools/list", SAY, mcp_types.ListToolsResult),
    "prompts": ("prompts/list", PROMPT, mcp_types.ListPromptsResult),
    "resources": ("resources/list", RESOURCE, mcp_types.ListResourcesResult),
    "resourceTemplates": (
        "resources/templates/list",
        TEMPLATE,
        mcp_types.ListResourceTemplatesResult,
    ),
}
BAD_ITEMS: dict[str, dict[str, Any]] = {
    "tools": {
        "no inputSchema": {"name": "bad"},
        "an inputSchema of null": {"name": "bad", "inputSchema": None},
        "an inputSchema that is no object": {"name": "bad", "inputSchema": "object"},
        "an inputSchema of another type": {"name": "bad", "inputSchema": {"type": "array"}},
        "an inputSchema without a type": {"name": "bad", "inputSchema": {"anyOf": []}},
        "an outputSchema that is a list": {"name": "b", "inputSchema": SCHEMA, "outputSchema": []},
        "a description of null": {"name": "bad", "inputSchema": SCHEMA, "description": None},
        "a title that is a number": {"name": "bad", "inputSchema": SCHEMA, "title": 7},
        "icons that are a text": {"name": "bad", "inputSchema": SCHEMA, "icons": "i.png"},
        "an icon without a source": {"name": "bad", "inputSchema": SCHEMA, "icons": [{}]},
        "annotations that are a text": {"name": "bad", "inputSchema": SCHEMA, "annotations": "x"},
        "a hint that is a text": {
            "name": "bad",
            "inputSchema": SCHEMA,
            "annotations": {"readOnlyHint": "yes"},
        },
        "a _meta of null": {"name": "bad", "inputSchema": SCHEMA, "_meta": None},
        "no name": {"inputSchema": SCHEMA},
        "an empty name": {"name": "", "inputSchema": SCHEMA},
        "a name that is a number": {"name": 7, "inputSchema": SCHEMA},
        "a name listed twice": SAY,
        "no object": "bad",
        "null": None,
    },
    "prompts": {
        "arguments that are an object": {"name": "bad", "arguments": {}},
        "an argument without a name": {"name": "bad", "arguments": [{"required": True}]},
        "required that is a text": {"name": "b", "arguments": [{"name": "a", "required": "no"}]},
        "a description of null": {"name": "bad", "description": None},
        "no name": {"description": "bad"},
        "a name listed twice": PROMPT,
    },
    "resources": {
        "no URI": {"name": "bad"},
        "a URI that is a number": {"uri": 7, "name": "bad"},
        "no name": {"uri": "x://bad"},
        "a size that is a text": {"uri": "x://bad", "name": "bad", "size": "7"},
        "a priority beyond one": {"uri": "x:b", "name": "b", "annotations": {"priority": 2}},
        "an audience nobody knows": {"uri": "x:b", "name": "b", "annotations": {"audience": ["x"]}},
        "a mimeType of null": {"uri": "x://bad", "name": "bad", "mimeType": None},
        "a URI listed twice": RESOURCE,
    },
    "resourceTemplates": {
        "braces that do not pair": {"uriTemplate": "x://{bad", "name": "bad"},
        "more expressions than can be matched": {"uriTemplate": "x:" + "{b}" * 100, "name": "b"},
        "no name": {"uriTemplate": "x://bad/{a}"},
        "no template": {"name": "bad"},
    },
}


def spoiled() -> dict[str, Any]:
    """All bad items at once, around the good ones."""
    return {
        method: {kind: [good, *BAD_ITEMS[kind].values()]}
        for kind, (method, good, _) in KINDS.items()
    }


@contextmanager
def stdio(lists: dict[str, Any]) -> Iterator[Relay]:
    """A relay with these lists of a backend on stdio."""
    with several({"b": lists}) as relay:
        yield relay


@contextmanager
def several(lists: dict[str, dict[str, Any]], **settings: Any) -> Iterator[Relay]:
    """A relay with a backend on stdio for each of these lists."""
    home = RelayHome.make()
    try:
        backends = {}
        for name, own in lists.items():
            path = home.root / f"{name}.json"
            path.write_text(json.dumps(own), "utf-8")
            backends[name] = {"command": sys.executable, "args": [str(SCRIPTED), str(path)]}
        with relayed(backends, home=home, **settings) as relay:
            yield relay
    finally:
        home.remove()


@contextmanager
def http(lists: dict[str, Any]) -> Iterator[Relay]:
    """A relay with these lists of a backend behind HTTP."""

    def listed(exchange: Exchange) -> bool:
        method = exchange.asked.method or ""
        if method == "initialize":
            offers = {"tools": {}, "prompts": {}, "resources": {}}
            exchange.result({**INIT, "capabilities": offers})
        elif method in lists:
            exchange.result(lists[method])
        return method == "initialize" or method in lists

    with HttpMcp(stateful=False) as server:
        server.before = listed
        with relayed({"b": {"url": server.url}}) as relay:
            yield relay


@pytest.mark.parametrize("reached", [stdio, http])
def test_a_bad_item_hides_no_other_and_is_reported(reached: Any) -> None:
    """In Claude Code one of them would empty the whole list."""
    with reached(spoiled()) as relay:
        for kind, (method, good, result) in KINDS.items():
            page = relay.client.request(method)
            result.model_validate(page)
            names = [item["name"] for item in page[kind] if item["name"] != "relay__status"]
            prefixed = kind in {"tools", "prompts"}
            assert names == [f"b__{good['name']}" if prefixed else good["name"]]
        reported = relay.status()["registry"]["quarantined"]
        assert len(reported) == sum(len(items) for items in BAD_ITEMS.values())
        assert all(entry["backend"] == "b" and entry["reason"] for entry in reported)


CURSORS: dict[str, tuple[tuple[Any, ...], int]] = {
    "pages": (("a", "b", ...), 3),
    "empty": (("", ...), 2),
    "null": (("a", None), 2),
    "number": (("a", 7), 2),
    "again": (("a", "a"), 2),
    "circle": (("a", "b", "a"), 3),
}
"""The cursor on each page (...: none), and how many pages there are to read."""


def pages(cursors: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Pages of prompts, with one on each."""
    asked = (None, *cursors[:-1])
    return [
        {
            "cursor": cursor,
            "result": {
                "prompts": [{"name": f"p{number}"}],
                **({} if following is ... else {"nextCursor": following}),
            },
        }
        for number, (cursor, following) in enumerate(zip(asked, cursors, strict=True))
    ]


def test_pages_are_walked_to_their_end_and_served_as_one() -> None:
    lists = {name: {"prompts/list": pages(cursors)} for name, (cursors, _) in CURSORS.items()}
    with several(lists) as relay:
        page = relay.client.request("prompts/list")
        assert "nextCursor" not in page
        assert [prompt["name"] for prompt in page["prompts"]] == sorted(
            f"{name}__p{number}" for name, (_, read) in CURSORS.items() for number in range(read)
        )
        assert relay.status()["registry"]["quarantined"] == [], "no page was read twice"


def test_prompts_have_names_that_no_client_makes_one() -> None:
    """In Claude Code a prompt is a command: every other character becomes `_` there."""
    own = ["a.b", "a_b", "a b", "ä", "x" * 100, "x" * 101]
    with stdio({"prompts/list": {"prompts": [{"name": name} for name in own]}}) as relay:
        page = relay.client.request("prompts/list")
        shown = [prompt["name"] for prompt in page["prompts"]]
        assert len({_claude_code(name) for name in shown}) == len(own)
        assert all(_claude_code(name) == name and len(name) <= 52 for name in shown)
        assert "b__a_b" in shown


def test_without_prefix_two_backends_keep_their_prompts_apart() -> None:
    """The first configured keeps the name; the other one's carries a hash, and the log says so."""
    lists = {"prompts/list": {"prompts": [PROMPT]}}
    with several({"one": lists, "two": lists}, prefix=False) as relay:
        page = relay.client.request("prompts/list")
        plain, hashed = (prompt["name"] for prompt in page["prompts"])
        assert plain == "good" and hashed.startswith("good_")
        relay.wait_logged(f"is shown as {hashed}: good is taken by backend one")


@pytest.mark.parametrize("reached", [stdio, http])
def test_of_too_many_completions_the_first_hundred_are_passed_on(reached: Any) -> None:
    """The official TypeScript SDK would drop them all."""
    many = {"completion": {"values": [f"v{n}" for n in range(300)]}}
    with reached({"prompts/list": {"prompts": [PROMPT]}, "completion/complete": many}) as relay:
        ref = {"type": "ref/prompt", "name": "b__good"}
        params = {"ref": ref, "argument": {"name": "a", "value": ""}}
        found = relay.client.request("completion/complete", params)["completion"]
        assert found["values"] == many["completion"]["values"][:100]
        assert (found["total"], found["hasMore"]) == (300, True)


def _claude_code(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
