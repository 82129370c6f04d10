"""Raw lists survive the way from one worker to the next."""

from hypothesis import given
from hypothesis import strategies as st

from relay_worker import lists
from relay_worker.lists import RawLists

RAW = st.builds(
    RawLists,
    protocol=st.text(max_size=10),
    capabilities=st.binary(max_size=10),
    server_info=st.binary(max_size=10),
    instructions=st.none() | st.text(max_size=10),
    tools=st.lists(st.binary(max_size=10), max_size=3),
    prompts=st.lists(st.binary(max_size=10), max_size=3),
    resources=st.lists(st.binary(max_size=10), max_size=3),
    templates=st.lists(st.binary(max_size=10), max_size=3),
)


@given(RAW)
def test_what_is_decoded_is_what_was_encoded(raw: RawLists) -> None:
    assert lists.decode(lists.encode(raw)) == raw
    assert lists.encode(raw) == lists.encode(lists.decode(lists.encode(raw)) or RawLists())


@given(st.binary(max_size=50))
def test_broken_lists_are_learned_anew(payload: bytes) -> None:
    found = lists.decode(payload)
    assert found is None or isinstance(found, RawLists)


def test_a_cut_payload_is_none() -> None:
    payload = lists.encode(RawLists(tools=[b'{"name":"a"}']))
    assert lists.decode(payload[:-1]) is None
    assert lists.decode(b"\xc1") is None
    assert lists.decode(b"[]") is None


def test_a_payload_over_the_limit_is_none() -> None:
    payload = lists.encode(RawLists(tools=[bytes(lists.PAYLOAD_BYTES_MAX)]))
    assert lists.decode(payload) is None
