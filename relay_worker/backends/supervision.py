"""A stdio backend's life: started, connected, restarted with back-off, stopped when idle.

It drives the table in `states` and reports every change. It asks the supervisor for the process
and never starts, signals or reaps one itself.
"""

from typing import Final

from relay_supervisor.wire import v1
from relay_supervisor.wire.errors import FrameTooLarge
from relay_supervisor.wire.ledger import Stage
from relay_worker.backends.backoff import exit_text
from relay_worker.backends.base import Host, State, Watcher
from relay_worker.backends.client import PROTOCOLS, Client
from relay_worker.backends.command import CommandError, resolve
from relay_worker.backends.contact import Contact
from relay_worker.backends.descriptors import DescriptorError
from relay_worker.backends.mailbox import bytes_for
from relay_worker.backends.states import STARTING, Event, advance
from relay_worker.backends.surroundings import Plan, Surroundings

CONNECT_ERRORS: Final = (DescriptorError, OSError, ValueError)
"""What may go wrong with the descriptors of a process."""

_RECEIVED: Final = Stage.RECEIVED.value

LINGER_SECONDS: Final = 0.1
"""So long the news of an exit may follow the end of a pipe; then the process is ended."""

EXIT_WAIT_SECONDS: Final = 0.5
"""So long it may take to end a process until its calls are answered; they tell its exit status."""


class StdioBackend(Contact):
    """A backend behind three pipes."""

    starting = STARTING

    def __init__(self, plan: Plan, around: Surroundings, host: Host, watcher: Watcher) -> None:
        super().__init__(plan, around, host, watcher)
        self._token = 0
        self._shies = False  # it has died of a question it did not know

    def introduce(self, client: Client) -> None:
        """Take the client it is to be initialised for, now known or changed."""
        self._client = client
        if self.state is State.IDLE:
            self._start_unasked()
        elif self.state in {State.CONNECTING, State.READY}:
            self._suit(client)

    def want(self) -> None:
        """Start it unless it runs or is on its way."""
        before = self.state
        self._advance(Event.WANTED)
        if self.state is not before:
            self._spawn()

    def spawned(self, message: v1.Spawned) -> None:
        """Its process runs: talk to it."""
        if message.token != self._token:
            return
        assert self._client is not None
        self.pid = message.pid
        self._around.life.groups.add(message.pid)
        self._advance(Event.SPAWNED, keep_timer=True)
        try:
            connection = self._connect(message, self._client)
        except CONNECT_ERRORS as error:
            self._broke(str(error))
            return
        self._skipped_before = self.skipped_lines
        self._connection = connection
        connection.pause(paused=self._paused)
        connection.start()

    def refused(self, message: v1.SpawnRefused) -> None:
        """Its process could not be started."""
        if message.token == self._token:
            self._note(f"it could not be started: {message.reason}")
            self._advance(Event.REFUSED)
            self._try_later()

    def exited(self, message: v1.Exited) -> None:
        """Its process is gone."""
        if message.pid != self.pid:
            return
        how = f"it {exit_text(message.status)}"
        expected = self.state is State.STOPPING
        if connection := self._connection:
            self._shies |= connection.session.probing and not expected
            connection.close()  # with the last replies it has written
        if self.state is State.ENDING:
            self._note(f"{self._error}; {how}")
        elif not expected and self.state is not State.LEAVING:
            self._note(how)
        self._left_by(message.pid)
        self._advance(Event.EXITED)
        self._lose("it was stopped" if expected else self._error or how)
        if self.state is State.BACKING_OFF:
            self._try_later()
        elif expected and (self.lists is None or not self._sleeps):
            self.want()  # it was stopped to meet another client

    @property
    def _sleeps(self) -> bool:
        return self._plan.lazy or self._plan.idle_stop_seconds > 0

    def _protocol_known(self) -> str:
        known = super()._protocol_known()
        return known or (PROTOCOLS[-1] if self._shies else "")

    def _start_unasked(self) -> None:
        """Start it though no call needs it, if its lists are unknown or it is to run always."""
        if self.lists is None or not self._plan.lazy:
            self.want()

    def _left_by(self, pid: int) -> None:
        """A process is not this worker's any more."""
        self._around.life.groups.discard(pid)
        self.pid = None
        self._said = b""

    def _advance(self, event: Event, *, keep_timer: bool = False) -> None:
        self._become(advance(self.state, event), keep_timer=keep_timer)

    def _spawn(self) -> None:
        plan = self._plan
        self.restarts += self._error is not None  # until it is ready again
        if self._learn_by is None:
            self._learn_soon()
        try:
            program = resolve(plan.argv[0], plan.env, plan.cwd)
            self._token = self._around.next_token()
            argv = [program, *plan.argv[1:]]
            size = bytes_for(self._around.policy.frame_bytes_max)
            self._around.send(v1.Spawn(self._token, self.name, argv, plan.env, plan.cwd, size))
        except (CommandError, FrameTooLarge) as error:
            self._note(str(error))
            self._log_down()
            self._back_off.failures += 1
            self._advance(Event.GIVEN_UP)
            return
        self._limit_start()

    def _start_timed_out(self) -> None:
        seconds = f"{self._plan.start_timeout_seconds:g} s (start_timeout_seconds)"
        if self.state is State.SPAWNING:
            self._note(f"the supervisor did not start it within {seconds}")
        else:
            self._broke(f"it did not answer initialize and its lists within {seconds}")

    def _connected(self) -> None:
        """It takes calls from now on."""
        self._started_well()
        self._advance(Event.CONNECTED)
        if self._plan.idle_stop_seconds:
            self._timer = self._loop.after(self._plan.idle_stop_seconds, self._stop_if_idle)

    def _stop_if_idle(self) -> None:
        connection = self._connection
        assert connection is not None
        busy = connection.in_flight or self._uris
        idle_since = self._loop.now if busy else connection.last_used
        due = idle_since + self._plan.idle_stop_seconds
        if due > self._loop.now:
            self._timer = self._loop.at(due, self._stop_if_idle)
        else:
            self._stop()

    def _stop(self) -> None:
        self._advance(Event.STOPPED)
        self._end_process()

    def _fell(self, reason: str) -> None:
        """A pipe is closed: the exit should be reported any moment, and says more."""
        if self.state in {State.CONNECTING, State.READY}:
            self._note(reason)
            self._advance(Event.FELL)
            self._timer = self._loop.after(LINGER_SECONDS, lambda: self._end(Event.LINGERED))

    def _broke(self, reason: str) -> None:
        """It cannot be used as it is."""
        if self.state in {State.CONNECTING, State.READY}:
            self._note(reason)
            self._end(Event.BROKE)

    def _end(self, event: Event) -> None:
        """Have what is left of the process ended."""
        self._advance(event)
        reason = self._error or ""
        self._timer = self._loop.after(EXIT_WAIT_SECONDS, lambda: self._lose(reason))
        self._end_process()

    def _end_process(self) -> None:
        if self._connection:
            self._connection.end_input()
        if self.pid is not None:
            self._around.send(v1.StopBackend(self.name, self.pid))

    def _lose(self, reason: str) -> None:
        """Report the calls that this process will not answer any more."""
        if self._connection:
            read, unread = self._connection.take_lost()
            self._host.lost(self, read, reason)
            for call in unread:
                self._around.ledger.mark(call, _RECEIVED)
            self._host.unread(self, unread, reason)

    def _try_later(self) -> None:
        self._log_down()
        delay = self._back_off.fell(self._loop.now)
        if delay is None:
            self._advance(Event.GIVEN_UP)
        else:
            self._timer = self._loop.after(delay, self._retry)

    def _retry(self) -> None:
        self._advance(Event.RETRY)
        self._spawn()
