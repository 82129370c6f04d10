"""The writer thread: everything the worker writes to disk, off its loop.

Jobs are queued within bounds and dropped, and counted, beyond them. A full or read-only disk is
counted and reported once; it never blocks and never ends anything.

    <state directory>/cache/                    one file per configuration and kind of client
    <state directory>/logs/relay.log            all relays of this user, with .1, .2, …
    <state directory>/logs/backends/NAME.log    the stderr of a backend, in all relays
    <state directory>/journal.jsonl             see `records`, as for refused.json

Relays share the log files: so their number does not grow with the sessions, and one file tells
what happened in which order. `files` says how that is safe.
"""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from relay_worker import files, records
from relay_worker.names import safe

QUEUE_JOBS_MAX: Final = 4096
QUEUE_BYTES_MAX: Final = 64 << 20
"""One job of any size is taken when the queue is empty."""

CACHE_FILES_MAX: Final = 64
"""Cache files kept: each change of the configuration makes a new one."""


class Writer:
    """One daemon thread that appends to rotating logs and replaces files.

    All methods may be called from any thread, and none of them waits for the disk but `close`.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        log_bytes_max: int,
        log_files_max: int,
        report: Callable[[str], None],
    ) -> None:
        """*report* gets a sentence for each kind of failure, once until that kind works again; it
        is called in the writer thread.
        """
        self._state_dir = state_dir
        self._log_bytes_max = log_bytes_max
        self._log_files_max = log_files_max
        self._report = report
        self._changed = threading.Condition()
        self._logs: dict[Path, list[bytes]] = {}
        self._contents: dict[Path, bytes] = {}
        self._refusals: dict[str, str] = {}
        self._jobs = 0
        self._bytes = 0
        self._dropped = 0
        self._closing = False
        self._failing: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="relay-writer", daemon=True)

    @property
    def dropped(self) -> int:
        """Jobs dropped so far, because the queue was full or the disk refused."""
        return self._dropped

    def start(self) -> None:
        """Start the thread; jobs may be queued before."""
        self._thread.start()

    def log_relay(self, text: bytes) -> bool:
        """Append whole lines to `logs/relay.log`; False where they were dropped."""
        return self._append(self._state_dir / "logs" / "relay.log", text)

    def log_backend(self, backend: str, text: bytes) -> bool:
        """Append whole lines to the log of *backend*; False where they were dropped."""
        return self._append(self.backend_log(backend), text)

    def backend_log(self, backend: str) -> Path:
        """Return the path of the log of *backend*."""
        name = safe(backend)
        if name != backend:
            name += "_" + hashlib.sha256(backend.encode("utf-8", "replace")).hexdigest()[:8]
        return self._state_dir / "logs" / "backends" / f"{name}.log"

    def journal(self, text: bytes) -> bool:
        """Append whole lines to the journal; False where they were dropped."""
        return self._append(self._state_dir / records.JOURNAL, text)

    def refuse(self, build: str, config_digest: str, reason: str) -> bool:
        """Keep in mind that this pair is refused; False where that was dropped."""
        pair = f"{build} {config_digest}"
        with self._changed:
            if not self._admit(len(reason)):
                return False
            if (superseded := self._refusals.pop(pair, None)) is not None:
                self._jobs -= 1
                self._bytes -= len(superseded)
            self._refusals[pair] = reason
            self._changed.notify_all()
        return True

    def replace(self, path: Path, content: bytes) -> bool:
        """Replace the file at *path* atomically and durably; False where it was dropped. Of several
        contents queued for one path only the last is written.
        """
        with self._changed:
            if not self._admit(len(content)):
                return False
            if (superseded := self._contents.pop(path, None)) is not None:
                self._jobs -= 1
                self._bytes -= len(superseded)
            self._contents[path] = content
            self._changed.notify_all()
        return True

    def close(self, timeout_seconds: float) -> bool:
        """Write what is queued and end the thread; False where the time was not enough."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _append(self, path: Path, text: bytes) -> bool:
        with self._changed:
            if not self._admit(len(text)):
                return False
            self._logs.setdefault(path, []).append(text)
            self._changed.notify_all()
        return True

    def _admit(self, size: int) -> bool:
        full = self._jobs and (self._jobs >= QUEUE_JOBS_MAX or self._bytes + size > QUEUE_BYTES_MAX)
        if self._closing or full:
            self._dropped += 1
            return False
        self._jobs += 1
        self._bytes += size
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._jobs or self._closing):
                    self._changed.wait()
                if not self._jobs:
                    return
                logs, self._logs = self._logs, {}
                contents, self._contents = self._contents, {}
                refusals, self._refusals = self._refusals, {}
            for path, texts in logs.items():
                self._attempt(path, len(texts), sum(map(len, texts)), self._append_all(path, texts))
            for path, content in contents.items():
                self._attempt(path, 1, len(content), self._replace(path, content))
            if refusals:
                path, size = self._state_dir / records.REFUSED, sum(map(len, refusals.values()))
                self._attempt(path, len(refusals), size, self._refuse(refusals))

    def _append_all(self, path: Path, texts: list[bytes]) -> Callable[[], None]:
        if path == self._state_dir / records.JOURNAL:
            return lambda: records.append_journal(self._state_dir, texts)
        return lambda: files.append_rotating(
            path, texts, file_bytes_max=self._log_bytes_max, files_max=self._log_files_max
        )

    def _replace(self, path: Path, content: bytes) -> Callable[[], None]:
        def write() -> None:
            files.replace_file(path, content)
            if path.parent == self._state_dir / "cache":
                files.prune(path.parent, CACHE_FILES_MAX)

        return write

    def _refuse(self, refusals: dict[str, str]) -> Callable[[], None]:
        def write() -> None:
            if problem := records.refuse(self._state_dir, refusals):
                self._report(f"{records.REFUSED} was unusable and begins anew: {problem}")

        return write

    def _attempt(self, path: Path, jobs: int, size: int, write: Callable[[], None]) -> None:
        """Carry out jobs that were taken off the queue, and only then make room for others: the
        bounds are on what is in memory.
        """
        where = str(path.parent)
        problem = None
        try:
            write()
            self._failing.discard(where)
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
            if where not in self._failing:
                problem = (
                    f"cannot write {path}: {error}. The relay goes on without; free some space or "
                    "make the directory writable. Further failures there are only counted."
                )
            self._failing.add(where)
        with self._changed:
            self._jobs -= jobs
            self._bytes -= size
            if where in self._failing:
                self._dropped += jobs
        if problem:
            self._report(problem)
