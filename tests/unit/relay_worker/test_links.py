"""URIs in answers are found, whatever else is in them, and remembered within a limit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.links import LINK_CHARS_MAX, LINKS_MAX, Links, uris_of

LINK = {"type": "resource_link", "uri": "a://1", "name": "n"}
EMBEDDED = {"type": "resource", "resource": {"uri": "a://2", "text": "t"}}
TEXT = {"type": "text", "text": '{"uri": "a://3"}'}


@pytest.mark.parametrize(
    ("result", "uris"),
    [
        ({"content": [TEXT, LINK, EMBEDDED]}, ["a://1", "a://2"]),
        ({"messages": [{"role": "user", "content": EMBEDDED}]}, ["a://2"]),
        ({"contents": [{"uri": "a://4", "text": "t"}]}, ["a://4"]),
        ({"content": [7, {"uri": 7}, {"uri": ""}, {"type": 7, "uri": "b"}, LINK]}, ["a://1"]),
        ({"messages": [7, {"content": 7}, {"content": LINK}]}, ["a://1"]),
        ({"content": {"uri": "a"}}, []),
        ({"content": [{"uri": "x" * LINK_CHARS_MAX}]}, ["x" * LINK_CHARS_MAX]),
        ({"content": [{"uri": "x" * (LINK_CHARS_MAX + 1)}]}, []),
        ([LINK], []),
    ],
)
def test_uris(result: object, uris: list[str]) -> None:
    assert uris_of(json.dumps(result).encode()) == uris


@given(st.binary(max_size=60).map(lambda tail: b'{"content":[{"uri":' + tail) | st.binary())
def test_nothing_is_raised(result: bytes) -> None:
    assert uris_of(result + b'"uri"') == []


def test_only_news_are_returned() -> None:
    links = Links()
    assert links.learn("one", ["a", "b", "a"]) == ["a", "b"]
    assert links.learn("one", ["b", "c"]) == ["c"]
    assert links.learn("two", ["a"]) == ["a"]
    assert links == {"a": "two", "b": "one", "c": "one"}


def test_the_oldest_go_first() -> None:
    links = Links()
    links.learn("one", ["first", "second"])
    links.learn("two", ["first"])
    links.learn("one", map(str, range(LINKS_MAX - 1)))
    assert len(links) == LINKS_MAX
    assert "second" not in links and links["first"] == "two"
