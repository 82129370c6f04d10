"""The SDK's client on a relay, whose only backend is the server; and a user who logs in for it."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from typing import Final

import httpx2
from mcp import Client, StdioServerParameters

from tests.conformance.client.session import accept_defaults, mode, told, tried
from tests.harness import RelayHome
from tests.harness.relay import RELAYCTL

READY_SECONDS_MAX: Final = 20
LOGINS_MAX: Final = 3
SECRET_VARIABLE: Final = "CONFORMANCE_CLIENT_SECRET"
_ADDRESS: Final = re.compile(r"Log in here: (\S+)")
_WANTS_LOGIN: Final = "relayctl backend login"


@contextlib.asynccontextmanager
async def connected(home: RelayHome) -> AsyncIterator[Client]:
    """A client of a relay with this home."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "relay_supervisor", "--config", str(home.config_path)],
        env=home.environment(),
        cwd=home.project,
    )
    async with Client(server, mode=mode(), elicitation_callback=accept_defaults) as client:
        yield client


async def use(url: str) -> None:
    """Use the server through a relay; log in and try again as often as it says so."""
    home = RelayHome.make()
    settings = {
        "prefix": False,
        "builtin_tools": False,
        "first_list_wait_seconds": READY_SECONDS_MAX,
    }
    home.write_config({"backends": {"suite": {"url": url}}, "relay": settings})
    try:
        for _ in range(LOGINS_MAX):
            async with connected(home) as client:
                fault = await tried(client) or await trouble(home)
            if _WANTS_LOGIN not in fault:
                break
            await log_in(home)
        sys.stderr.write(f"{fault}\n{home.logs()}\n")
    finally:
        home.remove()


async def relayctl(home: RelayHome, *words: str) -> asyncio.subprocess.Process:
    """Start relayctl."""
    secret = told().get("client_secret")
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RELAYCTL,
        *words,
        env=home.environment({SECRET_VARIABLE: secret}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )


async def trouble(home: RelayHome) -> str:
    """What `relayctl status` says of the backend."""
    process = await relayctl(home, "status", "--json")
    out, _ = await process.communicate()
    return out.decode()


async def log_in(home: RelayHome) -> None:
    """Log in as a user does: with relayctl and a browser."""
    scenario = told()
    words = ["backend", "login", "suite", "--no-browser", "--config", str(home.config_path)]
    if "client_id" in scenario:
        words += ["--client-id", scenario["client_id"]]
    if "client_secret" in scenario:
        words += ["--client-secret-env", SECRET_VARIABLE]
    process = await relayctl(home, *words)
    assert process.stdout is not None
    async for line in process.stdout:
        if address := _ADDRESS.search(line.decode()):
            async with httpx2.AsyncClient(follow_redirects=True) as browser:
                await browser.get(address[1])
    await process.wait()
