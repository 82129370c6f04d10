"""FastMCP's proxy in front of one stdio backend whose session is kept: `fastmcp_proxy COMMAND …`.

Run by the interpreter of the environment that has FastMCP in it, so it imports nothing of ours.
"""

import asyncio
import os
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy


async def main() -> None:
    """Connect, then serve stdio until the input ends."""
    transport = StdioTransport(sys.argv[1], sys.argv[2:], env=dict(os.environ))
    async with Client(transport) as backend:
        await create_proxy(backend).run_async(transport="stdio", show_banner=False)


if __name__ == "__main__":
    asyncio.run(main())
