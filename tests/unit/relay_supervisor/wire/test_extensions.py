"""Which requests belong to what a server declares."""

import json

import pytest

from relay_supervisor.wire.extensions import has


@pytest.mark.parametrize(
    ("declared", "methods"),
    [
        ({"tasks": {}}, ["tasks/get", "tasks/list"]),
        ({"extensions": {"io.modelcontextprotocol/tasks": {}}}, ["tasks/get", "tasks/update"]),
        ({"extensions": {"com.example/shop": {}}}, ["shop/buy", "com.example/shop/buy"]),
        ({"experimental": {"shop": {}}}, ["shop/buy"]),
        ({"extensions": {"com.example/x": {}}, "experimental": {"tasks": 1}}, ["tasks/get"]),
    ],
)
def test_by_its_first_word(declared: object, methods: list[str]) -> None:
    text = json.dumps(declared).encode()
    candidates = ["tasks/get", "tasks/list", "tasks/update", "shop/buy", "com.example/shop/buy"]
    found = [method for method in candidates if has(text, method)]
    assert set(methods) <= set(found)
    assert not has(text, "shops/buy") and not has(text, "shop") and not has(text, "/buy")
    assert not has(text, "example/shop") and not has(text, "com.example")


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'{"extensions":7}', b'{"tools":{"tasks":{}}}']
)
def test_else_there_is_none(text: bytes) -> None:
    assert not has(text, "tasks/get")
