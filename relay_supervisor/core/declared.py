"""Whether a client of the modern era can be asked something, by what its request has declared."""

from typing import Final

from msgspec import Raw

from relay_supervisor.core import mcp

_PART: Final = {
    "elicitation/create": ("mode", "url"),
    "sampling/createMessage": ("tools", "tools"),
}
"""A member of a question's params, and the part of the capability that it needs."""


def refusal(method: str, params: bytes, capabilities: bytes) -> bytes | None:
    """Return the error a client without the capability would answer with, None if it has it."""
    name = mcp.CLIENT_REQUEST_CAPABILITY.get(method)
    if name is None:
        return mcp.error(mcp.METHOD_NOT_FOUND, f"Method not found: {method}")
    has = mcp.members_or_none((mcp.members_or_none(Raw(capabilities)) or {}).get(name))
    if has is None:
        text = f"Method not found: the client behind the relay did not declare {name}"
        return mcp.error(mcp.METHOD_NOT_FOUND, text)
    member, part = _PART.get(method, ("", ""))
    asked = (mcp.members_or_none(Raw(params)) or {}).get(member)
    needs = asked is not None and (member != "mode" or mcp.string(asked) == part)
    if needs and part not in has:
        text = f"the client behind the relay did not declare {name}.{part}"
        return mcp.error(mcp.INVALID_PARAMS, text)
    return None
