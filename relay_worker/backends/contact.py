"""What passes between a stdio backend and the relay while its process runs.

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
from relay_worker.backends.connection import Connection, Tell
from relay_worker.backends.mailbox import shared
from relay_worker.backends.standing import Standing
from relay_worker.backends.stdio import OUT_BYTES_MAX
from relay_worker.backends.surroundings import Plan, Surroundings


class Contact(Standing[Connection]):
    """One backend, with a process or without."""

    def __init__(self, plan: Plan, around: Surroundings, host: Host, watcher: Watcher) -> None:
        super().__init__(plan, "stdio", around, host, watcher)
        self._plan = plan
        self._numbers = itertools.count(1)
        self._said = b""

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

    def watch(self, tasks: frozenset[str]) -> None:
        """Hear of exactly these tasks of its own, now and whenever it is started."""
        self._tasks = tasks
        if self._connection and self.state is State.READY:
            self._connection.apply(self._connection.session.watch(tasks))
            self._lasts()

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
                tell=Tell(self._listed, self._lasts, self._broke, self._fell),
            )
        except (OSError, ValueError):
            for fd in ends.pipes:
                os.close(fd)
            raise

    def _suit(self, client: Client) -> None:
        """See to it that its process is one that was greeted for *client*."""
        connection = self._connection
        if connection is None or connection.session.client == client:
            return
        if connection.in_flight:
            self._around.log.warning("client changed under a call", backend=self.name)
        else:
            self._stop()

    def _last_words(self) -> str:
        tail = self._connection.stderr_tail() if self._connection else ""
        return f"\nIts last lines on stderr:\n{tail}" if tail else ""

    def _lasts(self) -> None:
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

    @abc.abstractmethod
    def _broke(self, reason: str) -> None:
        """It cannot be used as it is."""

    @abc.abstractmethod
    def _fell(self, reason: str) -> None:
        """It has closed a pipe."""

    @abc.abstractmethod
    def _stop(self) -> None:
        """End its process, though nothing is wrong with it."""
