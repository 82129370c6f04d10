"""URIs that backends name in what they answer, and that nobody need list: who sent which.

Only URIs are looked for, nothing is changed; what cannot be read has none. They are bounded, the
oldest go first.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

LINKS_MAX: Final = 4096
LINK_CHARS_MAX: Final = 2048
"""A longer URI is not remembered."""

TASK: Final = "task "
"""Stands before the id of a task among links."""

HOSTED: Final = "hosted "
"""The same, of a task that the client carries out. No URI begins like that."""

CARRIERS: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Requests whose answers may name resources."""


class _Named(msgspec.Struct, frozen=True):
    uri: str = ""


class _Block(_Named, frozen=True):
    type: str = ""
    resource: _Named = _Named()


class _Message(msgspec.Struct, frozen=True):
    content: msgspec.Raw = msgspec.Raw(b"")


class _Result(msgspec.Struct, frozen=True):
    """The answers to all of `CARRIERS`: content of tools, messages of prompts, contents read."""

    content: list[msgspec.Raw] = []
    messages: list[msgspec.Raw] = []
    contents: list[msgspec.Raw] = []


_result: Final = msgspec.json.Decoder(_Result).decode
_message: Final = msgspec.json.Decoder(_Message).decode
_block: Final = msgspec.json.Decoder(_Block).decode
_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Links(dict[str, str]):
    """The backend that sent each URI, the latest last."""

    def learn(self, backend: str, uris: Iterable[str]) -> list[str]:
        """Remember that *backend* sent these; return those of which that is news."""
        news = [uri for uri in dict.fromkeys(uris) if self.get(uri) != backend]
        for uri in news:
            self.pop(uri, None)
            self[uri] = backend
        while len(self) > LINKS_MAX:
            del self[next(iter(self))]
        return news


def uris_of(result: msgspec.Raw | bytes) -> list[str]:
    """Return the URIs of the links and embedded resources in an answer, and of what was read."""
    if b'"uri"' not in bytes(result):
        return []
    try:
        found = _result(result)
    except _UNDECODABLE:
        return []
    blocks = [*found.content, *found.contents, *_contents(found.messages)]
    return [uri for block in blocks for uri in _uris(block) if len(uri) <= LINK_CHARS_MAX]


def _contents(messages: Iterable[msgspec.Raw]) -> Iterator[msgspec.Raw]:
    for message in messages:
        try:
            yield _message(message).content
        except _UNDECODABLE:
            continue


def _uris(block: msgspec.Raw) -> Iterator[str]:
    try:
        found = _block(block)
    except _UNDECODABLE:
        return
    yield from filter(None, (found.uri, found.resource.uri))
