"""The worker's own log: to stderr without ever blocking, and to the rotating file.

Every line passes the redaction: values of variables the configuration expands never get out.
The standard `logging` package is not used: it is dear to import and its handlers block.
"""

from collections.abc import Callable, Iterable
from typing import Literal

Level = Literal["debug", "info", "warning", "error"]


class Log:
    """Leveled log lines as text or JSON. Thread safe; never raises, never blocks."""

    def __init__(
        self, *, fd: int = 2, level: str = "info", fmt: str = "text", generation: int = 0
    ) -> None:
        raise NotImplementedError

    def configure(self, *, level: str, fmt: str) -> None:
        """Set level and format; an unknown value keeps what was in force and logs a warning."""
        raise NotImplementedError

    def write_to(self, sink: Callable[[bytes], object]) -> None:
        """Send every line to *sink* too (`Writer.log_relay`)."""
        raise NotImplementedError

    def hide(self, secrets: Iterable[str]) -> None:
        """Replace these values by `***` from now on, in whatever is logged or redacted."""
        raise NotImplementedError

    def redact(self, text: str) -> str:
        """Return *text* without the hidden values."""
        raise NotImplementedError

    def redact_bytes(self, text: bytes) -> bytes:
        """Return *text* without the hidden values (backend stderr, before it is kept anywhere)."""
        raise NotImplementedError

    def debug(self, message: str, **fields: object) -> None:
        """Log what helps to follow a call."""
        raise NotImplementedError

    def info(self, message: str, **fields: object) -> None:
        """Log what an operator may want to know."""
        raise NotImplementedError

    def warning(self, message: str, **fields: object) -> None:
        """Log what is wrong but handled."""
        raise NotImplementedError

    def error(self, message: str, **fields: object) -> None:
        """Log what failed."""
        raise NotImplementedError
