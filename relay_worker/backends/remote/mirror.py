"""The headers that repeat what is in a modern request (2026-07-28), so that proxies can route by
them; a server refuses a request whose headers say something else. Pure.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from relay_worker.backends import frames
from relay_worker.backends.client import ENVELOPE_KEYS
from relay_worker.backends.remote.messages import VERSION_HEADER
from relay_worker.repair import Envelope

METHOD_HEADER: Final = "mcp-method"
NAME_HEADER: Final = "mcp-name"
PARAM_HEADER: Final = "mcp-param-"

ANNOTATION: Final = "x-mcp-header"

NAMED: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Methods whose name, URI or task is in a header, and where it is."""

_PLAIN: Final = re.compile(r"(?!=\?base64\?)(?! )[\x20-\x7e]*(?<! )")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_decode = msgspec.json.Decoder().decode


class Mirror:
    """Knows which arguments of which tools are to be in headers."""

    def __init__(self) -> None:
        self._paths: dict[str, dict[tuple[str, ...], str]] = {}

    def learn(self, tools: list[bytes]) -> None:
        """Take in the tools of a server as it listed them."""
        self._paths = {}
        for text in tools:
            if ANNOTATION.encode() not in text:
                continue
            try:
                tool = _decode(text)
                found = dict(_annotated(tool.get("inputSchema"), ()))
                self._paths[str(tool["name"])] = found
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, *_ODD):
                continue  # quarantined elsewhere

    def headers(self, method: str, params: bytes) -> dict[str, str]:
        """Return the headers for a request with these params."""
        members = frames.decode_object(params) or {}
        meta = frames.decode_object(members.get("_meta")) or {}
        headers = {METHOD_HEADER: method}
        if version := frames.text_of(meta.get(ENVELOPE_KEYS[0])):
            headers[VERSION_HEADER] = version
        name = frames.text_of(members.get(NAMED.get(method, "")))
        if name is not None:
            headers[NAME_HEADER] = encoded(name)
            headers |= self._arguments(name, members) if method == "tools/call" else {}
        return headers

    def _arguments(self, name: str, members: Envelope) -> dict[str, str]:
        if not (paths := self._paths.get(name)):
            return {}
        try:
            arguments = _decode(members.get("arguments", b"{}"))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return {}
        headers = {}
        for path, token in paths.items():
            value = _at(arguments, path)
            if isinstance(value, bool):
                headers[PARAM_HEADER + token] = "true" if value else "false"
            elif isinstance(value, str | int):
                headers[PARAM_HEADER + token] = encoded(str(value))
        return headers


def encoded(value: str) -> str:
    """Return *value* as it may stand in a header: what would not survive, in base64."""
    if _PLAIN.fullmatch(value):
        return value
    text = base64.b64encode(value.encode("utf-8", "replace")).decode()
    return f"=?base64?{text}?="


def _annotated(schema: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    """Return where annotations are, as paths of properties, and what they say."""
    found = []
    for name, inner in (schema.get("properties") or {}).items():
        token = inner.get(ANNOTATION) if isinstance(inner, dict) else None
        if isinstance(token, str) and _TOKEN.fullmatch(token):
            found.append(((*path, name), token))
        if isinstance(inner, dict):
            found += _annotated(inner, (*path, name))
    return found


def _at(arguments: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(arguments, Mapping):
            return None
        arguments = arguments.get(name)
    return arguments


_ODD: Final = (AttributeError, KeyError, TypeError)
"""What a schema of another shape than a schema's comes to."""
