"""One list, page by page, however odd the server."""

import msgspec
import pytest

from relay_worker.backends.frames import decode_object
from relay_worker.backends.listing import KINDS, Listing, declared


def page(listing: Listing, text: bytes) -> bytes | None:
    result = decode_object(text)
    assert result is not None
    return listing.add(result)


def test_pages_are_joined_and_items_stay_as_they_were() -> None:
    listing = Listing(KINDS["tools"], 10)
    assert page(listing, b'{"tools":[{"n": 1.0},2],"nextCursor":"a"}') == b'{"cursor":"a"}'
    assert page(listing, b'{"tools":[],"nextCursor":""}') == b'{"cursor":""}'
    assert page(listing, b'{"tools":[null]}') is None
    assert listing.items == [b'{"n": 1.0}', b"2", b"null"]
    assert listing.problem is None


def test_a_cursor_that_comes_again_ends_it() -> None:
    listing = Listing(KINDS["prompts"], 10)
    assert page(listing, b'{"prompts":[1],"nextCursor":"a"}') is not None
    assert page(listing, b'{"prompts":[2],"nextCursor":"a"}') is None
    assert listing.items == [b"1", b"2"]
    assert listing.problem is not None and "same cursor" in listing.problem


def test_there_is_a_cap_on_pages() -> None:
    listing = Listing(KINDS["resources"], 3)
    pages = [page(listing, b'{"resources":[1],"nextCursor":"%d"}' % n) for n in range(3)]
    assert pages == [b'{"cursor":"0"}', b'{"cursor":"1"}', None]
    assert len(listing.items) == 3
    assert listing.problem is not None and "list_pages_max" in listing.problem


@pytest.mark.parametrize("result", [b"{}", b'{"tools":{}}', b'{"tools":null}', b'{"other":[]}'])
def test_a_page_without_a_list_is_a_problem(result: bytes) -> None:
    listing = Listing(KINDS["tools"], 3)
    assert page(listing, result) is None
    assert listing.problem is not None and "without a list of tools" in listing.problem


@pytest.mark.parametrize("cursor", [b"7", b"null", b"{}"])
def test_a_cursor_that_is_no_text_is_none(cursor: bytes) -> None:
    listing = Listing(KINDS["tools"], 3)
    assert page(listing, b'{"tools":[],"nextCursor":%b}' % cursor) is None
    assert listing.problem is None


def test_only_declared_lists_are_asked_for() -> None:
    capabilities = msgspec.json.encode({"tools": {}, "resources": {}, "logging": {}})
    assert [kind.field for kind in declared(capabilities)] == ["tools", "resources", "templates"]
    assert declared(b"[]") == []


def test_a_list_is_gone_on_with_where_another_worker_has_stopped() -> None:
    begun = Listing(KINDS["tools"], 3)
    begun.add(decode_object(b'{"tools":[1],"nextCursor":"a"}') or {})
    for last, problem in ((b'"b"', "more than 3 pages"), (b'"a"', "the same cursor again")):
        listing = Listing.resume(KINDS["tools"], 3, begun.partial())
        assert listing.add(decode_object(b'{"tools":[2],"nextCursor":"c"}') or {}) is not None
        assert listing.add(decode_object(b'{"tools":[3],"nextCursor":%b}' % last) or {}) is None
        assert problem in (listing.problem or "") and listing.items == [b"1", b"2", b"3"]
    assert begun.items == [b"1"], "what was handed over is a copy"
