"""URIs find the template they were made from."""

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay_worker.uri_templates import EXPRESSIONS_MAX, URI_CHARS_MAX, Template, parse


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
        ("{+p}/row/{id}", "db://x/row/y/row/7", True),
        ("{+p}/row/{id}", "db://x/row/y/col/7", False),
        ("a://{x}{?q}", "a://1?q=2", True),
        ("a://{x}", "a://1?q=2", False),
        ("a://x{?q}", "a://xyz", False),
        ("a://x{?q}{#f}", "a://x#f", True),
        ("a://x{/y*}", "a://x/1/2", True),
        ("a://x{/y*}", "a://xy", False),
        ("a://x{.y}", "a://x.1", True),
        ("a://x{;y}z", "a://x;y=1z", True),
        ("a://x?a=1{&b}", "a://x?a=1&b=2", True),
        ("a://{x:3}", "a://123", True),
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


TEMPLATES = st.lists(
    st.sampled_from(["a", "b", "/", "?", "ab", *(f"{{{op}x}}" for op in ("", *"+#./;?&"))]),
    max_size=7,
).map("".join)


@given(TEMPLATES, st.text("aabb/?#.;&", max_size=8))
@example("{+x}a{x}b", "aa/ab")
@settings(max_examples=500)
def test_it_matches_what_a_regular_expression_would(text: str, uri: str) -> None:
    template = parse(text)
    assert template is not None
    assert template.matches(uri) is (re.fullmatch(pattern(template), uri) is not None)


def pattern(template: Template) -> str:
    parts = [re.escape(template.literals[0])]
    for expression, literal in zip(template.expressions, template.literals[1:], strict=True):
        any_value = f"[^{re.escape(expression.stops)}]*" if expression.stops else ".*"
        opens = re.escape(expression.opens)
        parts += [f"(?:{opens}{any_value})?" if opens else any_value, re.escape(literal)]
    return "".join(parts)


def test_too_many_expressions_are_no_template() -> None:
    assert parse("{x}" * EXPRESSIONS_MAX) is not None
    assert parse("{x}" * (EXPRESSIONS_MAX + 1)) is None


def test_a_uri_over_the_limit_matches_nothing() -> None:
    template = parse("a://{x}")
    assert template is not None
    assert template.matches("a://" + "x" * (URI_CHARS_MAX - 4))
    assert not template.matches("a://" + "x" * (URI_CHARS_MAX - 3))


@pytest.mark.parametrize("part", ["a{x}", "{+x}a", "{+x}a{x}", "{x}"])
def test_a_match_takes_a_bounded_time(part: str) -> None:
    """A search that tries every division of the URI would never come back."""
    template = parse(part * (EXPRESSIONS_MAX // part.count("{")) + "b")
    assert template is not None
    before = time.process_time()
    for body in ("a", "/a", "a/", "ab"):
        uri = (body * URI_CHARS_MAX)[: URI_CHARS_MAX - 2]
        template.matches(uri + "/b")
        template.matches("c" + uri + "b")
    assert time.process_time() - before < 5


def test_the_most_specific_template_has_the_most_literal_characters_then_the_fewest_variables() -> (
    None
):
    texts = ["{+any}", "a://{x}/{y}", "a://{x}{?q}", "a://b/{x}", "a://{x}"]
    parsed = {text: parse(text) for text in texts}
    found = sorted(texts, key=lambda text: parsed[text].generality)
    assert found == ["a://b/{x}", "a://{x}/{y}", "a://{x}", "a://{x}{?q}", "{+any}"]
