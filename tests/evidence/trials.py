"""What is tried with the SDK's transport; each trial returns what was seen, and asserts nothing."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from tests.evidence.sdk import Dispatcher, call, connected, told
from tests.harness.http_mcp import JSON, Exchange, HttpMcp

SECONDS: Final = 8.0
"""How long an answer is waited for."""

SLOW_SECONDS: Final = 2.0
"""How long a server takes for a notification."""

WORDS: Final = {
    "1e2": (b'{"n":1e2}', "what was an integer is a float"),
    "0.10000000000000000555": (b'{"n":0.10000000000000000555}', "digits are lost"),
    "1e400": (b'{"n":1e400}', "it cannot be passed on: infinity is no JSON"),
    "half a surrogate pair": (b'{"t":"\\ud83d"}', "JavaScript servers write it for a cut emoji"),
    "a byte that is no UTF-8": (
        b'{"t":"\xff"}',
        "one letter of a log file, and the result is lost",
    ),
}


class Seen(msgspec.Struct, frozen=True):
    """What was tried, what came of it, and why it matters."""

    tried: str
    saw: str
    why: str = ""


Trial: TypeAlias = Callable[[], Awaitable[list[Seen]]]


async def results() -> list[Seen]:
    """Results as servers write them."""
    seen = []
    for tried, (result, why) in WORDS.items():

        def answer(exchange: Exchange, result: bytes = result) -> None:
            raw_id = msgspec.json.encode(exchange.asked.message["id"])
            body = b'{"jsonrpc":"2.0","id":%b,"result":%b,"beside":1}' % (raw_id, result)
            exchange.reply(body, JSON)

        saw = await _outcome(answer)
        seen.append(Seen(f"{tried}: the server sends {result!r}, and a member beside it", saw, why))
    return seen


async def broken_connection() -> list[Seen]:
    """Two calls under way, of which one loses its connection."""
    calls: dict[str, asyncio.Task[str]] = {}
    end = "goes on"
    with HttpMcp(wait=_wait, broken=Exchange.abort) as mcp:

        def begin(dispatcher: Dispatcher, tool: str) -> None:
            calls[tool] = asyncio.create_task(_told(call(dispatcher, tool, SECONDS)))

        try:
            async with connected(mcp.url) as dispatcher:
                begin(dispatcher, "wait")
                await asyncio.to_thread(_until, lambda: bool(mcp.calls("wait")))
                begin(dispatcher, "broken")
                await asyncio.wait({calls["broken"]})
                begin(dispatcher, "echo")
                await asyncio.wait({calls["echo"]})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what was seen
            end = f"has ended with {told(error)}"
        mcp.stop()
        outcomes = {tool: await told_by for tool, told_by in calls.items()}
    nothing = "could not be made: nothing is left to make it with"
    return [
        Seen("a call whose connection is reset", outcomes["broken"]),
        Seen("the transport", end, "and with it the session"),
        Seen("the call beside it, on a connection of its own", outcomes["wait"], "it was alive"),
        Seen("a call after that", outcomes.get("echo", nothing)),
    ]


async def slow_notification() -> list[Seen]:
    """A call after a notification that its server takes long to accept."""
    with HttpMcp() as mcp:

        def slow(exchange: Exchange) -> bool:
            if exchange.asked.method == "notifications/cancelled":
                exchange.server.ended.wait(SLOW_SECONDS)
            return False

        mcp.before = slow
        async with connected(mcp.url) as dispatcher:
            began = time.monotonic()
            await dispatcher.notify("notifications/cancelled", {"requestId": 99})
            outcome = await _told(call(dispatcher, "echo", SECONDS))
            took = time.monotonic() - began
    tried = f"a call behind a notification that is accepted after {SLOW_SECONDS:g} s"
    return [
        Seen(
            tried,
            f"answered after {took:.1f} s: {outcome}",
            "each call that is cancelled holds up all others",
        )
    ]


async def refusals() -> list[Seen]:
    """What is told of an error of HTTP's."""
    seen = []
    for status in (401, 429, 500):

        def answer(exchange: Exchange, status: int = status) -> None:
            exchange.reply(b"the reason", "text/plain", status, retry_after="7")

        tried = f"HTTP {status}, 'the reason', Retry-After: 7"
        seen.append(Seen(tried, await _outcome(answer), "a login, a pause or a report?"))
    return seen


async def imports() -> list[Seen]:
    """What it costs to load, in a process of its own."""
    return [
        Seen(f"import {name}", await asyncio.to_thread(_cost, name), "paid by every worker")
        for name in ("mcp.client.streamable_http", "httpx2", "asyncio")
    ]


TRIALS: Final[dict[str, Trial]] = {
    "Results": results,
    "A broken connection": broken_connection,
    "A slow notification": slow_notification,
    "Refusals": refusals,
    "Loading": imports,
}


async def _outcome(answer: Callable[[Exchange], None]) -> str:
    with HttpMcp(tried=answer) as mcp:
        async with connected(mcp.url) as dispatcher:
            return await _told(call(dispatcher, "tried", SECONDS))


async def _told(outcome: Awaitable[object]) -> str:
    try:
        return f"{await outcome!r}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was seen
        return told(error)


def _wait(exchange: Exchange) -> None:
    exchange.server.ended.wait()


def _until(condition: Callable[[], bool]) -> None:
    over = threading.Event()
    end = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < end:
        over.wait(0.01)


def _cost(name: str) -> str:
    program = (
        f"import time; t = time.perf_counter(); import {name}; s = time.perf_counter() - t; "
        "import psutil; m = psutil.Process().memory_info().rss >> 20; "
        "print(f'{s * 1000:.0f} ms, {m} MB of memory')"
    )
    argv = [sys.executable, "-c", program]
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    return found.stdout.strip() or found.stderr.strip().splitlines()[-1]
