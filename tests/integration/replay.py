"""Plays the supervisor's part of a recorded conversation to a real worker of today.

The worker is free to say more than the old one did, and sooner or later, but everything that the
supervisor of that version waited for has to come, and nothing that it would act upon unasked.
"""

import contextlib
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from relay_supervisor.wire import v1
from tests.integration.fake_supervisor import WAIT_SECONDS, FakeSupervisor
from tests.versions import transcript
from tests.versions.relied import SHAPES, Names
from tests.versions.transcript import Entry

HELLO: Final = "hello"
SPAWNED, EXITED = 10, 12
CATALOGUE, LEARNED, STATE, SPAWN, STOP, PONG = 66, 67, 75, 73, 74, 78
MAY_COME_UNASKED: Final = (CATALOGUE, LEARNED, STATE, PONG)
"""Of these an old supervisor takes any number."""
READY: Final = "ready"
OURS: Final = ("pid", "spawn", "status")
"""Numbers that are today's own: of processes, and those that the worker chooses."""


class WorkerReplay(FakeSupervisor):
    """One worker of today, and the supervisor that a generation of a transcript had."""

    def __init__(self, folder: Path, entries: list[Entry], generation: int) -> None:
        """Play the *generation* of a conversation that is held in *folder*."""
        self._entries = [one for one in entries if one.generation == generation]
        self._names = Names(self._entries)
        self._heard: list[tuple[list[Any], Any]] = []
        self._ready: set[str] = set()
        self._wanted: dict[int, v1.Spawn] = {}
        hello = self._entries.pop(0)
        assert hello.said[0] == HELLO
        super().__init__(folder, generation=generation, hello=transcript.header_of(hello.said))
        self._names.bind("nonce", hello.said[4], hello.said[4])

    def play(self) -> None:
        """Go through all of it; AssertionError where the worker of today does otherwise."""
        for entry in self._entries:
            if entry.by == transcript.EXIT:
                assert self.worker.wait(WAIT_SECONDS) == entry.said
            elif entry.by == transcript.SUPERVISOR:
                self._say(entry)
            elif not optional(entry):
                self._hear(entry)
        with contextlib.suppress(EOFError):
            while True:
                self.pump(time.monotonic() + WAIT_SECONDS)  # its last words
        left = [said for said, _ in self._heard if self._matters(said)]
        assert not left, f"nobody has asked for this: {left}"

    def _say(self, entry: Entry) -> None:
        tag = entry.said[0]
        if tag == SPAWNED:
            self._start(entry)
        elif tag == EXITED:
            pid = self._names.today("pid", entry.said[2])
            assert self.children[pid].wait(WAIT_SECONDS) == entry.said[3]
        said = self._names.translated(entry.said, OURS)
        try:
            self.send_raw(transcript.header_of(said), transcript.payload_of(entry.payload))
        except BrokenPipeError:
            assert self.worker.wait(WAIT_SECONDS) == 0  # it was told to retire just before

    def _start(self, entry: Entry) -> None:
        """Start the backend that the worker has asked for with the token of this answer."""
        _, token, _, pid = entry.said
        wanted = self._wanted[self._names.today("spawn", token)]
        self._names.bind("pid", pid, self.start(wanted))

    def _hear(self, entry: Entry) -> None:
        """Wait for what stands for this message, and take it."""
        deadline = time.monotonic() + WAIT_SECONDS
        looked = 0
        while True:
            if entry.said[0] == STATE and entry.said[1] in self._ready:
                return
            for index, (said, payload) in enumerate(self._heard[looked:], looked):
                if self._names.fits(entry, said, payload):
                    del self._heard[index]
                    return
            looked = len(self._heard)
            try:
                self.pump(deadline)
            except (TimeoutError, EOFError) as error:
                raise AssertionError(f"the worker of today does not say {entry}") from error

    def _matters(self, said: list[Any]) -> bool:
        return said[0] in SHAPES and said[0] not in MAY_COME_UNASKED

    def pump(self, deadline: float) -> None:
        """Take in the next frame; what is to be done about it is in the transcript."""
        header, payload = self._frame(deadline)
        said = transcript.plain(msgspec.msgpack.decode(header))
        self._heard.append((said, transcript.readable_of(payload)))
        if said[0] == STATE and said[2] == READY:
            self._ready.add(said[1])
        elif said[0] == SPAWN:
            self._wanted[said[1]] = v1.Spawn(*said[1:6])
        elif said[0] == STOP:
            stdin = self.children[said[2]].stdin
            assert stdin is not None
            stdin.close()  # the worker's end is closed already, so now it is the end of its input

    def exited(self, backend: str, pid: int, status: int) -> None:
        """A backend has ended: the worker is told when the transcript says so."""


def optional(entry: Entry) -> bool:
    """Whether the supervisor can do without: what was on the way to something."""
    tag = entry.said[0]
    if tag == STATE:
        return bool(entry.said[2] != READY)
    return bool(tag == CATALOGUE and not entry.said[2])
