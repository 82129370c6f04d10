"""What is made of responses that are errors."""

import asyncio
import shlex
from collections.abc import AsyncIterator

import httpx2
import pytest

from relay_worker.backends.remote import client
from relay_worker.backends.remote.client import Failed, check
from relay_worker.backends.remote.messages import Failure, Fault

WAIT_SECONDS = 10.0


class Dripping(httpx2.AsyncByteStream):
    """A body that never ends."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"because"
        await asyncio.get_running_loop().create_future()


def failure(response: httpx2.Response, *, session: bool = False) -> Failure:
    async def run() -> Failure:
        async with asyncio.timeout(WAIT_SECONDS):
            with pytest.raises(Failed) as caught:
                await check(response, session=session)
            return caught.value.failure

    return asyncio.run(run())


def test_an_error_that_does_not_end_is_told_as_far_as_it_got(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "ERROR_SECONDS_MAX", 0.05)
    found = failure(httpx2.Response(500, stream=Dripping()))
    assert found.fault is Fault.FAILED
    assert found.text.endswith(": because")


@pytest.mark.parametrize("scope", ["$(id)", "a`id`", "a;b", "a b", "a"])
def test_a_scope_is_one_word_for_a_shell(scope: str) -> None:
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
    text = failure(httpx2.Response(403, headers={"www-authenticate": challenge})).text
    assert shlex.split(text.partition("again: ")[2])[-2:] == ["--scope", scope]


def test_a_scope_that_would_be_more_is_not_repeated() -> None:
    challenge = 'Bearer error="insufficient_scope", scope="a\';id;\'"'
    text = failure(httpx2.Response(403, headers={"www-authenticate": challenge})).text
    assert "--scope" not in text


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (404, b"", Fault.EXPIRED),
        (404, b'{"error":{"code":-32001,"message":"Session not found"}}', Fault.EXPIRED),
        (404, b'{"error":{"code":-32600,"message":"Not Found"}}', Fault.EXPIRED),
        (400, b'{"error":{"code":-32000,"message":"No valid session ID"}}', Fault.EXPIRED),
        (404, b'{"error":{"code":-32601,"message":"Method not found"}}', Fault.REFUSED),
        (400, b'{"error":{"code": -32602,"message":"no parameter session"}}', Fault.REFUSED),
        (400, b"bad request", Fault.REFUSED),
    ],
)
def test_when_a_session_is_lost(status: int, body: bytes, fault: Fault) -> None:
    assert failure(httpx2.Response(status, content=body), session=True).fault is fault
    assert failure(httpx2.Response(status, content=body)).fault is Fault.REFUSED
