"""The relay anyone could write with the official SDK: an aggregator in about fifty lines.

`python -m tests.bench.sdk_relay NAME COMMAND ARG…` serves the tools of one stdio backend as
NAME__tool. A yardstick, not an example: it has none of what makes a relay dependable.
"""

import asyncio
import os
import sys
from typing import Any

import mcp_types as types
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

SEPARATOR = "__"


def aggregator(backends: dict[str, Client]) -> Server[Any]:
    """A server whose tools are those of all backends, prefixed."""

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                tool.model_copy(update={"name": f"{name}{SEPARATOR}{tool.name}"})
                for name, backend in backends.items()
                for tool in (await backend.list_tools()).tools
            ]
        )

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        name, _, tool = params.name.partition(SEPARATOR)
        return await backends[name].call_tool(tool, params.arguments)

    return Server("sdk-relay", on_list_tools=list_tools, on_call_tool=call_tool)


async def serve(name: str, command: str, args: list[str]) -> None:
    """Start the backend, then serve stdio until the input ends."""
    parameters = StdioServerParameters(command=command, args=args, env=dict(os.environ))
    async with Client(stdio_client(parameters), mode="legacy") as backend:
        server = aggregator({name: backend})
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], sys.argv[3:]))
