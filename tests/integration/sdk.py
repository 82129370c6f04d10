"""The official SDK's client on a relay, usable from tests without an event loop of their own."""

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anyio.from_thread
from mcp import Client, StdioServerParameters, stdio_client

from tests.harness import (
    EXIT_SECONDS_MAX,
    MARK_VARIABLE,
    RelayHome,
    describe,
    kill_marked,
    new_mark,
    wait_gone,
)

MODES = ("legacy", "2026-07-28", "auto")
ANSWER_SECONDS_MAX = 20.0


@dataclass(frozen=True, slots=True)
class SdkSession:
    """A connected client, its mode, and the directories of its relay."""

    client: Client
    mode: str
    home: RelayHome
    _portal: anyio.from_thread.BlockingPortal

    @property
    def is_legacy(self) -> bool:
        """True in the handshake era."""
        return self.mode == "legacy"

    def run(self, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Await function(*args, **kwargs) and return what it returns; bounded."""

        async def bounded() -> Any:
            with anyio.fail_after(ANSWER_SECONDS_MAX):
                return await function(*args, **kwargs)

        return self._portal.call(bounded)


@contextmanager
def sdk_session(
    config: Mapping[str, Any], mode: str, *, home: RelayHome | None = None, **callbacks: Any
) -> Iterator[SdkSession]:
    """Start a relay as the SDK starts any server, connect in this mode; nothing may be left."""
    own_home, mark = home or RelayHome.make(), new_mark()
    own_home.write_config(config)
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "relay_supervisor", "--config", str(own_home.config_path)],
        env=own_home.environment({MARK_VARIABLE: mark}),
        cwd=own_home.project,
    )
    try:
        with (
            open(own_home.root / "stderr", "w", encoding="utf-8") as errors,
            anyio.from_thread.start_blocking_portal() as portal,
        ):
            transport = stdio_client(parameters, errlog=errors)
            client = Client(transport, mode=mode, read_timeout_seconds=20.0, **callbacks)
            with portal.wrap_async_context_manager(client):
                yield SdkSession(client, mode, own_home, portal)
        left = wait_gone(mark, EXIT_SECONDS_MAX)
        assert not left, f"left behind by the relay:\n{describe(left)}"
        assert not own_home.runtime_leftovers()
    finally:
        kill_marked(mark)
        if home is None:
            own_home.remove()
