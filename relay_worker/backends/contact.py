"""What passes between a stdio backend and the relay while its process runs, and what it is to know
of the client: its log level, its subscriptions, who it is.

How its process comes and goes is not decided here: that is `supervision`, which extends this.
"""

import abc
import itertools
import os

import msgspec

from relay_supervisor.wire import v1
from relay_supervisor.wire.custody import Custody, encode
from relay_worker.backends import frames
from relay_worker.backends.base import Host, State, Watcher
from relay_worker.backends.client import Client
from relay_worker.backends.connection import Connection
from relay_worker.backends.mailbox import shared
from relay_worker.backends.stdio import OUT_BYTES_MAX
from relay_worker.backends.surroundings import Plan, Surroundings
from relay_worker.lists import RawLists


class Contact(abc.ABC):
    """One backend, with a process or without; the better part of `base.Backend`."""

    kind = "stdio"

    def __init__(self, plan: Plan, around: Surroundings, host: Host, watcher: Watcher) -> None:
        self.name = plan.name
        self.state = State.IDLE if plan.enabled else State.DISABLED
        self.lists: RawLists | None = None
        self.pid: int | None = None
        self.restarts = 0
        self.last_error: str | None = None
        self._error: str | None = None
        self._plan = plan
        self._around = around
        self._loop = around.loop
        self._host = host
        self._watcher = watcher
        self._client: Client | None = None
        self._numbers = itertools.count(1)
        self._connection: Connection | None = None
        self._skipped_before = 0
        self._level: str | None = None
        self._uris: frozenset[str] | None = None  # nobody has said yet
        self._tasks: frozenset[str] = frozenset()
        self._paused = False
        self._said = b""

    @property
    def skipped_lines(self) -> int:
        """Return how many pieces of its output were no MCP."""
        now = self._connection.skipped_lines if self._connection else 0
        return self._skipped_before + now

    @property
    def trouble(self) -> str:
        """Return why it cannot be used just now."""
        if self.state is State.DISABLED:
            return f"Backend '{self.name}' is disabled in the configuration."
        text = f"Backend '{self.name}' is not ready ({self.state.word})"
        if self._error:
            text += f": {self._error}"
        if self._connection and (tail := self._connection.stderr_tail()):
            text += f"\nIts last lines on stderr:\n{tail}"
        return self._around.log.redact(text)

    @property
    def modern(self) -> bool:
        """Return whether it is spoken to in the modern era."""
        return self._connection is not None and self._connection.session.modern

    def call(self, call: int, method: str, params: bytes) -> str | None:
        """Send a request with number *call*; READY only. Returns why it was not sent, or None."""
        assert self._connection is not None
        if self._connection.call(call, method, params):
            return None
        return (
            f"Backend '{self.name}' does not read its input, and {OUT_BYTES_MAX >> 20} MiB wait "
            "for it already; the call was not sent."
        )

    def cancel(self, call: int, params: bytes, errand: int = 0) -> bool:
        """Withdraw a call that was sent. Returns whether the errand is on its way."""
        return bool(self._connection and self._connection.cancel(call, params, errand))

    def answer(self, pid: int, raw_id: bytes, members: bytes, errand: int = 0) -> bool:
        """Pass on the client's answer, if the process that asked still runs; see `cancel`."""
        if pid != self.pid or not self._connection:
            return False
        return self._connection.answer(raw_id, members, errand)

    def notify(self, method: str, params: bytes, capability: str | None = None) -> None:
        """Send a notification, if READY and, where given, if it saw the client's *capability*."""
        connection = self._connection if self.state is State.READY else None
        if connection is None or connection.session.modern:
            return  # that era has no such thing
        if capability is None or connection.session.saw(capability):
            connection.write(frames.notification(method, params))

    def set_level(self, level: str) -> None:
        """Set the log level, now and whenever it is started."""
        self._level = level
        if self._connection:
            self._connection.apply(self._connection.session.set_level(level))
            self._lasts()

    def subscribe(self, uris: frozenset[str]) -> None:
        """Have updates of exactly these resources, now and whenever it is started."""
        self._uris = uris
        if self._connection:
            self._connection.apply(self._connection.session.subscribe(uris))
            self._lasts()

    def subscribed(self, uri: str, *, wanted: bool) -> None:
        """Take note that a call of the client's changed a subscription."""
        before = self._uris or frozenset()
        self._uris = before | {uri} if wanted else before - {uri}
        if self._connection:
            self._connection.session.note_subscription(uri, subscribed=wanted)
            self._lasts()

    def watch(self, tasks: frozenset[str]) -> None:
        """Hear of exactly these tasks of its own, now and whenever it is started."""
        self._tasks = tasks
        if self._connection and self.state is State.READY:
            self._connection.apply(self._connection.session.watch(tasks))
            self._lasts()

    def pause(self, *, paused: bool) -> None:
        """Stop reading from it, or go on."""
        self._paused = paused
        if self._connection:
            self._connection.pause(paused=paused)

    def complained(self, message: v1.Stderr, payload: bytes) -> None:
        """Its stderr had something to say while nobody read it here."""
        if self._connection and message.pid == self.pid:
            self._connection.complain(payload)
        else:
            self._around.keep_stderr(self.name, self._around.log.redact_bytes(payload))

    def _connect(
        self, message: v1.Spawned | v1.Adopt, client: Client, parsed: int | None = None
    ) -> Connection:
        """Take over the descriptors that came for *message*."""
        ends = self._around.descriptors.take(message.token)
        try:
            memory = None if ends.mailbox is None else shared(ends.mailbox)
            return Connection(
                self._around,
                self,
                self._host,
                self._watcher,
                client,
                pid=message.pid,
                fds=ends.pipes,
                memory=memory,
                parsed=parsed,
                numbers=self._numbers,
                known=self._protocol_known(),
                on_lasting=self._lasts,
                on_listed=self._listed,
                on_broken=self._broke,
                on_closed=self._fell,
            )
        except (OSError, ValueError):
            for fd in ends.pipes:
                os.close(fd)
            raise

    def _protocol_known(self) -> str:
        """Return the protocol it was found to speak; empty where that has to be found out."""
        return self.lists.protocol if self.lists else ""

    def _suit(self, client: Client) -> None:
        """See to it that its process is one that was greeted for *client*."""
        connection = self._connection
        if connection is None or connection.session.client == client:
            return
        if connection.in_flight:
            self._around.log.warning("client changed under a call", backend=self.name)
        else:
            self._stop()

    def _lasts(self) -> None:
        """Say with what another worker can go on, if this one is killed."""
        connection = self._connection
        if connection is None or self.state is not State.READY:
            return
        custody = encode(self._figures(connection.lasting()))
        if custody != self._said:
            self._said = custody
            self._around.send(v1.Joined(self.name, connection.pid), custody)

    def _figures(self, custody: Custody) -> Custody:
        return msgspec.structs.replace(
            custody,
            restarts=self.restarts,
            last_error=self.last_error,
            skipped_lines=self.skipped_lines,
            fallen=self.pid is None and self._error is not None,
        )

    def _bring_up_to_date(self, connection: Connection, *, again: bool = False) -> None:
        """Tell a process what the client wants; *again*: though it may know."""
        session = connection.session
        if self._level is not None and (again or session.level != self._level):
            connection.apply(session.set_level(self._level))
        connection.apply(session.subscribe(self._uris or (), again=again))
        connection.apply(session.watch(self._tasks))
        self._lasts()

    @property
    @abc.abstractmethod
    def learning(self) -> bool:
        """Return whether its lists are unknown and still to be expected soon."""

    @property
    @abc.abstractmethod
    def start_timeout_seconds(self) -> float:
        """Return how long it may take until it is ready."""

    @abc.abstractmethod
    def introduce(self, client: Client) -> None:
        """Take the client it is to be initialised for, now known or changed."""

    @abc.abstractmethod
    def want(self) -> None:
        """Start it unless it runs or is on its way."""

    @abc.abstractmethod
    def _listed(self, lists: RawLists) -> None:
        """Its lists are there."""

    @abc.abstractmethod
    def _broke(self, reason: str) -> None:
        """It cannot be used as it is."""

    @abc.abstractmethod
    def _fell(self, reason: str) -> None:
        """It has closed a pipe."""

    @abc.abstractmethod
    def _stop(self) -> None:
        """End its process, though nothing is wrong with it."""
