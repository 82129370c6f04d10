"""A stdio backend that one worker gives back and another takes over, while its process runs on.

The other half of `relay_supervisor.core.custody`; what passes between them is in `wire.custody`.
"""

import msgspec

from relay_supervisor.wire import custody as custodies
from relay_supervisor.wire import v1
from relay_supervisor.wire.custody import Custody
from relay_supervisor.wire.ledger import Stage
from relay_worker.backends.base import State
from relay_worker.backends.client import Client
from relay_worker.backends.connection import Connection
from relay_worker.backends.descriptors import DescriptorError
from relay_worker.backends.states import Event
from relay_worker.backends.supervision import StdioBackend

UNMOVED = frozenset({State.SPAWNING, State.STOPPING, State.FALLEN, State.ENDING})
"""A process is about to come or to go: it is given back when that is over."""

PHASE_READY = "ready"


class MovableBackend(StdioBackend):
    """See `StdioBackend`. `leaving`: it is to be given back as soon as that can be."""

    leaving = False

    def wait_for_it(self) -> None:
        """Another worker has it: do not start it."""
        if self.state is State.IDLE:
            self._advance(Event.AWAIT)

    def freeze(self) -> None:
        """Give it back, at once where its process is neither just coming nor going."""
        if self.state is State.AWAITED:
            return
        self.leaving = True
        if self.state not in UNMOVED:
            self._leave()
        elif self.state is State.FALLEN:
            self._end(Event.LINGERED)  # do not wait for an exit that may not come

    def adopt(self, message: v1.Adopt, payload: bytes) -> None:
        """It is ours again, or for the first time."""
        if self.state is not State.AWAITED:
            return self._refuse(message, f"it is {self.state.word} here already")
        custody = custodies.decode(payload) if payload else Custody()
        if custody is None:
            return self._refuse(message, "nothing can be made of what it was left with")
        self.restarts, self.last_error = custody.restarts, custody.last_error
        if not message.pid:
            self._advance(Event.GRANTED)
            if self._client is not None and (self.lists is None or not self._plan.lazy):
                self.want()
            return None
        try:
            self._go_on(message, custody)
        except (DescriptorError, OSError, ValueError, KeyError) as error:
            self._refuse(message, str(error))
        return None

    def stderr(self, message: v1.Stderr, data: bytes) -> None:
        """Take in what its process wrote to stderr while no worker read that."""
        if self._connection and message.pid == self.pid:
            self._connection.stderr(data)

    def _refuse(self, message: v1.Adopt, reason: str) -> None:
        self._around.send(v1.Adopted(self.name, message.pid, reason))

    def _go_on(self, message: v1.Adopt, custody: Custody) -> None:
        greeted = Client(custody.client, frozenset(custody.capabilities))
        parsed = None if message.crashed else custody.parsed
        connection = self._connect(message.pid, message.token, greeted, parsed)
        numbers = [call.call for call in message.calls]
        self._note_in_ledger(numbers, custody)
        self._skipped_before += custody.skipped_lines
        self.pid, self._connection, self._told = message.pid, connection, b""
        self._around.life.groups.add(message.pid)
        ready = custody.phase == PHASE_READY and not (message.crashed and self.lists is None)
        self._advance(Event.ADOPTED_READY if ready else Event.ADOPTED)
        self._host.took_over(self, message.calls)
        if custody.phase == "new":
            self._limit_start()
            self._greet(connection)
        else:
            connection.go_on(custody, numbers, self.lists, crashed=message.crashed)
            if ready:
                self._resume(connection, greeted, crashed=message.crashed)
            else:
                self._limit_start()
        self._around.send(v1.Adopted(self.name, message.pid))
        self._joined()

    def _note_in_ledger(self, calls: list[int], custody: Custody) -> None:
        ledger = self._around.ledger
        unsent = {one.number for one in custody.outbox if one.number}
        for number in {*calls, *unsent}:
            ledger.take(number)
            if number not in unsent:
                ledger.mark(number, Stage.WRITTEN.value)

    def _resume(self, connection: Connection, greeted: Client, *, crashed: bool) -> None:
        """It takes calls: bring it to where this worker wants it."""
        session = connection.session
        if self._level is not None and (crashed or session.level != self._level):
            connection.apply(session.set_level(self._level))
        connection.apply(session.subscribe(self._uris))
        self._watch_idle()
        if self._client is not None and self._client != greeted:
            self._meet_another()

    def _leave(self) -> None:
        """Give it back as it is."""
        self.leaving = False
        if self._timer:
            self._timer.cancel()
        self._host.give_back_waiting()
        custody, pid = Custody(), 0
        unsent: list[int] = []
        calls: list[int] = []
        if self._connection is not None and self.pid is not None:
            pid, calls = self.pid, list(self._connection.in_flight)
            custody, unsent = self._connection.leave()
            self._around.life.groups.discard(pid)
        custody = msgspec.structs.replace(
            custody,
            restarts=self.restarts,
            last_error=self.last_error,
            skipped_lines=self.skipped_lines,
        )
        self._connection = self.pid = None
        self._skipped_before = 0
        self._advance(Event.LEFT)
        self._host.gave_back(self, calls)
        self._around.send(v1.Frozen(self.name, pid, unsent), custodies.encode(custody))
        for number in {*calls, *unsent}:
            self._around.when_written(self._around.ledger.release, number)

    def _greet(self, connection: Connection) -> None:
        if self.leaving:
            self._leave()
        else:
            super()._greet(connection)

    def _came_to_rest(self) -> None:
        if self.leaving and self.state not in UNMOVED:
            self._leave()
