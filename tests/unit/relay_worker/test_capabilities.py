"""Capabilities are the union of what the backends declare, and of what the relay passes on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.capabilities import SUPERSET, UNKNOWN, members, merge

TOOLS = {"listChanged": True}


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ([], {"tools": TOOLS}),
        (["{}"], {"tools": TOOLS}),
        (['{"prompts":{}}', '{"logging":{}}'], {"logging": {}, "prompts": TOOLS, "tools": TOOLS}),
        (['{"resources":{}}'], {"resources": TOOLS, "tools": TOOLS}),
        (['{"resources":{"subscribe":false}}'], {"resources": TOOLS, "tools": TOOLS}),
        (
            ['{"resources":{"subscribe":true}}', '{"resources":{}}'],
            {"resources": {"subscribe": True, "listChanged": True}, "tools": TOOLS},
        ),
        (['{"completions":{},"x":{"y":1}}'], {"completions": {}, "tools": TOOLS}),
        (['{"tasks":{"list":{},"x":1}}'], {"tools": TOOLS, "tasks": {"list": {}, "x": 1}}),
        (
            ['{"tasks":{"l":1,"x":1}}', '{"tasks":{"x":2,"y":{"z":5}}}', '{"tasks":{"y":{"a":3}}}'],
            {"tools": TOOLS, "tasks": {"l": 1, "x": 1, "y": {"z": 5, "a": 3}}},
        ),
        (["junk", "[]", "null", '{"resources":5}'], {"resources": TOOLS, "tools": TOOLS}),
    ],
)  # fmt: skip
def test_merge(declared: list[str], expected: object) -> None:
    assert json.loads(merge([text.encode() for text in declared], complete=True)) == expected


def test_what_is_between_servers_and_the_client_keeps_its_text() -> None:
    """Key by key; of two servers with the same key the first one configured counts."""
    first = b'{"extensions":{"io.modelcontextprotocol/tasks":{},"a":{"n":1.0}},"experimental":{}}'
    second = b'{"extensions":{"a":{},"b":{"n": 1e400}},"experimental":{"c":7},"tools":{}}'
    merged = merge([first, second], complete=True)
    assert merged == (
        b'{"tools":{"listChanged":true},"experimental":{"c":7},'
        b'"extensions":{"io.modelcontextprotocol/tasks":{},"a":{"n":1.0},"b":{"n": 1e400}}}'
    )


def test_while_a_backend_is_unknown_everything_is_declared() -> None:
    assert json.loads(merge([b"{}"], complete=False)) == UNKNOWN


@given(st.permutations([b'{"prompts":{}}', b'{"resources":{"subscribe":true}}', b'{"logging":{}}']))
def test_order_does_not_matter(declared: list[bytes]) -> None:
    assert merge(declared, complete=True) == merge(sorted(declared), complete=True)


def test_the_superset_stays_as_it_is() -> None:
    merge([b'{"resources":{}}'], complete=True)
    assert SUPERSET["resources"] == {"subscribe": True, "listChanged": True}
    assert members(b"5") == {}
