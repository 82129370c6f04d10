"""The worker's own log: to stderr without ever blocking, and to the rotating file.

Every line passes the redaction: what the configuration expands from the environment never gets
out. The standard `logging` package is not used: it is dear to import, and its handlers block.
"""

import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

LINE_CHARS_MAX: Final = 8192
"""A longer line is cut."""

SECRET_CHARS_MIN: Final = 6
"""Shorter values are not hidden: they would blot out half of every text, and hide nothing."""

LEVELS: Final[Mapping[str, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FORMATS: Final = ("text", "json")

_HIDDEN: Final = "***"
_encode = msgspec.json.Encoder().encode


class Log:
    """Log lines with a level, as text or JSON. Thread safe; never raises, never blocks.

    `dropped` counts the lines that stderr did not take; the next that it takes says so.
    """

    def __init__(
        self, *, fd: int = 2, level: str = "info", fmt: str = "text", generation: int = 0
    ) -> None:
        self.dropped = 0
        self.generation = generation
        self._fd = fd
        self._threshold = LEVELS["info"]
        self._format = "text"
        self._sink: Callable[[bytes], object] | None = None
        self._secrets: set[str] = set()
        self._hidden: re.Pattern[str] | None = None
        self._hidden_bytes: re.Pattern[bytes] | None = None
        self._lock = threading.RLock()
        self._unreported = 0
        self._torn = False
        self.configure(level=level, fmt=fmt)

    def configure(self, *, level: str, fmt: str) -> None:
        """Set level and format; an unknown value keeps what was in force and logs a warning."""
        self._threshold = LEVELS.get(level, self._threshold)
        self._format = fmt if fmt in FORMATS else self._format
        for variable, value, known in (
            ("RELAY_LOG_LEVEL", level, tuple(LEVELS)),
            ("RELAY_LOG_FORMAT", fmt, FORMATS),
        ):
            if value not in known:
                self.warning(f"{variable} is {value!r}; expected one of {', '.join(known)}")

    def write_to(self, sink: Callable[[bytes], object]) -> None:
        """Send every line to *sink* too (`Writer.log_relay`)."""
        self._sink = sink

    def hide(self, secrets: Iterable[str]) -> None:
        """Replace these values, of `SECRET_CHARS_MIN` and more, by `***` from now on: as they are,
        as JSON writes them, and each line of those with several.
        """
        for secret in secrets:
            escaped = _encode(secret.encode("utf-8", "replace").decode()).decode()[1:-1]
            self._secrets.update((secret, escaped, *secret.splitlines()))
        # The longest first, as one may contain another.
        found = sorted(
            (secret for secret in self._secrets if len(secret) >= SECRET_CHARS_MIN),
            key=lambda secret: (-len(secret), secret),
        )
        if found:
            pattern = "|".join(map(re.escape, found))
            self._hidden = re.compile(pattern)
            self._hidden_bytes = re.compile(pattern.encode("utf-8", "surrogateescape"))

    def redact(self, text: str) -> str:
        """Return *text* without the hidden values."""
        return self._hidden.sub(_HIDDEN, text) if self._hidden else text

    def redact_bytes(self, text: bytes) -> bytes:
        """Return *text* without the hidden values (backend stderr, before it is kept anywhere)."""
        return self._hidden_bytes.sub(_HIDDEN.encode(), text) if self._hidden_bytes else text

    def debug(self, message: str, **fields: object) -> None:
        """Log what helps to follow a call."""
        self._log("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Log what an operator may want to know."""
        self._log("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Log what is wrong but handled."""
        self._log("warning", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Log what failed."""
        self._log("error", message, fields)

    def _log(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        if LEVELS[level] < self._threshold:
            return
        clean = {name: self._clean(value) for name, value in fields.items()}
        now = time.time()
        stamp = (
            time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03}Z"
        )
        render = _as_json if self._format == "json" else _as_text
        line = render(stamp, level, self.generation, self._clean(message), clean)
        self._write(line)
        if self._sink:
            self._sink(line)

    def _clean(self, value: object) -> object:
        """Return *value* fit to be logged; a number that is no secret stays one."""
        text = self.redact(str(value))
        if type(value) in {int, float, bool, type(None)} and text == str(value):
            return value
        return text[:LINE_CHARS_MAX].encode("utf-8", "replace").decode()

    def _write(self, line: bytes) -> None:
        with self._lock:
            if self._unreported:
                line = b"(%d log lines dropped)\n" % self._unreported + line
            if self._torn:
                line = b"\n" + line
            rest = line
            # What poll calls writable takes PIPE_BUF bytes without blocking, says POSIX; so the
            # descriptor's flags, which it may share with others, need no change.
            while rest and self._writable():
                try:
                    rest = rest[os.write(self._fd, rest[: select.PIPE_BUF]) :]
                except OSError:
                    break
            if not rest:
                self._unreported, self._torn = 0, False
                return
            self.dropped += 1
            self._unreported += 1
            self._torn = self._torn or len(rest) < len(line)

    def _writable(self) -> bool:
        poll = select.poll()  # a shared one could be in use by a signal handler's caller
        poll.register(self._fd, select.POLLOUT)
        return any(events & select.POLLOUT for _, events in poll.poll(0))


def _as_json(
    stamp: str, level: str, generation: int, message: object, fields: Mapping[str, object]
) -> bytes:
    line = {"time": stamp, "level": level, "generation": generation, "message": message, **fields}
    return _encode(line) + b"\n"


def _as_text(
    stamp: str, level: str, generation: int, message: object, fields: Mapping[str, object]
) -> bytes:
    pairs = "".join(f" {name}={_quoted(_plain(value))}" for name, value in fields.items())
    return f"{stamp} {level:7} worker {generation}: {_plain(message)}{pairs}\n".encode()


def _plain(value: object) -> str:
    """Return *value* on one line, without control characters, which command a terminal."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text or not text else text
