"""What the APIs of models refuse; the verdicts are those of Claude Code 2.1.330, one by one."""

import json
from typing import Any

import pytest

from relay_worker.schemas import objection


def of(**schema: Any) -> str | None:
    tool = {"name": "t", "inputSchema": {"type": "object", **schema}}
    return objection(json.dumps(tool).encode())


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "b": True}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": False},
        {"$ref": "#/$defs/x", "$defs": {"x": {"type": ["object", "null"]}}},
        {"not": {"required": ["q"]}, "x-own": None, "examples": [1], "default": {}},
        {"properties": {"a": {"$ref": "#/nowhere"}}},
        {"properties": {"a": {"type": "object", "properties": {"any name": {}}}}},
        {"properties": {"a": {"type": "array", "prefixItems": [{}], "items": False}}},
        {"properties": {"a": {"minimum": 0, "exclusiveMaximum": 1e9, "maxLength": 3.0}}},
    ],
)
def test_these_are_taken(schema: dict[str, Any]) -> None:
    assert of(**schema) is None


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"anyOf": [{"required": ["a"]}]}, "anyOf at its top"),
        ({"oneOf": [{}]}, "oneOf at its top"),
        ({"allOf": [{}]}, "allOf at its top"),
        ({"properties": {"a": {"type": "any"}}}, "any"),
        ({"properties": {"a": {"type": "object", "required": True}}}, "required"),
        ({"properties": {"a": {"type": "array", "items": [{}]}}}, "items"),
        ({"properties": {"a": {"minimum": 0, "exclusiveMinimum": True}}}, "exclusiveMinimum"),
        ({"properties": {"a b$": {}}}, "regex"),
        ({"properties": {"a" * 65: {}}}, "regex"),
        ({"properties": {"a\n": {}}}, "regex"),
        ({"$defs": {"x": {"properties": {"y": None}}}}, "$defs"),
        ({"properties": {"a": {"description": None}}}, "description"),
        ({"properties": {"a": {"maxItems": -1}}}, ">= 0"),
        ({"properties": {"a": {"minLength": 1.5}}}, "minLength"),
        ({"properties": {"a": {"anyOf": []}}}, "anyOf"),
        ({"properties": {"a": {"type": []}}}, "type"),
        ({"properties": {"a": {"multipleOf": 0}}}, "multipleOf"),
        ({"properties": {"a": {"dependentRequired": {"a": "b"}}}}, "dependentRequired"),
        ({"definitions": {"a": {"type": "any"}}}, "any"),
    ],
)
def test_these_are_not_and_it_says_why(schema: dict[str, Any], word: str) -> None:
    assert word in (of(**schema) or "")


def test_nesting_is_no_trouble() -> None:
    schema: dict[str, Any] = {}
    for _ in range(120):
        schema = {"properties": {"a": schema}}
    assert of(**schema) is None
