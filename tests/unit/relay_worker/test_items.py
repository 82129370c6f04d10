"""What Claude Code and the SDKs stumble over is found, and nothing else.

The cases of tools were tried one by one with Claude Code 2.1.330, which lost the whole list for
each one that is unfit here, but for those marked as the official Python SDK's.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import ListToolsResult
from pydantic import ValidationError

from relay_worker.items import ITEM_DEPTH_MAX, Kind, Unfit, key_of

SCHEMA = {"type": "object"}


def tool(**changes: object) -> dict[str, object]:
    return {"name": "t", "inputSchema": SCHEMA, **changes}


def reason(kind: Kind, item: object) -> str | None:
    try:
        key_of(kind, json.dumps(item).encode())
    except Unfit as error:
        return error.reason
    return None


FIT_TOOLS = [
    tool(),
    tool(inputSchema={"type": "object", "properties": {"a": True, "b": {}}, "required": ["a"]}),
    tool(inputSchema={"type": "object", "x": None, "anyOf": [{}], "$schema": "s"}),
    tool(title="", description="", icons=[], annotations={}, _meta={}, execution={}),
    tool(icons=[{"src": "not a url", "sizes": ["any"], "theme": "dark", "mimeType": "x"}]),
    tool(annotations={"title": "T", "readOnlyHint": True, "unknown": None}),
    tool(outputSchema={}),
    tool(outputSchema={"type": "array"}),
    tool(execution={"taskSupport": "required"}),
    tool(unknown={"x": None}, _meta={"anthropic/alwaysLoad": True}),
    tool(name="a" * 200),
    tool(name="ü. /"),
]
UNFIT_TOOLS = [
    5,
    None,
    [],
    {"name": "t"},
    {"inputSchema": SCHEMA},
    tool(inputSchema=None),
    tool(inputSchema=[]),
    tool(inputSchema={}),
    tool(inputSchema={"type": "string"}),
    tool(inputSchema={"type": ["object"]}),
    tool(inputSchema={"type": "object", "properties": None}),
    tool(inputSchema={"type": "object", "properties": []}),
    tool(inputSchema={"type": "object", "properties": {"a": "x"}}),  # Python SDK
    tool(inputSchema={"type": "object", "$schema": 5}),  # Python SDK
    tool(inputSchema={"type": "object", "required": None}),
    tool(inputSchema={"type": "object", "required": "a"}),
    tool(inputSchema={"type": "object", "required": [1]}),
    tool(name=None),
    tool(name=5),
    tool(name=""),  # useless: it cannot be called
    tool(name="a" * 2000),
    tool(description=None),
    tool(title=None),
    tool(title=5),
    tool(icons=None),
    tool(icons={}),
    tool(icons=[{}]),
    tool(icons=[{"src": "x", "theme": "blue"}]),
    tool(icons=[{"src": "x", "sizes": "48x48"}]),
    tool(annotations=None),
    tool(annotations={"readOnlyHint": "yes"}),
    tool(annotations={"readOnlyHint": None}),
    tool(annotations={"title": 5}),
    tool(outputSchema=None),
    tool(outputSchema=[]),
    tool(outputSchema=True),
    tool(_meta=None),
    tool(_meta="x"),
    tool(execution=None),
    tool(execution={"taskSupport": "maybe"}),
]


@pytest.mark.parametrize("item", FIT_TOOLS)
def test_fit_tools(item: object) -> None:
    assert reason("tools", item) is None


@pytest.mark.parametrize("item", UNFIT_TOOLS)
def test_unfit_tools(item: object) -> None:
    assert reason("tools", item)


@pytest.mark.parametrize("item", FIT_TOOLS)
def test_the_sdk_reads_what_is_fit(item: object) -> None:
    ListToolsResult.model_validate({"tools": [item], "resultType": "complete"})


PROMPT: dict[str, object] = {"name": "p"}
RESOURCE: dict[str, object] = {"name": "r", "uri": "a:b"}
TEMPLATE: dict[str, object] = {"name": "r", "uriTemplate": "a:{b}"}


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("prompts", PROMPT),
        ("prompts", {**PROMPT, "arguments": [{"name": "a", "required": True, "description": ""}]}),
        ("resources", RESOURCE),
        ("resources", {**RESOURCE, "name": "", "size": 5, "mimeType": "text/plain"}),
        ("resources", {**RESOURCE, "annotations": {"audience": ["user"], "priority": 1}}),
        ("resources", {**RESOURCE, "annotations": {"lastModified": "2025-01-12T15:00:58Z"}}),
        ("resources", {**RESOURCE, "annotations": {"lastModified": "2025-01-12T15:00:58.1+02:00"}}),
        ("templates", TEMPLATE),
    ],
)
def test_other_fit_items(kind: Kind, item: object) -> None:
    assert reason(kind, item) is None


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("prompts", {}),
        ("prompts", {"name": ""}),
        ("prompts", {**PROMPT, "description": None}),
        ("prompts", {**PROMPT, "arguments": None}),
        ("prompts", {**PROMPT, "arguments": [{}]}),
        ("prompts", {**PROMPT, "arguments": [{"name": "a", "required": "yes"}]}),
        ("resources", {"uri": "a:b"}),
        ("resources", {"name": "r"}),
        ("resources", {**RESOURCE, "uri": 5}),
        ("resources", {**RESOURCE, "uri": ""}),
        ("resources", {**RESOURCE, "size": "5"}),
        ("resources", {**RESOURCE, "mimeType": None}),
        ("resources", {**RESOURCE, "annotations": {"audience": ["all"]}}),
        ("resources", {**RESOURCE, "annotations": {"priority": 2}}),
        ("resources", {**RESOURCE, "annotations": {"lastModified": "yesterday"}}),
        ("resources", {**RESOURCE, "annotations": {"lastModified": "2025-01-12T15:00:58"}}),
        ("templates", {"name": "r"}),
        ("templates", {**TEMPLATE, "icons": [None]}),
    ],
)
def test_other_unfit_items(kind: Kind, item: object) -> None:
    assert reason(kind, item)


def test_the_reason_says_where() -> None:
    with pytest.raises(Unfit) as caught:
        key_of("tools", b'{"name":"read","inputSchema":{"type":"object"},"description":null}')
    assert caught.value.name == "read"
    assert "description" in caught.value.reason


@pytest.mark.parametrize("item", [b"", b"{", b'{"name":"\xff"}', b'{"x":"\xff","name":"t"}'])
def test_texts_that_are_no_json(item: bytes) -> None:
    with pytest.raises(Unfit):
        key_of("prompts", item)


def nested(depth: int) -> bytes:
    return b'{"name":"t","_meta":{"x":%s"]\\""%s}}' % (b"[" * (depth - 2), b"]" * (depth - 2))


def test_depth() -> None:
    assert key_of("prompts", nested(ITEM_DEPTH_MAX)) == "t"
    for depth in (ITEM_DEPTH_MAX + 1, 100_000):
        with pytest.raises(Unfit):
            key_of("prompts", nested(depth))


def test_brackets_within_texts_are_no_depth() -> None:
    assert key_of("prompts", b'{"name":"t","description":"%s"}' % (b'[{\\"' * 500)) == "t"


def test_the_deepest_item_can_be_read_by_the_sdk_in_its_list() -> None:
    frame = '{"resultType":"complete","tools":[{"inputSchema":{"type":"object"},%s]}'
    item = nested(ITEM_DEPTH_MAX).decode()[1:]
    assert ListToolsResult.model_validate_json(frame % item).tools
    with pytest.raises(ValidationError):  # else the limit would be in vain
        ListToolsResult.model_validate_json(frame % nested(250).decode()[1:])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FIELDS = ["name", "title", "description", "icons", "annotations", "inputSchema", "outputSchema"]


@given(st.dictionaries(st.sampled_from([*FIELDS, "_meta", "execution", "x"]), JSON))
def test_the_sdk_reads_whatever_passes(changes: dict[str, object]) -> None:
    item = tool(**changes)
    if reason("tools", item) is None:
        ListToolsResult.model_validate({"tools": [item], "resultType": "complete"})
