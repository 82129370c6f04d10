"""What client and backend are told of each other where the one's era has no word for what the other
can do: tasks, which both eras have, each in a way of its own, and which nobody can bridge.

Whoever is promised something must be able to have it. Between peers of the same era nothing is
taken away, and nothing here is ever added.
"""

from typing import Final

import msgspec

from relay_worker.backends.client import MODERN_PROTOCOL, Client, across
from relay_worker.backends.frames import decode_object, encode, text_of
from relay_worker.lists import RawLists


class _Execution(msgspec.Struct, frozen=True):
    taskSupport: str = ""


class _Tool(msgspec.Struct, frozen=True):
    execution: _Execution = _Execution()


_SUPPORT: Final = b'"taskSupport"'
_tool: Final = msgspec.json.Decoder(_Tool).decode


def kept(lists: RawLists, client: Client) -> RawLists:
    """Return what a backend offers as this client can have it. A legacy backend's tools that can be
    called as a task only are withheld from a modern one; of those that may be, it is not told.
    """
    modern = lists.protocol == MODERN_PROTOCOL
    if modern == client.modern:
        return lists
    declared = decode_object(lists.capabilities) or {}
    if (shown := across(declared)) != declared:
        lists = msgspec.structs.replace(lists, capabilities=encode(shown))
    support = {} if modern else {tool: _support(tool) for tool in lists.tools if _SUPPORT in tool}
    if not {"optional", "required"} & set(support.values()):
        return lists
    withheld = [tool for tool, word in support.items() if word == "required"]
    return msgspec.structs.replace(
        lists,
        tools=[
            _plain(tool) if support.get(tool) == "optional" else tool
            for tool in lists.tools
            if tool not in withheld
        ],
        withheld=[text_of((decode_object(tool) or {}).get("name")) or "" for tool in withheld],
    )


def makes_tasks(lists: RawLists | None) -> bool:
    """Return whether a backend may answer a call with a task, and report progress after that."""
    return lists is not None and b'"tasks"' in lists.capabilities


def _support(tool: bytes) -> str:
    try:
        return _tool(tool).execution.taskSupport
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _plain(tool: bytes) -> bytes:
    members = decode_object(tool) or {}
    members.pop("execution", None)
    return encode(members)
