"""How a stdio backend goes to another worker, and comes from one, with its process running.

Only one worker at a time reads, writes or ends a process: after `Frozen` this one touches nothing
of it any more, and before `Adopt` nothing of it yet. What is handed over besides descriptors and
mailbox is in `wire.custody`.
"""

import contextlib

from relay_supervisor.wire import v1
from relay_supervisor.wire.custody import Custody, decode, encode
from relay_supervisor.wire.ledger import Stage
from relay_worker.backends.base import State
from relay_worker.backends.client import Client
from relay_worker.backends.descriptors import DescriptorError
from relay_worker.backends.session import Phase
from relay_worker.backends.states import Event
from relay_worker.backends.supervision import CONNECT_ERRORS, EXIT_WAIT_SECONDS, StdioBackend

_WRITTEN = Stage.WRITTEN.value


class MovableBackend(StdioBackend):
    """A stdio backend that can be another worker's at times."""

    # ---- going ------------------------------------------------------------------------------

    def expect(self) -> None:
        """Another worker has it, and it will come."""
        self._advance(Event.FREEZE)

    def freeze(self) -> None:
        """Give it back, at once where its process is neither just coming nor going."""
        before, connection = self.state, self._connection
        if before in {State.LEAVING, State.AWAITED}:
            return
        self._advance(Event.FREEZE, keep_timer=before is State.ENDING)
        if self.state is not State.LEAVING:
            if connection is not None and self.pid is not None:
                self._hand_over(*connection.freeze())
            else:
                self._hand_over(Custody(), [])
        elif before is State.FALLEN:  # waited for its exit so far, and may linger
            reason = self._error or ""
            self._timer = self._loop.after(EXIT_WAIT_SECONDS, lambda: self._lose(reason))
            self._end_process()

    def spawned(self, message: v1.Spawned) -> None:
        """Its process runs."""
        if self.state is not State.LEAVING or message.token != self._token:
            super().spawned(message)
            return
        try:
            self._around.descriptors.take(message.token).close()
        except DescriptorError as error:
            self._note(str(error))  # whoever has it next gets others
        self.pid = message.pid
        self._advance(Event.SPAWNED)
        self._hand_over(Custody(), [])

    def refused(self, message: v1.SpawnRefused) -> None:
        """Its process could not be started."""
        if self.state is not State.LEAVING or message.token != self._token:
            super().refused(message)
            return
        self._note(f"it could not be started: {message.reason}")
        self._advance(Event.REFUSED)
        self._hand_over(Custody(), [])

    def exited(self, message: v1.Exited) -> None:
        """Its process is gone."""
        leaving = self.state is State.LEAVING and message.pid == self.pid
        super().exited(message)
        if leaving:
            self._hand_over(Custody(), [])

    def _hand_over(self, left: Custody, calls: list[int]) -> None:
        """Say how it is left; the calls are in this worker's ledger until that has arrived."""
        around, pid = self._around, self.pid or 0
        self._skipped_before, self._connection = self.skipped_lines, None
        unsent = [frame.number for frame in left.outbox if frame.number]
        around.send(v1.Frozen(self.name, pid, unsent), encode(self._figures(left)))
        for number in {*calls, *unsent}:
            around.when_written(around.ledger.release, number)
        self._left_by(pid)
        self._host.frozen(self, calls)

    # ---- coming -----------------------------------------------------------------------------

    def adopt(self, message: v1.Adopt, payload: bytes) -> None:
        """Take it over, or say why that cannot be."""
        left = decode(payload) if payload else Custody()
        if left is None and message.pid:
            self._refuse_unseen(message, "what it is left in cannot be read")
        elif self.state not in {State.AWAITED, State.DISABLED}:
            self._refuse_unseen(message, "nobody has said that it is to come")
        elif left is not None and message.pid:
            self._take_over(message, left)
        else:
            if payload and left is not None:  # else nothing is known, or nobody can read it
                self._take_figures(left)
            self._advance(Event.FREED)
            if self._client is not None:
                self._start_unasked()

    def _take_over(self, message: v1.Adopt, left: Custody) -> None:
        client = Client.left(left.client, left.capabilities)
        if self._client is not None and (left.phase == Phase.NEW.word or self._client == client):
            client = self._client  # which says more of itself
        try:
            connection = self._connect(message, client, None if message.crashed else left.parsed)
        except CONNECT_ERRORS as error:
            self._refuse(message, str(error))
            return
        try:
            unsent, effects = connection.resume(
                left, message.calls, self.lists, crashed=message.crashed
            )
        except ValueError as error:
            connection.freeze()
            self._refuse(message, str(error))
            return
        self._take_figures(left)
        if self._uris is None:  # until the catalogue tells whose they are, they stay
            self._uris = frozenset(left.subscribed)
        self._enter(message, unsent)
        self._connection = connection
        self._around.send(v1.Adopted(self.name, message.pid))
        self._host.adopted(self, message.calls)
        connection.pause(paused=self._paused)
        ready = connection.session.phase is Phase.READY
        if ready:
            self._connected()
        else:
            self._limit_start()
        connection.apply(effects)
        if ready:
            self._bring_up_to_date(connection, again=message.crashed)
        connection.go_on(left, message.calls)
        connection.look()
        if self._client is not None and self.state in {State.CONNECTING, State.READY}:
            self._suit(self._client)

    def _enter(self, message: v1.Adopt, unsent: set[int]) -> None:
        """Take note of the process, and in the ledger of what it works on."""
        around = self._around
        self.pid = message.pid
        around.life.groups.add(message.pid)
        written = {call.call for call in message.calls} - unsent
        for number in written | unsent:
            around.ledger.take(number)
        for call in written:
            around.ledger.mark(call, _WRITTEN)
        self._learn_soon()
        self._advance(Event.ADOPTED)

    def _take_figures(self, left: Custody) -> None:
        self.restarts, self.last_error = left.restarts, left.last_error
        self._error = left.last_error if left.fallen else None
        self._skipped_before, self._connection = left.skipped_lines, None

    def _refuse_unseen(self, message: v1.Adopt, reason: str) -> None:
        # This worker lives on, and as long as it has them the process sees no end of its input.
        with contextlib.suppress(DescriptorError):
            self._around.descriptors.take(message.token).close()
        self._refuse(message, reason)

    def _refuse(self, message: v1.Adopt, reason: str) -> None:
        self._note(f"it could not be taken over: {reason}")
        self._around.log.error(f"cannot take it over: {reason}", backend=self.name)
        self._around.send(v1.Adopted(self.name, message.pid, reason))
