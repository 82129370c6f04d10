"""Whose a resource is: one rule, in its order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker import resources
from relay_worker.resources import Resources, scheme_of
from relay_worker.uri_templates import parse


def build(
    listed: dict[str, str], templates: list[tuple[str, str]], backends: tuple[str, ...]
) -> Resources:
    parsed = [(text, parse(text), owner) for text, owner in templates]
    return resources.build(listed, parsed, backends)  # type: ignore[arg-type]


FOUND = build(
    {"a://x": "one", "c://x": "two"},
    [
        ("a://{id}", "two"),
        ("a://x{id}", "three"),
        ("{+any}://deep/{+path}", "four"),
        ("b://{id}", "one"),
        ("b://{name}", "two"),
        ("d://{x}{?q}", "one"),
        ("d://{y}", "two"),
    ],
    ("one", "two", "three", "four"),
)
LINKS = {"a://x": "four", "e://1": "three", "c://1": "one", "e://2": "gone"}


@pytest.mark.parametrize(
    ("uri", "owner"),
    [
        pytest.param("a://x", "one", id="listed as it is, whatever template or link has it too"),
        pytest.param("a://y", "two", id="a template"),
        pytest.param("a://xy", "three", id="the template with more literal characters"),
        pytest.param("d://1", "two", id="of equally literal ones, that with fewer variables"),
        pytest.param("b://1", "one", id="of equally specific ones, the first in configuration"),
        pytest.param("d://{x}{?q}", "one", id="a template by its own text"),
        pytest.param("b://{name}", "two", id="a template's text, though another one matches it"),
        pytest.param("e://1", "three", id="nobody lists it: who sent the link"),
        pytest.param("c://1", "one", id="who sent the link, though another has the scheme"),
        pytest.param("c://2", "two", id="nobody sent it: the only one with its scheme"),
        pytest.param("a://1/2", None, id="a scheme of several"),
        pytest.param("e://2", None, id="a link of a backend that has gone"),
        pytest.param("e://3", None, id="nobody"),
        pytest.param("no uri", None, id="no URI"),
    ],
)
def test_the_rule(uri: str, owner: str | None) -> None:
    assert FOUND.owner(uri, LINKS) == owner


def test_what_nobody_lists_is_for_the_only_backend_with_resources() -> None:
    assert build({}, [], ("one",)).owner("x://1", {}) == "one"
    assert build({}, [], ()).owner("x://1", {}) is None


@given(st.permutations([("x://{a}", "one"), ("x://{a}/y", "two"), ("x://{+a}", "three")]))
def test_more_literal_templates_win_in_any_order(templates: list[tuple[str, str]]) -> None:
    assert build({}, templates, ("one", "two", "three")).owner("x://1/y", {}) == "two"


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [("FILE:///x", "file"), ("{x}://y", ""), ("x", ""), ("a:{b}", "a"), ("a{b}:c", "")],
)
def test_schemes(uri: str, scheme: str) -> None:
    assert scheme_of(uri) == scheme
