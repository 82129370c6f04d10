"""What a backend needs of the worker, and how a stdio backend is to be run: plain data."""

from collections.abc import Callable

import msgspec

from relay_supervisor.wire.ledger import Ledger
from relay_worker.backends.descriptors import Descriptors
from relay_worker.ledger import UNREAD
from relay_worker.life import Life
from relay_worker.log import Log
from relay_worker.loop import Loop


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What goes for a backend of any kind. What is derived from this may have secrets."""

    name: str
    enabled: bool = True
    lazy: bool = False
    start_timeout_seconds: float = 120.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class Plan(Terms, frozen=True, kw_only=True):
    """How a stdio backend is run, everything expanded."""

    argv: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str = ""
    idle_stop_seconds: float = 0.0


class Policy(msgspec.Struct, frozen=True):
    """Settings of the relay that concern every backend."""

    frame_bytes_max: int = 64 << 20
    list_pages_max: int = 1000
    list_timeout_seconds: float = 30.0
    restart_delay_seconds: float = 0.5
    restart_delay_max_seconds: float = 30.0
    restart_reset_seconds: float = 60.0
    restart_attempts_max: int = 10


class Surroundings(msgspec.Struct, frozen=True):
    """The worker around a backend. `send` and `when_written` are the pipe's; `keep_stderr` gets
    whole lines, redacted.
    """

    loop: Loop
    send: Callable[..., None]
    when_written: Callable[[Callable[[int], None], int], None]
    descriptors: Descriptors
    life: Life
    log: Log
    keep_stderr: Callable[[str, bytes], object]
    next_token: Callable[[], int]
    generation: int
    policy: Policy
    ledger: Ledger = UNREAD
