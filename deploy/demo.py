"""`make demo`: a real MCP client session through the relay, on the embedded default configuration.

The client is the official SDK's; the relay is started by it exactly as Claude Code would. Nothing
of the user's own configuration, state or running relays is touched.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import demo_releases
import psutil
from mcp import Client, StdioServerParameters
from rich.console import Console

COUNTDOWN_SECONDS = 3
SWAP_CALL_SECONDS = 6
COLUMNS_MAX = 100

console = Console(highlight=False, soft_wrap=True)


def step(title: str) -> None:
    """Announce the next part of the session."""
    console.print(f"\n[bold cyan]▶ {title}[/]")


def said(label: str, value: object) -> None:
    """Show what came back."""
    console.print(f"  [dim]{label:<14}[/] {str(value)[:COLUMNS_MAX]}")


async def call(client: Client, name: str, **arguments: Any) -> str:
    """Call a tool, show the answer with the time it took, and return its text."""
    begun = time.perf_counter()
    result = await client.call_tool(name, arguments)
    text = " ".join(getattr(block, "text", "") for block in result.content)
    milliseconds = (time.perf_counter() - begun) * 1000
    said(name, f"{text}   [dim]({milliseconds:.1f} ms)[/]")
    if result.is_error:
        raise SystemExit(f"the demo failed: {name} answered with an error: {text}")
    return text


async def session(relay: StdioServerParameters, *, mode: str) -> None:
    """One session of a client: lists, calls, progress."""
    async with Client(relay, mode=mode) as client:
        tools = (await client.list_tools()).tools
        said("protocol", client.protocol_version)
        said(f"{len(tools)} tools", ", ".join(tool.name for tool in tools))
        prompts = (await client.list_prompts()).prompts
        resources = (await client.list_resources()).resources
        said("prompts", ", ".join(prompt.name for prompt in prompts))
        said("resources", ", ".join(str(resource.uri) for resource in resources))

        step("Calls, answered by the demo backend behind the relay")
        await call(client, "demo__echo", text="hello through two processes")
        await call(client, "demo__add", a=40, b=2)
        await asyncio.gather(*(call(client, "demo__counter") for _ in range(3)))

        step(f"A call that takes {COUNTDOWN_SECONDS} s and reports its progress")

        async def progress(done: float, total: float | None, message: str | None) -> None:
            said("progress", f"{done:g} of {total:g}  {message or ''}")

        result = await client.call_tool(
            "demo__countdown", {"seconds": COUNTDOWN_SECONDS}, progress_callback=progress
        )
        said("demo__countdown", result.content[0].text if result.content else "")

        step("relayctl swap, in the middle of a call: a new worker takes over, the call goes on")
        call_under_way = asyncio.create_task(
            call(client, "demo__countdown", seconds=SWAP_CALL_SECONDS)
        )
        await relayctl(relay, "swap", "--no-wait")
        await call(client, "demo__echo", text="answered by the new worker")
        await call_under_way
        await settle(client)

        step("A release that cannot even start is refused; the old one goes on serving")
        await relayctl(relay, "swap", "without-a-module", expected=1)
        await call(client, "demo__echo", text="nobody has noticed")

        step("A release that crashes under load is taken back")
        swap = asyncio.create_task(relayctl(relay, "swap", "crashes-on-the-third-call", expected=1))
        while not swap.done():
            result = await client.call_tool("demo__echo", {"text": "load"})
            if result.is_error:
                said("a call", result.content[0].text if result.content else "")
            await asyncio.sleep(0.2)
        await swap
        await call(client, "demo__echo", text="served by the version before, as if nothing was")

        step("relayctl history and status")
        await relayctl(relay, "history")
        await relayctl(relay, "status")


async def settle(client: Client) -> None:
    """Make as many calls as prove a new worker."""
    for _ in range(20):
        await client.call_tool("demo__counter", {})


async def relayctl(relay: StdioServerParameters, *words: str, expected: int = 0) -> None:
    """Run relayctl as a user would, in another process."""
    console.print(f"  [dim]$ relayctl {' '.join(words)}[/]")
    console.file.flush()
    argv = [sys.executable, "-m", "relay_supervisor.ctl", *words]
    done = await asyncio.to_thread(subprocess.run, argv, env=relay.env, check=False)
    if done.returncode != expected:
        raise SystemExit(
            f"the demo failed: relayctl {words[0]} exited with {done.returncode}, not {expected}"
        )


async def main() -> None:
    """Run the demonstration in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as scratch:
        home = Path(scratch)
        relay = StdioServerParameters(
            command=sys.executable,
            args=["-m", "relay_supervisor"],
            env={
                **os.environ,
                "XDG_CONFIG_HOME": str(home / "config"),
                "RELAY_CONFIG": "",
                "RELAY_STATE_DIR": str(home / "state"),
                "RELAY_RUNTIME_DIR": str(home / "run"),
                "RELAY_LOG_LEVEL": "warning",
            },
        )
        demo_releases.make(home / "state", "without-a-module", demo_releases.BROKEN_IMPORT)
        demo_releases.make(home / "state", "crashes-on-the-third-call", demo_releases.CRASH)
        console.print("[bold]Relay: one MCP server that never has to be restarted[/]")
        step("A client starts mcp-relay over stdio; there is no configuration, so a demo is served")
        await session(relay, mode="legacy")

        step("The next session: its lists come from the cache, before any backend is up")
        begun = time.perf_counter()
        async with Client(relay, mode="legacy") as client:
            tools = (await client.list_tools()).tools
            milliseconds = (time.perf_counter() - begun) * 1000
            said(f"{len(tools)} tools", f"{milliseconds:.0f} ms after the start of the process")

        step("A client of the 2026-07-28 protocol, which has no handshake")
        async with Client(relay, mode="2026-07-28") as client:
            said("protocol", client.protocol_version)
            await call(client, "demo__echo", text="hello from the modern era")
    left = psutil.Process().children(recursive=True)
    if left:
        raise SystemExit(f"the demo failed: processes are left behind: {left}")
    console.print("\n[bold green]✓ The session is over, and no process is left behind.[/]")


if __name__ == "__main__":
    asyncio.run(main())
