"""A recorded conversation as text: one line of JSON per message, in the order of time.

What passes between supervisor and worker is written as the msgpack array that it is, so that a
version to come, with other structures, reads the very fields that were sent. Nothing is lost on the
way, but for the environment of backends, which is the business of whoever recorded it.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tests.versions.archive import FOLDER

CLIENT: Final = "client"
SUPERVISOR: Final = "supervisor"
WORKER: Final = "worker"
CONTROL: Final = "relayctl"
EXIT: Final = "exit"
"""Who speaks; `exit` stands for the end of a worker's process."""

SPAWN_TAG: Final = 73
SPAWN_ENV: Final = 4
ROOT: Final = "{root}"
"""Stands for the directory that the relay lived in."""


class Entry(msgspec.Struct, omit_defaults=True):
    """One message. `said` is a line of the client's or relayctl's (null: the client is gone), the
    header of a frame, or an exit status; `payload` belongs to a frame. `generation` is the worker's
    that spoke or was spoken to, 0 where there was none. `at` is in seconds since the first message.
    """

    at: float
    by: str
    said: Any
    generation: int = 0
    payload: Any = ""


def frame(at: float, by: str, generation: int, header: bytes, payload: bytes) -> Entry:
    """Return the entry of a frame, after making sure that it can be had back from it."""
    said = plain(msgspec.msgpack.decode(header))
    if said[0] == SPAWN_TAG:
        said[SPAWN_ENV] = {}
    else:
        assert header_of(said) == header
    readable = readable_of(payload)
    assert payload_of(readable) == payload
    return Entry(at, by, said, generation, readable)


def plain(value: Any) -> Any:
    """Return a decoded value as JSON can hold it."""
    if isinstance(value, bytes):
        return {"bytes": value.decode()} if _is_text(value) else {"hex": value.hex()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def packable(value: Any) -> Any:
    """Return what `plain` was given."""
    if isinstance(value, dict):
        if value.keys() == {"bytes"}:
            return value["bytes"].encode()
        if value.keys() == {"hex"}:
            return bytes.fromhex(value["hex"])
        return {key: packable(item) for key, item in value.items()}
    return [packable(item) for item in value] if isinstance(value, list) else value


def header_of(said: Any) -> bytes:
    """Return the header of a recorded frame."""
    return msgspec.msgpack.encode(packable(said))


def readable_of(payload: bytes) -> Any:
    """Return a payload as text, as what it packs, or as hex digits."""
    if _is_text(payload):
        return payload.decode()
    try:
        unpacked = msgspec.msgpack.decode(payload)
    except msgspec.MsgspecError:
        return {"hex": payload.hex()}
    packed = {"msgpack": plain(unpacked)}
    return packed if payload_of(packed) == payload else {"hex": payload.hex()}


def payload_of(readable: Any) -> bytes:
    """Return the payload of a recorded frame."""
    if isinstance(readable, str):
        return readable.encode()
    if "hex" in readable:
        return bytes.fromhex(readable["hex"])
    return msgspec.msgpack.encode(packable(readable["msgpack"]))


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return all(sign.isprintable() or sign in "\n\t" for sign in text)


def write(entries: list[Entry], root: str) -> str:
    """Return a transcript; *root* is left out of it."""
    entries = sorted(entries, key=lambda entry: entry.at)
    begin = entries[0].at
    for entry in entries:
        entry.at = round(entry.at - begin, 6)
    lines = [msgspec.json.encode(entry).decode() for entry in entries]
    text = "\n".join(lines) + "\n"
    assert json.dumps(root) == f'"{root}"', "a path that JSON writes otherwise would stay in it"
    return text.replace(root, ROOT)


def read(version: str, root: str) -> list[Entry]:
    """Return what was recorded of a version, as if it had been said in the directory *root*."""
    return list(_entries((FOLDER / f"{version}.jsonl").read_text().replace(ROOT, root)))


def _entries(text: str) -> Iterator[Entry]:
    decoder = msgspec.json.Decoder(Entry)
    for line in text.splitlines():
        yield decoder.decode(line)
