"""A raw MCP client: the handshake, calls and lists of both eras, in one line each.

No SDK in here, so a fault of the SDK cannot hide one of the relay.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.harness.connection import ANSWER_SECONDS_MAX, Connection

LEGACY = "2025-11-25"
MODERN = "2026-07-28"
CLIENT_INFO = {"name": "relay-tests", "version": "1"}


class RawClient(Connection):
    """An MCP client of the stdio server started with argv; Connection has sending and waiting."""

    initialize_result: dict[str, Any]

    def initialize(
        self,
        protocol: str = LEGACY,
        capabilities: Mapping[str, Any] | None = None,
        seconds: float = ANSWER_SECONDS_MAX,
    ) -> dict[str, Any]:
        """The legacy handshake, with notifications/initialized; return the result."""
        params = {
            "protocolVersion": protocol,
            "capabilities": capabilities or {},
            "clientInfo": CLIENT_INFO,
        }
        self.initialize_result = self.request("initialize", params, seconds)
        self.notify("notifications/initialized")
        return self.initialize_result

    def modern(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        seconds: float = ANSWER_SECONDS_MAX,
    ) -> Any:
        """A request of the 2026-07-28 era, no handshake, the envelope in _meta; its result."""
        return self.response(self.start_modern(method, params), seconds).result

    def start_modern(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        request_id: Any = ...,
        capabilities: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request of the 2026-07-28 era and return its id at once."""
        params = dict(params or {})
        params["_meta"] = modern_meta(capabilities) | params.get("_meta", {})
        return self.start(method, params, request_id=request_id)

    def start_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        progress_token: Any = None,
        meta: Mapping[str, Any] | None = None,
        request_id: Any = ...,
    ) -> Any:
        """Send a tools/call and return its id at once."""
        params: dict[str, Any] = {"name": name, "arguments": arguments or {}}
        token = {} if progress_token is None else {"progressToken": progress_token}
        if meta or token:
            params["_meta"] = {**(meta or {}), **token}
        return self.start("tools/call", params, request_id=request_id)

    def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        seconds: float = ANSWER_SECONDS_MAX,
        **options: Any,
    ) -> dict[str, Any]:
        """Call a tool and return its result, isError or not; options as for start_tool()."""
        result: dict[str, Any] = self.response(
            self.start_tool(name, arguments, **options), seconds
        ).result
        return result

    def list_all(self, what: str, seconds: float = ANSWER_SECONDS_MAX) -> list[Any]:
        """All items of `tools`, `prompts`, `resources` or `resources/templates`, over all pages."""
        items: list[Any] = []
        params: dict[str, Any] = {}
        while True:
            page = self.request(f"{what}/list", params, seconds)
            items += page["resourceTemplates" if what.endswith("templates") else what]
            if page.get("nextCursor") is None:
                return items
            params = {"cursor": page["nextCursor"]}


def modern_meta(capabilities: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The _meta envelope every 2026-07-28 request carries."""
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": CLIENT_INFO,
        "io.modelcontextprotocol/clientCapabilities": dict(capabilities or {}),
    }


def text_of(result: Mapping[str, Any]) -> str:
    """All text blocks of a tool result, joined."""
    return "".join(block.get("text", "") for block in result["content"])


def json_of(result: Mapping[str, Any]) -> Any:
    """The text of a tool result, read as JSON."""
    return json.loads(text_of(result))


def stopwatch() -> Callable[[], float]:
    """Seconds since now, by the monotonic clock."""
    begin = time.monotonic()
    return lambda: time.monotonic() - begin
