"""`python -m tests.conformance.client direct|relay URL`, started by the suite for each scenario."""

import sys

import anyio

from tests.conformance.client import direct, relayed
from tests.conformance.client.session import tried


async def run(way: str, url: str) -> None:
    """Use the server at *url*."""
    if way == "relay":
        await relayed.use(url)
        return
    async with direct.connected(url) as client:
        sys.stderr.write(await tried(client))


if __name__ == "__main__":
    WAY, URL = sys.argv[1:]
    anyio.run(run, WAY, URL)
