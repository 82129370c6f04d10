"""Tokens on requests: when new ones are asked for, by how many, and what becomes of it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from relay_worker.backends.remote.client import Failed
from relay_worker.oauth import bearer, files, refresh
from relay_worker.oauth.bearer import Bearer
from relay_worker.oauth.files import Stored, Unavailable

URL = "http://far.invalid/mcp"
MANY = 64


def login(number: int, *, seconds: float | None = None) -> Stored:
    """The login with tokens of this number, which expire in so many seconds."""
    tokens = {"access_token": f"token-{number}", "token_type": "Bearer", "refresh_token": "r"}
    text = msgspec.Raw(msgspec.json.encode(tokens))
    expires_at = None if seconds is None else time.time() + seconds
    return Stored(url=URL, tokens=text, expires_at=expires_at)


class Play:
    """A bearer, and who gives it tokens: `renewals` wait for `gate` and come to `outcome`."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, stored: Stored) -> None:
        self.renewals = 0
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.outcome: Stored | Exception | None = login(2)
        self.path = path
        files.save(path, stored)
        monkeypatch.setattr(bearer, "_renewer", lambda: self._renew)
        self.bearer = Bearer(URL, str(path), lambda _secrets: None, lambda _where, _error: None)

    async def _renew(self, *_: object) -> Stored | None:
        self.renewals += 1
        self.asked.set()
        await self.gate.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def ask(self, *good: str, verb: str = "POST") -> str:
        """Send a request to a server that takes these tokens; returns the one it came with."""

        def answer(request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200 if request.headers.get("authorization") in good else 401)

        transport = httpx2.MockTransport(answer)
        async with httpx2.AsyncClient(transport=transport, auth=self.bearer) as client:
            response = await client.request(verb, URL)
            return str(response.request.headers.get("authorization", ""))


def play(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stored: Stored,
    story: Callable[[Play], Coroutine[Any, Any, None]],
) -> None:
    async def run() -> None:
        async with asyncio.timeout(10):
            await story(Play(path / "tokens" / "t.json", monkeypatch, stored))

    asyncio.run(run())


def test_many_that_are_refused_fetch_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(play: Play) -> None:
        asking = [asyncio.create_task(play.ask("Bearer token-2")) for _ in range(MANY)]
        await play.asked.wait()
        play.gate.set()
        assert set(await asyncio.gather(*asking)) == {"Bearer token-2"}
        assert play.renewals == 1

    play(tmp_path, monkeypatch, login(1), story)


def test_many_share_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one after the other would wait for a server that is silent."""

    async def story(play: Play) -> None:
        play.outcome = Unavailable("later")
        asking = [asyncio.create_task(play.ask()) for _ in range(MANY)]
        await play.asked.wait()
        play.gate.set()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Failed}
        assert play.renewals == 1

    play(tmp_path, monkeypatch, login(1, seconds=-1), story)


def test_a_token_that_is_due_is_good_until_it_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody need notice that the authorization server is away for a moment."""

    async def story(play: Play) -> None:
        play.outcome = Unavailable("later")
        play.gate.set()
        assert await play.ask("Bearer token-1") == "Bearer token-1"
        assert play.renewals == 0
        began = time.time()
        monkeypatch.setattr(bearer.time, "time", lambda: began + 3600 - bearer.EARLY_SECONDS / 2)
        assert await play.ask("Bearer token-1") == "Bearer token-1"
        assert play.renewals == 1
        monkeypatch.setattr(bearer.time, "time", lambda: began + 3600)
        with pytest.raises(Failed):
            await play.ask("Bearer token-1")

    play(tmp_path, monkeypatch, login(1, seconds=3600), story)


def test_who_gives_up_waiting_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(play: Play) -> None:
        asking = asyncio.create_task(play.ask())
        await play.asked.wait()
        asking.cancel()
        play.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await play.ask("Bearer token-2") == "Bearer token-2"
        assert play.renewals == 1

    play(tmp_path, monkeypatch, login(1), story)


@pytest.mark.parametrize(
    ("seconds", "renewals"), [(None, 0), (3600.0, 0), (20.0, 0), (0.0, 1), (-60.0, 1)]
)
def test_when_one_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float | None, renewals: int
) -> None:
    """A server that gives tokens for half a minute is not asked for one with each request."""

    async def story(play: Play) -> None:
        play.gate.set()
        await play.ask("Bearer token-1", "Bearer token-2")
        assert play.renewals == renewals

    play(tmp_path, monkeypatch, login(1, seconds=seconds), story)


def test_who_logs_in_while_a_request_is_refused_need_not_do_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for a login looks for another file than the one that is there by then."""

    async def story(play: Play) -> None:
        play.path.unlink()

        def answer(request: httpx2.Request) -> httpx2.Response:
            if not play.path.exists():
                files.save(play.path, login(3))
            good = request.headers.get("authorization") == "Bearer token-3"
            return httpx2.Response(200 if good else 401)

        transport = httpx2.MockTransport(answer)
        async with httpx2.AsyncClient(transport=transport, auth=play.bearer) as client:
            assert (await client.get(URL)).is_success
        assert play.renewals == 0

    play(tmp_path, monkeypatch, login(1), story)


@pytest.mark.parametrize("seconds", [None, -1.0])
def test_a_farewell_fetches_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float | None
) -> None:
    """Neither before nor after it is refused: the process ends before they would be kept."""

    async def story(play: Play) -> None:
        if seconds is None:
            await play.ask("Bearer token-1")
        assert await play.ask(verb="DELETE") in {"Bearer token-1", ""}
        assert play.renewals == 0

    play(tmp_path, monkeypatch, login(1, seconds=seconds), story)


def test_new_tokens_are_good_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old ones are void by then; and somebody is told."""

    async def refreshed(_url: str, _stored: Stored) -> Stored:
        return login(2)

    def full(_path: Path, _stored: Stored) -> None:
        raise OSError(28, "No space left on device")

    told: list[Exception] = []
    path = tmp_path / "tokens" / "t.json"
    files.save(path, login(1))
    monkeypatch.setattr(refresh, "_refresh", refreshed)
    monkeypatch.setattr(files, "save", full)
    found = asyncio.run(refresh.renew(path, URL, "token-1", lambda _where, e: told.append(e)))
    assert found is not None
    assert files.access_token(found) == "token-2"
    assert [str(error) for error in told] == ["[Errno 28] No space left on device"]
