"""Stands between supervisor and worker, and writes down every frame that passes. Changes nothing.

`python tap.py RECORD PYTHON -P -m relay_worker --fds IN,OUT,SOCKET,LIFE …`: a release whose
interpreter is a script that runs this is a worker of the interpreter PYTHON, overheard. It runs
with the sources of the tests, not with those that it listens to.
"""

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from tests.versions import transcript

READ_BYTES: Final = 1 << 20
PREFIX_BYTES: Final = 8
"""Lengths of header and payload, four bytes each: the framing has no version."""


class Way:
    """One direction: what comes in at one end goes out at the other, once it is written down."""

    def __init__(self, tap: "Tap", by: str, source: int, target: int) -> None:
        self._tap = tap
        self.by = by
        self.source = source
        self._target = target
        self._rest = b""

    def carry(self) -> bool:
        """Carry on what has come; False at the end, which is passed on too."""
        data = os.read(self.source, READ_BYTES)
        self._rest += data
        while (size := self._frame_bytes()) and len(self._rest) >= size:
            self._tap.note(self.by, self._rest[:size])
            self._rest = self._rest[size:]
        left = memoryview(data)
        while left:
            left = left[os.write(self._target, left) :]
        if not data:
            os.close(self._target)
        return bool(data)

    def _frame_bytes(self) -> int:
        if len(self._rest) < PREFIX_BYTES:
            return 0
        sizes = (self._rest[:4], self._rest[4:PREFIX_BYTES])
        return PREFIX_BYTES + sum(int.from_bytes(size, "big") for size in sizes)


class Tap:
    """One worker, overheard."""

    def __init__(self, record: Path, argv: list[str]) -> None:
        self._record = record
        self._generation = 0
        place = argv.index("--fds") + 1
        ours_in, ours_out, socket, life = map(int, argv[place].split(","))
        ledger = int(argv[argv.index("--ledger") + 1])
        worker_in, to_worker = os.pipe()
        from_worker, worker_out = os.pipe()
        passed = (worker_in, worker_out, socket, life)
        argv = [*argv]
        argv[place] = ",".join(map(str, passed))
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._worker = subprocess.Popen(argv, env=environment, pass_fds=(*passed, ledger))
        for fd in (*passed, ledger):
            os.close(fd)
        self._ways = {
            way.source: way
            for way in (
                Way(self, transcript.SUPERVISOR, ours_in, to_worker),
                Way(self, transcript.WORKER, from_worker, ours_out),
            )
        }

    def run(self) -> int:
        """Carry frames until the worker has ended; return its exit status."""
        open_ways = list(self._ways)
        while open_ways:
            for fd in select.select(open_ways, [], [])[0]:
                try:
                    going_on = self._ways[fd].carry()
                except BrokenPipeError:
                    going_on = False  # the other one is gone: what is said to it is lost
                if not going_on:
                    open_ways.remove(fd)
                    if self._ways[fd].by == transcript.WORKER:
                        open_ways.clear()
        status = self._worker.wait()
        self._write(transcript.Entry(time.monotonic(), transcript.EXIT, status, self._generation))
        return status

    def note(self, by: str, data: bytes) -> None:
        """Write down a frame; the first one of all, Hello, says which generation this is."""
        middle = PREFIX_BYTES + int.from_bytes(data[:4], "big")
        header, payload = data[PREFIX_BYTES:middle], data[middle:]
        if not self._generation:
            self._generation = msgspec.msgpack.decode(header)[3]
        self._write(transcript.frame(time.monotonic(), by, self._generation, header, payload))

    def _write(self, entry: transcript.Entry) -> None:
        with self._record.open("ab", buffering=0) as file:
            file.write(msgspec.json.encode(entry) + b"\n")


if __name__ == "__main__":
    status = Tap(Path(sys.argv[1]), sys.argv[2:]).run()
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)
