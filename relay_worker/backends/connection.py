"""One process of a stdio backend while it is this worker's: its transport and its session, joined.

Replies to calls go straight up, everything else through the session. What it makes of trouble is
not decided here: it is reported once, and whoever supervises the backend closes the connection.
"""

import mmap
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_supervisor.wire.custody import Custody, Unsent
from relay_supervisor.wire.framing import Buffer
from relay_supervisor.wire.mailbox import HINT_BYTES
from relay_worker.backends import frames
from relay_worker.backends.base import Backend, Host, Watcher
from relay_worker.backends.bridge import Bridge
from relay_worker.backends.client import Client
from relay_worker.backends.conversation import Conversation
from relay_worker.backends.effects import (
    Asked,
    Broken,
    Effect,
    Effects,
    Listed,
    Notified,
    Problem,
    Progressed,
    Send,
    Tried,
    Withdrew,
)
from relay_worker.backends.envelopes import plain_members
from relay_worker.backends.patience import Patience
from relay_worker.backends.promises import makes_tasks
from relay_worker.backends.refuse import Refuse
from relay_worker.backends.session import Phase
from relay_worker.backends.speech import PROBE_SECONDS, SUBSCRIBING
from relay_worker.backends.stderr import Stderr
from relay_worker.backends.stdio import Callbacks, Transport
from relay_worker.backends.surroundings import Surroundings
from relay_worker.lists import RawLists
from relay_worker.repair import clean_line, plain_result

SMALL_BYTES: Final = 4 << 10
"""Params over this size are written without being copied once more."""

WRITTEN_BEFORE: Final = -(1 << 62)
"""Stands for where a call begins that was written by the worker before."""


class Tell(msgspec.Struct, frozen=True):
    """Whom a connection tells what has become of it: its lists are there, first when it is ready
    for calls; another worker would have to know more than was left; it cannot be used, for this
    reason; it has closed a pipe.
    """

    listed: Callable[[RawLists], None]
    lasting: Callable[[], None]
    broken: Callable[[str], None]
    closed: Callable[[str], None]


class Connection:
    """A running process. `in_flight` has the calls it works on, each with the number of bytes that
    were written to it before.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        backend: Backend,
        host: Host,
        watcher: Watcher,
        client: Client,
        *,
        pid: int,
        fds: tuple[int, int, int],
        memory: mmap.mmap | None,
        parsed: int | None = None,
        numbers: Iterator[int],
        known: str = "",
        tell: Tell,
    ) -> None:
        self.pid = pid
        self.in_flight: dict[int, int] = {}
        self.last_used = surroundings.loop.now
        self._loop = surroundings.loop
        self._log = surroundings.log
        self._backend = backend
        self._host = host
        self._tell = tell
        self._stderr = Stderr(backend.name, surroundings)
        policy = surroundings.policy
        self._patience = Patience(
            surroundings.loop,
            policy.list_timeout_seconds,
            lambda: self.apply(self.session.give_up_listing()),
        )
        self.session = Conversation(
            backend.name, client, surroundings, numbers=numbers, known=known
        )
        self._granted: list[int] = []
        self._refuse = refuse = Refuse(
            surroundings.log, backend, host, watcher, in_flight=self.in_flight, over=self._forget
        )
        self._transport = Transport(
            surroundings.loop,
            fds,
            Callbacks(self._line, refuse.oversized, self._stderr.take, tell.closed, self._errand),
            frame_bytes_max=policy.frame_bytes_max,
            memory=memory,
            parsed=parsed,
            when_written=surroundings.when_written,
            ledger=surroundings.ledger,
        )
        self._bridge = Bridge(
            surroundings,
            backend,
            host,
            client,
            pid,
            transport=self._transport,
            in_flight=self.in_flight,
            on_lasting=tell.lasting,
        )

    @property
    def skipped_lines(self) -> int:
        """Return how many pieces of its output were no MCP."""
        return self._refuse.skipped_lines

    def start(self) -> None:
        """Begin the conversation."""
        self.apply(self.session.start())

    def resume(
        self, left: Custody, calls: list[v1.Call], known: RawLists | None, *, crashed: bool
    ) -> tuple[set[int], Effects]:
        """Go on where another worker has stopped. Returns which calls and errands are not written
        yet, and what to do when all know that it is here; then `look` is due, too.

        Raises:
            ValueError: nobody can go on with it.
        """
        effects = self.session.resume(left, known, crashed=crashed)
        numbers = [call.call for call in calls]
        unsent = {frame.number for frame in left.outbox} - {0}
        starts = self._transport.resume(left.outbox, left.sent, unsent.difference(numbers))
        self.in_flight.update((call, starts.get(call, WRITTEN_BEFORE)) for call in numbers)
        return unsent, effects

    def go_on(self, left: Custody, calls: list[v1.Call]) -> None:
        """Go on with the calls that may ask for input, once the ledger has them."""
        if self.session.probing:
            self._limit_probe()
        if self.session.modern:
            legacy = [(call.call, call.method) for call in calls if call.era == v1.LEGACY]
            self._bridge.inputs.resume(left.rounds, legacy)

    def look(self) -> None:
        """Take in what was read before and not passed on."""
        self._transport.look()
        self._limit_listing()

    def freeze(self) -> tuple[Custody, list[int]]:
        """Let go of the process at once. Returns how it is left, and the calls it works on."""
        self._grant()
        left = self._transport.freeze()
        known = self.in_flight.keys() | left.errands
        outbox = [
            Unsent(frame.number if frame.number in known else 0, frame.frame)
            for frame in left.outbox
        ]
        self._patience.see(waiting=False)
        calls = list(self.in_flight)
        self.in_flight.clear()
        custody = msgspec.structs.replace(
            self.session.left(),
            parsed=left.parsed,
            outbox=outbox,
            sent=left.sent,
            rounds=self._bridge.rounds.left(),
        )
        return custody, calls

    def lasting(self) -> Custody:
        """Return what another worker has to know if this one is killed."""
        return msgspec.structs.replace(self.session.lasting(), rounds=self._bridge.rounds.lasting())

    def call(self, call: int, method: str, params: bytes) -> bool:
        """Send a request; False where the backend does not read what was sent before."""
        self.last_used = self._loop.now
        if not self.session.modern:
            if call < 0 or not 0 < len(params) <= SMALL_BYTES:
                return self._send(call, method, params)
            transport = self._transport
            start = transport.queued_bytes
            if not transport.post(call, frames.CALL % (call, method.encode(), params)):
                return False
            self.in_flight[call] = start
            return True
        if method in SUBSCRIBING:
            self.in_flight[call] = WRITTEN_BEFORE
            self._granted.append(call)
            self._loop.at_turn_end(self._grant)
            self.apply(self.session.subscribed(method, params))
            return True
        enveloped = self.session.enveloped(params)
        if not self._send(call, method, enveloped):
            return False
        self._bridge.begin(call, method, params, enveloped)
        return True

    def _send(self, call: int, method: str, params: bytes) -> bool:
        start = self._transport.queued_bytes
        number = 0 if call < 0 else call  # noqa: FURB136 # the relay's own are in no ledger
        frame: tuple[Buffer, ...]
        if len(params) <= SMALL_BYTES:  # one small buffer costs less than several
            frame = (frames.call_frame(call, method, params),)
        else:
            frame = frames.call_pieces(call, method, params)
        if not self._transport.put(frame, number):
            return False
        self.in_flight[call] = start
        return True

    def cancel(self, call: int, params: bytes, errand: int = 0) -> bool:
        """Withdraw a call, or, as an errand, one that another worker has sent. Returns whether the
        errand is on its way.
        """
        if self.in_flight.pop(call, None) is None and not errand:
            return False
        if (told := self._bridge.withdraw(call, params)) is None:
            return False
        return self.write(frames.notification("notifications/cancelled", told), errand)

    def answer(self, raw_id: bytes, members: bytes, errand: int = 0) -> bool:
        """Take in the client's answer to a question; returns whether the errand is on its way."""
        if not self.session.modern:
            return self.write(frames.response(raw_id, members), errand)
        self._bridge.inputs.answered(raw_id, members)
        return False

    def write(self, frame: bytes, errand: int = 0) -> bool:
        """Send a frame that is no call; False where it is dropped, as the backend reads nothing."""
        if self._transport.write(frame, number=errand, errand=errand != 0):
            return True
        if self._transport.input_open:
            self._log.warning(
                "frame dropped, the backend does not read", backend=self._backend.name
            )
        return False

    def pause(self, *, paused: bool) -> None:
        """Stop reading from it, or go on."""
        self._transport.pause(paused=paused)

    def end_input(self) -> None:
        """Close its stdin, as a request to end; its last replies are still taken in."""
        self._transport.end_input()

    def close(self) -> None:
        """Its process is gone: take in what it has left behind, and let go of it."""
        self._transport.drain()
        self._transport.close()
        self._patience.see(waiting=False)

    def take_lost(self) -> tuple[list[int], list[int]]:
        """Return the calls that are lost with the process, and take them off the list: those it
        may have read, and those it has certainly not.
        """
        taken, begun = self._transport.taken_bytes, self._bridge.rounds.begun
        flights = self.in_flight.items()
        read = [call for call, start in flights if start < taken or begun(call)]
        unread = [call for call in self.in_flight if call not in set(read)]
        for call in self.in_flight:
            self._bridge.rounds.forget(call)
        self.in_flight.clear()
        return read, unread

    def complain(self, data: bytes) -> None:
        """Take in what came on its stderr by another way."""
        self._transport.complain(data)

    def stderr_tail(self) -> str:
        """Return the last lines of its stderr, redacted."""
        return self._stderr.tail()

    def apply(self, effects: Iterable[Effect], at: int = 0) -> None:
        """Do what the session wants; *at* is where in the stream the reason for it was."""
        for effect in effects:
            match effect:
                case Send(frame):
                    self.write(frame)
                case Progressed(call, params):
                    if call in self.in_flight or makes_tasks(self._backend.lists):
                        self._host.progressed(self._backend, call, params, at)
                case Notified(method, params):
                    self._host.notified(self._backend, method, params, at)
                case Asked(raw_id, method, params):
                    self._host.asked(self._backend, self.pid, raw_id, method, params, at)
                case Withdrew(raw_id, params):
                    self._host.withdrew(self._backend, self.pid, raw_id, params)
                case Listed(lists):
                    self._tell.listed(lists)
                case Problem(text):
                    self._log.warning(text, backend=self._backend.name)
                case Tried():
                    self._limit_probe()
                case Broken(reason):
                    self._tell.broken(reason)

    def _line(self, at: int, line: bytes) -> None:
        if self.session.modern or (plain := plain_result(line)) is None:
            self._any_line(at, line)
            return
        call, result = plain.id, plain.result
        if self.in_flight.pop(call, None) is None:
            return  # cancelled, or a second answer
        self.last_used = self._loop.now
        members = plain_members(line, result)
        if members is None:
            self._host.replied(self._backend, call, {"result": result})
        else:
            self._host.resulted(self._backend, call, result, members)

    def _any_line(self, at: int, line: bytes) -> None:
        cleaned = clean_line(line)
        if cleaned.skipped:
            self._refuse.skipped(cleaned.skipped)
            if not cleaned.frames:
                self._refuse.unreadable(line[:HINT_BYTES], line[-HINT_BYTES:])
        for index, (_, envelope) in enumerate(cleaned.frames):
            raw_id = envelope.get("id")
            if raw_id is not None and "method" not in envelope:
                call = frames.call_number(raw_id)
                if call is not None:
                    if self.session.modern and not self._bridge.is_final(
                        call, envelope, at + index
                    ):
                        continue
                    self._replied(call, envelope)
                    continue
            self.apply(self.session.receive(envelope), at + index)
            self._limit_listing()

    def _limit_listing(self) -> None:
        """See to it that a list which is never answered does not hold up later changes."""
        session = self.session
        self._patience.see(waiting=session.phase is Phase.READY and session.listing)

    def _replied(self, call: int, envelope: dict[str, msgspec.Raw]) -> None:
        if self.in_flight.pop(call, None) is not None:  # else cancelled, or a second answer
            self.last_used = self._loop.now
            self._host.replied(self._backend, call, envelope)

    def _grant(self) -> None:
        """Answer the calls that no backend has to see, once whoever makes them knows of it."""
        granted, self._granted = self._granted, []
        for call in granted:
            self._replied(call, {"result": msgspec.Raw(b"{}")})

    def _limit_probe(self) -> None:
        self._loop.after(PROBE_SECONDS, self._silent)

    def _silent(self) -> None:
        """Nothing was answered to the words that were tried for a while."""
        if self._transport.input_open:
            self.apply(self.session.silent())

    def _forget(self, call: int) -> None:
        """A call is over, without what was said of it."""
        del self.in_flight[call]
        self._bridge.inputs.forget(call)

    def _errand(self, errand: int) -> None:
        self._host.done(errand)
