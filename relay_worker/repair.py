"""What a backend wrote on its stdout, turned into JSON texts that every reader can decode.

Handles what real servers do: prints glued to a frame, invalid UTF-8, half a surrogate pair,
NaN. Numbers and everything healthy stay as written. Never raises, and takes linear time whatever
the input: a backend is not trusted.
"""

import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

Envelope: TypeAlias = dict[str, msgspec.Raw]

BACKSLASH: Final = ord("\\")
"""As a number, as that is found in a fifth of the time."""

FAILED_BYTES_FACTOR: Final = 4
"""Failed attempts on one line may read this many times its length, so the time stays linear."""

ATTEMPT_BYTES_MIN: Final = 1024
"""What a failed attempt counts at least: it costs about as much as reading so many bytes."""

FREE_BYTES: Final = 64 << 10
"""Failed attempts of this size in all are free, so that short lines get a fair number of them."""

NONFINITE_BYTES_MAX: Final = 16 << 20
"""Longer lines are not freed of NaN, which takes many times their size in memory."""

LINE_FRAMES_MAX: Final = 4096
"""Frames taken from one line; what decodes to a million tiny ones is not worth the memory."""

# Half a surrogate pair in an escape, and before it the longest text that has none.
_SURROGATE: Final = re.compile(
    rb"((?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++)"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_STRING: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+"?)', re.DOTALL)
_NONFINITE_HERE: Final = re.compile(rb"[-:,\[\s]?(?:NaN|-?Infinity)")
# A frame may begin with any member, and whatever is printed before it has no newline.
_START: Final = re.compile(rb'\{[ \t]*+"(?:jsonrpc|id|method|params|result|error)"[ \t]*+:')
_POSITION: Final = re.compile(r"\(byte (\d+)\)")

_NULL: Final = msgspec.Raw(b"null")


class PlainResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A response with a result and nothing else, as nearly all lines are: read in one go."""

    jsonrpc: Literal["2.0"]
    id: Annotated[int, msgspec.Meta(ge=1)]
    result: msgspec.Raw


_decode_result = msgspec.json.Decoder(PlainResult).decode
_decode = msgspec.json.Decoder(Envelope).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Cleaned(msgspec.Struct, frozen=True):
    """The JSON-RPC objects found on a line, each as its text and its decoded envelope, and the
    number of pieces of other text that were skipped.
    """

    frames: list[tuple[bytes, Envelope]]
    skipped: int = 0


def plain_result(line: bytes) -> PlainResult | None:
    """Return what is on *line*, if it is that and healthy; else see what `clean_line` makes of it.
    Never raises.
    """
    if not line.isascii() or (BACKSLASH in line and b"\\u" in line):
        return None
    try:
        return _decode_result(line)
    except _UNDECODABLE:
        return None


def clean_line(line: bytes) -> Cleaned:
    """Return the JSON-RPC objects on one line of a backend's output. Never raises; linear.

    A batch (an array, as 2025-03-26 has it) gives its members. An object without a `jsonrpc`
    member is a log line and counts as skipped; a blank line does not count.
    """
    line = line.strip()
    # msgspec does not look into the bytes of a Raw, so these checks are due here.
    if not line.isascii() or (BACKSLASH in line and b"\\u" in line):
        line = _decodable(line)
    try:
        envelope = _decode(line)
    except _UNDECODABLE:
        if not line:
            return Cleaned([])
        return _batch(line) if line.startswith(b"[") else _salvage(line)
    if envelope.get("method") == _NULL:  # of a server that writes every member it has a field for
        del envelope["method"]
    return Cleaned([(line, envelope)]) if "jsonrpc" in envelope else Cleaned([], 1)


def _decodable(line: bytes) -> bytes:
    """Return *line* as valid UTF-8 without half surrogate pairs."""
    try:
        line.decode()
    except UnicodeDecodeError:
        line = line.decode("utf-8", "replace").encode()
    if b"\\u" in line:
        line = _SURROGATE.sub(lambda found: found[1] or rb"\ufffd", line)
    return line


def _batch(line: bytes) -> Cleaned:
    """Return the members of a batch; a line that only looks like one is salvaged."""
    try:
        members = _decode_batch(line)
    except _UNDECODABLE:
        return _salvage(line)
    frames: list[tuple[bytes, Envelope]] = []
    for member in members[:LINE_FRAMES_MAX]:
        text = bytes(member)
        try:
            envelope = _decode(text)
        except _UNDECODABLE:
            continue
        if "jsonrpc" in envelope:
            frames.append((text, envelope))
    return Cleaned(frames, len(members) - len(frames))


def _salvage(line: bytes) -> Cleaned:
    """Cut the frames out of a line that holds other text too."""
    frames: list[tuple[bytes, Envelope]] = []
    skipped = 0
    done = 0  # everything before is in a frame or counted as skipped
    search_from = 0
    allowance = FAILED_BYTES_FACTOR * len(line) + FREE_BYTES
    while (
        allowance > 0
        and len(frames) < LINE_FRAMES_MAX
        and (found := _START.search(line, search_from))
    ):
        start = found.start()
        end, read = _frame_end(line, start)
        if end is None:
            allowance -= max(read, ATTEMPT_BYTES_MIN)
            if len(line) - start <= NONFINITE_BYTES_MAX and _NONFINITE_HERE.match(
                line, start + read - 1
            ):
                line = line[:start] + _without_nonfinite(line[start:])
                allowance -= len(line) - start
            else:
                search_from = start + 1
            continue
        text = line[start:end].rstrip()
        envelope = _decode(text)
        if "jsonrpc" in envelope:
            skipped += bool(line[done:start].strip())
            frames.append((text, envelope))
            done = end
        search_from = end
    return Cleaned(frames, skipped + bool(line[done:].strip()))


def _frame_end(line: bytes, start: int) -> tuple[int | None, int]:
    """Return where the JSON object at *start* ends, or None, and the bytes read to find out.

    msgspec says where it stopped: a second decode proves a position it gives, so a change in its
    wording can lose glued text but never let something broken through.
    """
    view = memoryview(line)
    try:
        _decode(view[start:])
        return len(line), 0
    except (UnicodeDecodeError, RecursionError):
        return None, len(line) - start
    except msgspec.MsgspecError as error:
        reason = str(error)
    position = _POSITION.search(reason)
    if position is None:  # the text ended within the object
        return None, len(line) - start
    read = int(position[1])
    if "trailing characters" in reason:
        end = start + read - 1
        try:
            _decode(view[start:end])
            return end, read
        except _UNDECODABLE:
            pass
    return None, read


def _without_nonfinite(text: bytes) -> bytes:
    """Return *text*, which begins with a JSON object, with NaN and ±Infinity as null."""
    pieces = _STRING.split(text)  # every other one is a string
    # Joined with what only strings contain, all the text between them is replaced in one go.
    between = b'"'.join(pieces[::2])
    for number in (b"-Infinity", b"Infinity", b"NaN"):
        between = between.replace(number, b"null")
    pieces[::2] = between.split(b'"')
    return b"".join(pieces)
