"""JSON-RPC frames towards backends, and the looks into what they send."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.wire import v1
from relay_worker.backends import frames


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (b"7", 7),
        (b'"7"', 7),
        (b"7.0", 7),
        (b"7e0", 7),
        (b"%d" % v1.CALL_MAX, v1.CALL_MAX),
        (b"%d" % (v1.CALL_MAX + 1), None),
        (b"9" * 5000, None),
        (b'"%s"' % (b"9" * 5000), None),
        (b"1e400", None),
        (b"0", None),
        (b"-7", None),
        (b"7.5", None),
        (b"true", None),
        (b"null", None),
        (b"[7]", None),
        (b'"relay-3-init-1"', None),
        (b'""', None),
        (b"\xff", None),
    ],
)
def test_which_call_an_id_names(text: bytes, call: int | None) -> None:
    assert frames.call_number(msgspec.Raw(text)) == call


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_no_id_is_too_odd(value: object) -> None:
    call = frames.call_number(msgspec.Raw(json.dumps(value).encode()))
    assert call is None or (0 < call <= v1.CALL_MAX and not isinstance(value, bool))


def test_frames_are_json_rpc_on_one_line() -> None:
    made = [
        (
            frames.request("a-1", "x/y", b'{"b":1}'),
            {"id": "a-1", "method": "x/y", "params": {"b": 1}},
        ),
        (frames.call_frame(7, "x/y", b"{}"), {"id": 7, "method": "x/y", "params": {}}),
        (frames.call_frame(7, "x/y", b""), {"id": 7, "method": "x/y"}),
        (b"".join(frames.call_pieces(7, "x", b"{}")), {"id": 7, "method": "x", "params": {}}),
        (frames.notification("n"), {"method": "n"}),
        (frames.notification("n", b"[]"), {"method": "n", "params": []}),
        (frames.response(b'"7"', frames.result_members([1])), {"id": "7", "result": [1]}),
        (
            frames.response(b"7", frames.error_members(-5, 'say "no"')),
            {"id": 7, "error": {"code": -5, "message": 'say "no"'}},
        ),
    ]
    for frame, expected in made:
        assert frame.endswith(b"\n") and frame.count(b"\n") == 1
        assert json.loads(frame) == {"jsonrpc": "2.0", **expected}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b'{"error":{"code":-5,"message":"no","data":[]}}', (-5, "no")),
        (b'{"error":null,"result":{}}', None),
        (b'{"result":{}}', None),
        (b'{"error":"text"}', (0, "an error that cannot be read")),
        (b'{"error":{}}', (0, "")),
    ],
)
def test_what_counts_as_an_error(text: bytes, error: tuple[int, str] | None) -> None:
    envelope = frames.decode_object(text)
    assert envelope is not None
    assert frames.error_of(envelope) == error


@pytest.mark.parametrize("text", [None, b"", b"[]", b"7", b"{", b'{"\xff":1}', b"[" * 9999])
def test_what_is_no_object_is_none(text: bytes | None) -> None:
    assert frames.decode_object(text) is None
    assert frames.text_of(None if text is None else msgspec.Raw(text)) is None


@given(
    st.text(min_size=1),
    st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_progress_tokens_come_back_as_the_backend_chose_them(backend: str, token: object) -> None:
    backend = backend.encode(errors="replace").decode()
    raw = msgspec.Raw(json.dumps(token).encode())
    meta = msgspec.Raw(msgspec.json.encode({"progressToken": raw, "kept": 1}))
    shown = json.loads(frames.token_towards_client(backend, {"_meta": meta}))
    assert shown["_meta"]["kept"] == 1 and shown["_meta"]["progressToken"].startswith("relay:")
    notice = {"progressToken": shown["_meta"]["progressToken"], "progress": 0.5}
    found = frames.token_towards_backend(json.dumps(notice).encode())
    assert found is not None and found[0] == backend
    assert json.loads(found[1]) == {"progressToken": token, "progress": 0.5}


@pytest.mark.parametrize(
    "params", [b"", b"{}", b'{"progressToken":7}', b'{"progressToken":"relay:x"}', b"[]"]
)
def test_tokens_of_others_belong_to_no_backend(params: bytes) -> None:
    assert frames.token_towards_backend(params) is None


def test_params_without_a_token_stay() -> None:
    envelope = frames.decode_object(b'{"a":1.50,"_meta":{"b":2}}')
    assert envelope is not None
    assert frames.token_towards_client("x", envelope) == b'{"a":1.50,"_meta":{"b":2}}'


@pytest.mark.parametrize("call", [1, v1.CALL_MAX, -1, -(3 << 20) - 1])
def test_the_id_of_a_call_comes_back_as_its_number(call: int) -> None:
    for frame in (
        frames.call_frame(call, "tools/call", b"{}"),
        b"".join(frames.call_pieces(call, "tools/call", b"{}")),
    ):
        envelope = frames.decode_object(frame)
        assert envelope is not None
        assert frames.call_number(envelope["id"]) == call
        assert isinstance(json.loads(frame)["id"], int if call > 0 else str)


@pytest.mark.parametrize(
    "text", ['"relay-call-0"', '"relay-call--5"', '"relay-call-"', '"relay-call-1x"', "-7", '"-7"']
)
def test_no_other_id_is_that_of_a_call_of_the_relays_own(text: str) -> None:
    assert frames.call_number(msgspec.Raw(text.encode())) is None
