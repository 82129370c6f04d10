"""Plays everybody else's part of a recorded conversation to the core of today.

Client, relayctl and workers say what they said then, when they said it, on a clock of the test's.
What the supervisor of that version answered has to come from the core of today as well.
"""

import json
from typing import Any, Final

import msgspec

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Source
from relay_supervisor.core.workers import Identity
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import IDENTITY, START, Driver
from tests.versions import transcript
from tests.versions.relied import SHAPES, Names
from tests.versions.transcript import Entry

CONFIGURE, SPAWNED, EXITED, PING, LOG, JOURNAL = 1, 10, 12, 14, 15, 17
PONG = 78
NOT_OF_THE_CORE: Final = (PING, LOG, JOURNAL)
"""The clock's and the adapters': they come when they come."""
LATER_SECONDS_MAX: Final = 5.0
"""So much later than then an answer may be."""


class TranscriptDriver:
    """A core of today among people of a released version."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._names = Names(entries)
        self._asked: dict[int, int] = {}
        self._frames: list[tuple[int, list[Any], Any]] = []
        self._lines: list[Any] = []
        self._exited: set[int] = set()
        configure = next(one for one in entries if _tag(one) == CONFIGURE)
        snapshot = transcript.payload_of(configure.payload)
        self.driver = Driver(
            identity=_identity(configure.said), source=Source("python", "", snapshot)
        )

    def play(self) -> None:
        """Go through all of it; AssertionError where the core of today does otherwise."""
        self.driver.do(events.Started())
        for entry in self._entries:
            self.driver.wait(max(0.0, START + entry.at - self.driver.now))
            if entry.by == transcript.SUPERVISOR:
                self._expect(entry)
            else:
                self._happen(entry)
        self._gather()
        left = [said for _, said, _ in self._frames if _matters(said)]
        assert not left, f"nobody has asked for this: {left}"
        assert not self._lines, f"the client has not asked for this: {self._lines}"

    # ---- what happens -------------------------------------------------------------------------

    def _happen(self, entry: Entry) -> None:
        if entry.by == transcript.CONTROL:
            self.driver.do(events.ControlRequested(7, entry.said.encode()))
        elif entry.by == transcript.EXIT:
            self.driver.die(entry.generation, {}, status=entry.said)
        elif entry.by == transcript.WORKER:
            self._from_worker(entry)
        elif entry.said is None:
            self.driver.do(events.ClientClosed())
        else:
            message = json.loads(entry.said)
            if "method" not in message:  # an answer: to a question that has another id today
                message["id"] = self._asked[message["id"]]
                self.driver.line(msgspec.json.encode(message))
            else:
                self.driver.line(entry.said.encode())

    def _from_worker(self, entry: Entry) -> None:
        if _tag(entry) == PONG:
            return  # the driver answers today's pings
        said = self._names.translated(entry.said, ("call", "nonce"))
        header = transcript.header_of(said)
        payload = transcript.payload_of(entry.payload)
        self.driver.do(events.WorkerFrame(entry.generation, header, payload))

    def _from_system(self, entry: Entry) -> None:
        """What the worker is told next, the supervisor was told by the system before."""
        number, tag = entry.generation, _tag(entry)
        if tag == "hello":
            assert self.driver.take(effects.SpawnWorker), f"nobody wants generation {number}"
            self.driver.pids[number] = 9000 + number
            self.driver.do(events.WorkerSpawned(number, self.driver.pids[number]))
        elif tag == SPAWNED:
            _, token, backend, pid = entry.said
            wanted = [(one.generation, one.request.token) for one in self._wanted_backends()]
            assert (number, token) in wanted
            self.driver.do(events.BackendSpawned(number, token, backend, pid))
        elif tag == EXITED:
            self.driver.do(events.ProcessExited(entry.said[2], entry.said[3]))

    def _wanted_backends(self) -> list[effects.SpawnBackend]:
        return [one for one in self.driver.wanted if isinstance(one, effects.SpawnBackend)]

    # ---- what has to come of it -----------------------------------------------------------------

    def _expect(self, entry: Entry) -> None:
        if _tag(entry) in NOT_OF_THE_CORE:
            return
        if entry.generation:
            self._from_system(entry)
        until = self.driver.now + LATER_SECONDS_MAX
        while not self._found(entry):
            due = self.driver.relay.next_deadline()
            assert due is not None and due <= until, self._missing(entry)
            self.driver.wait(due - self.driver.now)

    def _found(self, entry: Entry) -> bool:
        self._gather()
        if not entry.generation:
            return self._found_line(json.loads(entry.said))
        for index, (generation, said, payload) in enumerate(self._frames):
            if generation == entry.generation and self._names.fits(entry, said, payload):
                del self._frames[index]
                return True
        return False

    def _found_line(self, recorded: Any) -> bool:
        for index, line in enumerate(self._lines):
            if self._stands_for(line, recorded):
                del self._lines[index]
                return True
        return False

    def _stands_for(self, line: Any, recorded: Any) -> bool:
        if "method" in recorded and "id" in recorded:
            if line.get("method") != recorded["method"] or "id" not in line:
                return False
            self._asked[recorded["id"]] = line["id"]
            return bool(line.get("params") == recorded.get("params"))
        if recorded.get("method") == "notifications/cancelled":
            asked = self._asked[recorded["params"]["requestId"]]
            recorded = {**recorded, "params": {**recorded["params"], "requestId": asked}}
        if "serverInfo" in recorded.get("result", {}):
            return line.get("id") == recorded["id"] and "serverInfo" in line["result"]
        return bool(line == recorded)

    def _gather(self) -> None:
        """Take out what the core wants to be said."""
        self._lines += self.driver.client()
        for one in self.driver.take(effects.SendToWorker):
            said = transcript.plain(msgspec.msgpack.decode(msgspec.msgpack.encode(one.message)))
            self._frames.append((one.generation, said, transcript.readable_of(bytes(one.payload))))

    def _missing(self, entry: Entry) -> str:
        return f"missing: {entry}\nthere is: {self._frames}\n{self._lines}"


def _tag(entry: Entry) -> Any:
    return entry.said[0] if isinstance(entry.said, list) else None


def _matters(said: list[Any]) -> bool:
    """Whether a worker of that version would act upon it."""
    return said[0] in SHAPES and said[0] not in NOT_OF_THE_CORE


def _identity(said: list[Any]) -> Identity:
    """The supervisor that would send this Configure."""
    configure = v1.decode_to_worker(transcript.header_of(said))
    assert isinstance(configure, v1.Configure) and configure.config_path is not None
    same = ("project", "state_dir", "instance", "log_level", "log_format", "config_path")
    return msgspec.structs.replace(
        IDENTITY,
        config_required=not configure.default_if_missing,
        **{name: getattr(configure, name) for name in same},
    )
