"""Server-sent events, from bytes. No I/O, linear, bounded.

Not the HTTP library's: that one makes text of the bytes, which a broken character in an answer
does not survive, and an event over the limit ends its stream with all that would have followed.
"""

from typing import Final

import msgspec

MESSAGE: Final = b"message"

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""May stand at the beginning of a stream, as some libraries write it."""

RETRY_DIGITS_MAX: Final = 9


class Event(msgspec.Struct, frozen=True):
    """One event. `id` is the last one the stream has given. `oversized`: its data was dropped."""

    kind: bytes
    data: bytes
    id: bytes
    oversized: bool = False


class Events:
    """The events of one stream. `retry_seconds` is what the server asks for, if it does."""

    def __init__(self, event_bytes_max: int) -> None:
        self.retry_seconds: float | None = None
        self.last_id = b""
        self._bytes_max = event_bytes_max
        self._parts: list[bytes] = []  # of a line that is not complete
        self._size = 0  # of these, and of the data so far
        self._kind = b""
        self._data: list[bytes] = []
        self._oversized = False
        self._pending = False
        self._after_cr = False
        self._begun = False

    def onward(self) -> "Events":
        """Return the events of a stream that goes on where this one ended."""
        other = Events(self._bytes_max)
        other.last_id, other.retry_seconds = self.last_id, self.retry_seconds
        return other

    def feed(self, data: bytes) -> list[Event]:
        """Take *data* in and return the events it completes."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *ends, rest = data.split(b"\n")
        events: list[Event] = []
        for end in ends:
            self._keep(end)
            line = b"".join(self._parts)
            self._parts.clear()
            if line:
                self._line(line)
            else:
                self._dispatch(events)
        self._keep(rest)
        return events

    def _keep(self, part: bytes) -> None:
        """Keep a piece of a line; of one that is too long, its beginning, which says what it is."""
        self._size += len(part)
        if self._size > self._bytes_max and not self._oversized:
            self._oversized = True
            self._data.clear()
            del self._parts[1:]
        if part and not (self._oversized and self._parts):
            self._parts.append(part)

    def _line(self, line: bytes) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(BYTE_ORDER_MARK)
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        self._pending = self._pending or bool(field)
        if field == b"data":
            if not self._oversized:
                self._data.append(value)
        elif field == b"event":
            self._kind = value
        elif field == b"id" and b"\0" not in value:
            self.last_id = value
        elif field == b"retry" and value.isdigit() and len(value) <= RETRY_DIGITS_MAX:
            self.retry_seconds = int(value) / 1000

    def _dispatch(self, events: list[Event]) -> None:
        if self._pending:
            data = b"\n".join(self._data)
            events.append(Event(self._kind or MESSAGE, data, self.last_id, self._oversized))
        self._kind = b""
        self._data = []
        self._size = 0
        self._pending = self._oversized = False
