"""URIs find the template they were made from."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.uri_templates import parse


@pytest.mark.parametrize(
    ("template", "uri", "expected"),
    [
        ("a://b", "a://b", True),
        ("a://b", "a://bc", False),
        ("file:///{name}", "file:///x", True),
        ("file:///{name}", "file:///", True),
        ("file:///{name}", "file:///x/y", False),
        ("file:///{+path}", "file:///x/y", True),
        ("file://{/a,b}", "file:///x/y", True),
        ("db://{table}/row/{id}", "db://users/row/7", True),
        ("db://{table}/row/{id}", "db://users/col/7", False),
        ("db://{table}/row/{id}", "db://a/b/row/7", False),
        ("db://{table}/row/{id}/end", "db://users/row/7/end", True),
        ("a://{x}aa", "a://aa", True),
        ("a://a{x}a", "a://a", False),
        ("s://q{?a,b}", "s://q?a=1&b=2/3", True),
        ("s://q{#frag}", "s://q#a/b", True),
        ("{+uri}", "any://thing/at/all", True),
        ("x{a}{b}y", "xy", True),
        ("x{a}{b}y", "x12y", True),
        ("x{a}y", "y", False),
    ],
)
def test_matches(template: str, uri: str, expected: bool) -> None:
    parsed = parse(template)
    assert parsed is not None
    assert parsed.matches(uri) is expected


@pytest.mark.parametrize("template", ["a{b", "a}b", "a{b{c}}", "{", "}{"])
def test_braces_that_do_not_pair(template: str) -> None:
    assert parse(template) is None


def test_literal_chars() -> None:
    assert [parse(text).literal_chars for text in ("a://{x}", "a://{x}/b", "{+x}")] == [4, 6, 0]


PART = st.text("ab:/._-?", max_size=4)


@given(st.lists(st.tuples(PART, st.text("xyz", max_size=3)), max_size=5), PART)
def test_every_expansion_matches(pieces: list[tuple[str, str]], last: str) -> None:
    """Values that share no character with the literals, so that there is one reading only."""
    template = parse("".join(literal + "{v}" for literal, _ in pieces) + last)
    uri = "".join(literal + value for literal, value in pieces) + last
    assert template is not None and template.matches(uri)


def test_many_expressions_take_linear_time() -> None:
    template = parse("a{x}" * 2000 + "b")
    assert template is not None
    before = time.process_time()
    assert not template.matches("a" * 100_000 + "c")
    assert not template.matches("a" * 100_000 + "cb/b")
    assert time.process_time() - before < 2
