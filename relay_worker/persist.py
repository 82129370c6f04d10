"""The writer thread: everything the worker writes to disk, off its loop.

Jobs are queued within bounds and dropped, and counted, beyond them. A full or read-only disk is
counted and reported once; it never blocks and never ends anything. There are no lock files.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

QUEUE_JOBS_MAX: Final = 4096
QUEUE_BYTES_MAX: Final = 64 << 20


class Writer:
    """One daemon thread that appends to rotating logs and replaces files. Thread safe."""

    def __init__(
        self,
        state_dir: Path,
        *,
        log_bytes_max: int,
        log_files_max: int,
        report: Callable[[str], None],
    ) -> None:
        """*report* is told once about each kind of failure; it is called in the writer thread."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread."""
        raise NotImplementedError

    def log_relay(self, text: bytes) -> bool:
        """Append whole lines to `logs/relay.log`; False where they were dropped."""
        raise NotImplementedError

    def log_backend(self, backend: str, text: bytes) -> bool:
        """Append whole lines to `logs/backends/<safe name>.log`; False where they were dropped."""
        raise NotImplementedError

    def replace(self, path: Path, content: bytes) -> bool:
        """Replace the file at *path* atomically and durably; False where it was dropped."""
        raise NotImplementedError

    @property
    def dropped(self) -> int:
        """Jobs dropped so far, because the queue was full or the disk refused."""
        raise NotImplementedError

    def close(self, timeout_seconds: float) -> bool:
        """Write what is queued and end the thread; False where the time was not enough."""
        raise NotImplementedError
