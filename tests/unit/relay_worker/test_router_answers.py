"""What a backend answers arrives byte for byte, unless no client could read it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from tests.unit.relay_worker.router_stage import Stage

NO_OBJECT = b"Backend 'one' answered with a result that is no object"
NEITHER = b"Backend 'one' answered with neither result nor error"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(monkeypatch)
    yield one
    one.loop.close()


@pytest.mark.parametrize(
    ("text", "outcome", "members"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":{"a":1.0}}', v1.OUTCOME_RESULT, b'"result":{"a":1.0}}'),
        (b'{"result":{},"id":"7","x":[1]}', v1.OUTCOME_RESULT, b'"result":{}}'),
        (b'{"id":7,"result":{"_meta":null,"a":1.0}}', v1.OUTCOME_RESULT, b'"result":{"a":1.0}}'),
        (b'{"id":7,"result":{},"error":null}', v1.OUTCOME_RESULT, b'"result":{}}'),
        (
            b'{"id":7,"error":{"code":-1,"message":"m","data":1.0}}',
            v1.OUTCOME_BACKEND_ERROR,
            b'"error":{"code":-1,"message":"m","data":1.0}}',
        ),
        (
            b'{"id":7,"result":null,"error":{"code":-1,"message":"m"}}',
            v1.OUTCOME_BACKEND_ERROR,
            b'"error":{"code":-1,"message":"m"}}',
        ),
        (
            b'{"id":7,"result":[1]}',
            v1.OUTCOME_BACKEND_ERROR,
            b'"error":{"code":-32603,"message":"%b"}}' % NO_OBJECT,
        ),
        (
            b'{"id":7}',
            v1.OUTCOME_BACKEND_ERROR,
            b'"error":{"code":-32603,"message":"%b"}}' % NEITHER,
        ),
    ],
)
def test_answers_keep_their_bytes(stage: Stage, text: bytes, outcome: int, members: bytes) -> None:
    stage.tool(7)
    stage.reply(stage.one, 7, text)
    assert stage.sent == [(v1.Reply(7, outcome), members)]


@pytest.mark.parametrize("era", [v1.LEGACY, v1.MODERN])
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "one__echo"}),
        ("resources/read", {"uri": "a://b"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "one__greet"}}),
    ],
)
def test_an_answer_that_needs_no_closer_look_is_like_any(
    stage: Stage, era: int, method: str, params: dict[str, Any]
) -> None:
    for call in (7, 8):
        stage.call(call, method, params, era)
    text = b'{"a":1.0,"completion":{"values":[%b]}}' % b",".join([b'"x"'] * 101)
    stage.reply(stage.one, 7, b'{"jsonrpc":"2.0","id":7,"result":%b}' % text)
    for _ in range(2):  # of a second one nothing is to be seen
        stage.router.resulted(stage.one, 8, msgspec.Raw(text), b'"result":%b}' % text)
    sent = [payload for message, payload in stage.sent if isinstance(message, v1.Reply)]
    assert len(sent) == 2 and sent[0] == sent[1]
    assert (b"hasMore" in sent[0]) == (method == "completion/complete")
    assert (b"resultType" in sent[0]) == (era == v1.MODERN)


def test_an_answer_to_the_relay_itself_goes_to_whoever_asked(stage: Stage) -> None:
    done: list[tuple[int, bytes]] = []
    message = v1.Call(-1, "tools/call", "one__echo", v1.LEGACY)
    stage.router.call_for(
        message, b'{"name":"one__echo"}', lambda outcome, members: done.append((outcome, members))
    )
    stage.router.resulted(stage.one, -1, msgspec.Raw(b"{}"), b'"result":{}}')
    assert done == [(v1.OUTCOME_RESULT, b'"result":{}}')] and stage.sent == []


@pytest.mark.parametrize("size", [10, 70_000])
def test_an_answer_of_any_size_keeps_its_bytes(stage: Stage, size: int) -> None:
    stage.tool(7)
    result = b'{"text":"%b", "n":1.50}' % (b"x" * size)
    stage.reply(stage.one, 7, b'{"jsonrpc":"2.0","id":7,"result":%b}' % result)
    assert stage.sent[0][1] == b'"result":%b}' % result
