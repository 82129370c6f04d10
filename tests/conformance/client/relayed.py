"""The SDK's client on a relay, whose only backend is the server; and a user who logs in for it."""

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator
from typing import Final

import httpx2
from mcp import Client, StdioServerParameters

from tests.conformance.client.direct import METADATA_URL
from tests.conformance.client.session import accept_defaults, mode, told, tried
from tests.harness import RelayHome
from tests.harness.relay import RELAYCTL

READY_SECONDS_MAX: Final = 60.0
LOGINS_MAX: Final = 3
SECRET_VARIABLE: Final = "CONFORMANCE_CLIENT_SECRET"
_ADDRESS: Final = re.compile(r"Log in here: (\S+)")
_WANTS_LOGIN: Final = re.compile(r"relayctl backend login \w+(?: --scope '([^']+))?")


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
    settings = {"prefix": False, "builtin_tools": False}
    home.write_config({"backends": {"suite": {"url": url}}, "relay": settings})
    try:
        for _ in range(LOGINS_MAX):
            async with connected(home) as client:
                await client.list_tools()  # with a modern client nothing is started before
                fault = await trouble(home) or await tried(client)
            advice = _WANTS_LOGIN.search(fault)
            if advice is None:
                break
            await log_in(home, advice[1])
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
    """Wait until the backend is ready, or has failed, and return why; as `relayctl status` says."""
    async with asyncio.timeout(READY_SECONDS_MAX):
        while True:
            process = await relayctl(home, "status", "--json")
            out, _ = await process.communicate()
            (instance,) = json.loads(out)["instances"]
            for backend in instance["backends"]:  # none before its worker has said so
                if backend["state"] == "ready":
                    return ""
                if backend["state"] == "failed":
                    return str(backend["last_error"])


async def log_in(home: RelayHome, scope: str | None) -> None:
    """Log in as a user does: with relayctl and a browser, for this scope, too."""
    scenario = told()
    words = ["backend", "login", "suite", "--no-browser", "--config", str(home.config_path)]
    words += ["--client-metadata-url", METADATA_URL]
    if scope:
        words += ["--scope", scope]
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
