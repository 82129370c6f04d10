"""The order and the ways of frames over streamable HTTP, on a network that is a function."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx2
import pytest

from relay_worker.backends.remote import streamable
from relay_worker.backends.remote.channel import Wiring
from relay_worker.backends.remote.inlet import Inlet
from relay_worker.backends.remote.messages import Address, Failure, Fault, Post
from relay_worker.backends.remote.streamable import StreamableChannel
from relay_worker.backends.remote.thread import HttpThread
from relay_worker.loop import Loop

WAIT_SECONDS = 10.0
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{}}'


class Server:
    """Every request waits until the test lets it be answered. `asked` has (client, body)."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bytes]] = []
        self.gates: list[asyncio.Future[httpx2.Response]] = []
        self.clients = 0

    def client(self, *_: object) -> httpx2.AsyncClient:
        """In place of `client.make`."""
        number = self.clients
        self.clients += 1

        async def handle(request: httpx2.Request) -> httpx2.Response:
            self.asked.append((number, request.content))
            gate: asyncio.Future[httpx2.Response] = asyncio.get_running_loop().create_future()
            self.gates.append(gate)
            return await gate

        return httpx2.AsyncClient(transport=httpx2.MockTransport(handle))


class Ends:
    """A listener that keeps what frames came to."""

    def __init__(self) -> None:
        self.done_with: dict[int, Failure | None] = {}

    def done(self, number: int, failure: Failure | None) -> None:
        self.done_with[number] = failure

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_more: None


class Scene:
    """A channel, its server and its listener; `turn` lets both loops do what they can."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ends = Ends()
        self.errors: list[Exception] = []
        self.loop = Loop(lambda _where, error: self.errors.append(error))
        thread = HttpThread(lambda _where, error: self.errors.append(error), lambda _secrets: None)
        address = Address("http://h/mcp", {}, 1000, 1.0)
        inlet = Inlet(self.loop, thread)
        listener: Any = self.ends
        self.channel = StreamableChannel(Wiring(address, None, listener, inlet, thread))

    async def turn(self) -> None:
        """Long enough for whatever needs no answer."""
        turned = asyncio.get_running_loop().create_future()
        left = 50

        def again() -> None:
            nonlocal left
            left -= 1
            if left:
                asyncio.get_running_loop().call_soon(again)
            else:
                turned.set_result(None)

        again()
        await turned
        self.loop.turn(0)

    async def answer(self, index: int, response: httpx2.Response) -> None:
        self.server.gates[index].set_result(response)
        await self.turn()


def play(
    monkeypatch: pytest.MonkeyPatch, story: Callable[[Scene], Coroutine[Any, Any, None]]
) -> None:
    """Play a story within a bound."""
    server = Server()
    monkeypatch.setattr(streamable, "make", server.client)

    async def run() -> None:
        scene = Scene(server)
        async with asyncio.timeout(WAIT_SECONDS):
            await story(scene)
        scene.loop.close()
        assert scene.errors == []

    asyncio.run(run())


def ok() -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": "application/json"}, content=ANSWER)


def test_nothing_overtakes_the_first_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(scene: Scene) -> None:
        scene.channel.post(Post(1, b"first", {}, first=True))
        scene.channel.post(Post(2, b"call", {}, 7))
        await scene.turn()
        assert [body for _, body in scene.server.asked] == [b"first"]
        await scene.answer(0, httpx2.Response(202))
        assert [body for _, body in scene.server.asked] == [b"first", b"call"]
        await scene.answer(1, ok())
        assert scene.ends.done_with == {1: None, 2: None}

    play(monkeypatch, story)


def test_what_is_urgent_waits_for_nothing_and_goes_its_own_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(scene: Scene) -> None:
        scene.channel.post(Post(1, b"first", {}, first=True))
        scene.channel.post(Post(2, b"urgent", {}, urgent=True))
        await scene.turn()
        assert sorted(scene.server.asked) == [(0, b"first"), (1, b"urgent")]

    play(monkeypatch, story)


def test_calls_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(scene: Scene) -> None:
        for number in (1, 2, 3):
            scene.channel.post(Post(number, b"call", {}, number))
        await scene.turn()
        assert len(scene.server.asked) == 3
        await scene.answer(2, ok())
        assert scene.ends.done_with == {3: None}

    play(monkeypatch, story)


def test_one_that_is_let_go_of_comes_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(scene: Scene) -> None:
        scene.channel.post(Post(1, b"call", {}, 7))
        await scene.turn()
        scene.channel.abort(1)
        await scene.turn()
        assert scene.server.gates[0].cancelled()
        assert scene.ends.done_with == {}

    play(monkeypatch, story)


def test_a_bug_of_ours_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(scene: Scene) -> None:
        scene.channel.post(Post(1, b"call", {}, 7))
        await scene.turn()
        scene.server.gates[0].set_exception(KeyError("oops"))
        await scene.turn()
        failure = scene.ends.done_with[1]
        assert failure is not None
        assert failure.fault is Fault.CUT
        assert "oops" in failure.text

    play(monkeypatch, story)


def test_a_stream_that_ends_at_once_is_not_asked_for_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever its server says of that."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def story(scene: Scene) -> None:
        scene.channel.listen({})
        await scene.turn()
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "sleep", pause)
            headers = {"content-type": "text/event-stream"}
            ended = httpx2.Response(200, headers=headers, content=b"id: 1\nretry: 0\n\n")
            await scene.answer(0, ended)
        assert len(scene.server.asked) == 2
        assert min(pauses) > 0

    play(monkeypatch, story)
