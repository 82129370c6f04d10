"""A stdio backend's life: started, connected, restarted with back-off, stopped when idle.

It drives the table in `states` and reports every change. It asks the supervisor for the process
and never starts, signals or reaps one itself.
"""

import os
from typing import Final

from relay_supervisor.wire import custody as custodies
from relay_supervisor.wire import v1
from relay_supervisor.wire.errors import FrameTooLarge
from relay_worker.backends import frames
from relay_worker.backends.backoff import BackOff, exit_text
from relay_worker.backends.base import Host, State, Watcher
from relay_worker.backends.client import Client
from relay_worker.backends.command import CommandError, resolve
from relay_worker.backends.connection import Connection
from relay_worker.backends.descriptors import DescriptorError
from relay_worker.backends.mailbox import Mailbox, bytes_for
from relay_worker.backends.states import STARTING, Event, advance
from relay_worker.backends.stdio import OUT_BYTES_MAX
from relay_worker.backends.surroundings import Plan, Surroundings
from relay_worker.lists import RawLists
from relay_worker.loop import Timer

LINGER_SECONDS: Final = 0.1
"""So long the news of an exit may follow the end of a pipe; then the process is ended."""

EXIT_WAIT_SECONDS: Final = 0.5
"""So long it may take to end a process until its calls are answered; they tell its exit status."""


class StdioBackend:
    """A backend behind three pipes; implements `base.Backend`."""

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
        self._connection: Connection | None = None
        self._token = 0
        self._back_off = BackOff(around.policy)
        self._skipped_before = 0
        self._level: str | None = None
        self._uris: frozenset[str] = frozenset()
        self._paused = False
        self._timer: Timer | None = None
        self._learn_by: float | None = None
        self._told = b""

    @property
    def skipped_lines(self) -> int:
        """Return how many pieces of its output were no MCP."""
        now = self._connection.skipped_lines if self._connection else 0
        return self._skipped_before + now

    @property
    def start_timeout_seconds(self) -> float:
        """Return how long it may take until it is ready."""
        return self._plan.start_timeout_seconds

    @property
    def learning(self) -> bool:
        """Return whether its lists are unknown and still to be expected soon."""
        if self.lists is not None or self.state not in STARTING:
            return False
        return self._learn_by is None or self._loop.now < self._learn_by

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

    def introduce(self, client: Client) -> None:
        """Take the client it is to be initialised for, now known or changed."""
        changed = client != self._client
        self._client = client
        if self.state is State.IDLE:
            if self.lists is None or not self._plan.lazy:
                self.want()
        elif changed and self.state in {State.CONNECTING, State.READY}:
            self._meet_another()

    def _meet_another(self) -> None:
        """The client is not the one its process was greeted for."""
        if self._connection and self._connection.in_flight:
            self._around.log.warning("client changed under a call", backend=self.name)
        else:
            self._stop()

    def want(self) -> None:
        """Start it unless it runs or is on its way."""
        before = self.state
        self._advance(Event.WANTED)
        if self.state is not before:
            self._spawn()

    def call(self, call: int, method: str, params: bytes) -> str | None:
        """Send a request with number *call*; READY only. Returns why it was not sent, or None."""
        assert self._connection is not None
        if self._connection.call(call, method, params):
            return None
        return (
            f"Backend '{self.name}' does not read its input, and {OUT_BYTES_MAX >> 20} MiB wait "
            "for it already; the call was not sent."
        )

    def cancel(self, call: int, params: bytes, errand: int = 0) -> None:
        """Withdraw a call that was sent."""
        if self._connection:
            self._connection.cancel(call, params, errand)
        elif self.state is not State.AWAITED:
            self._around.done(errand)

    def answer(self, pid: int, raw_id: bytes, members: bytes, errand: int = 0) -> None:
        """Pass on the client's answer, if the process that asked still runs."""
        if pid == self.pid and self._connection:
            self._connection.write(frames.response(raw_id, members), errand)
        elif self.state is not State.AWAITED:
            self._around.done(errand)

    def notify(self, method: str, params: bytes, capability: str | None = None) -> None:
        """Send a notification, if READY and, where given, if it saw the client's *capability*."""
        connection = self._connection if self.state is State.READY else None
        if connection and (capability is None or connection.session.saw(capability)):
            connection.write(frames.notification(method, params))

    def set_level(self, level: str) -> None:
        """Set the log level, now and whenever it is started."""
        self._level = level
        if self._connection:
            self._connection.apply(self._connection.session.set_level(level))
            self._joined()

    def subscribe(self, uris: frozenset[str]) -> None:
        """Have updates of exactly these resources, now and whenever it is started."""
        self._uris = uris
        if self._connection:
            self._connection.apply(self._connection.session.subscribe(uris))
            self._joined()

    def subscribed(self, uri: str, *, wanted: bool) -> None:
        """Take note that a call of the client's changed a subscription."""
        self._uris = self._uris | {uri} if wanted else self._uris - {uri}
        if self._connection:
            self._connection.session.note_subscription(uri, subscribed=wanted)
            self._joined()

    def pause(self, *, paused: bool) -> None:
        """Stop reading from it, or go on."""
        self._paused = paused
        if self._connection:
            self._connection.pause(paused=paused)

    def spawned(self, message: v1.Spawned) -> None:
        """Its process runs: talk to it."""
        if message.token != self._token:
            return
        assert self._client is not None
        self.pid, self._told = message.pid, b""
        self._around.life.groups.add(message.pid)
        self._advance(Event.SPAWNED, keep_timer=True)
        try:
            self._connection = self._connect(message.pid, message.token, self._client)
        except (DescriptorError, OSError, ValueError) as error:
            self._broke(str(error))
            return
        self._greet(self._connection)

    def _connect(
        self, pid: int, token: int, client: Client, parsed: int | None = None
    ) -> Connection:
        """Join the process whose descriptors came with *token*.

        Raises:
            DescriptorError, OSError, ValueError: they did not, or cannot be used.
        """
        stdin, stdout, stderr, *mailbox = self._around.descriptors.take(token)
        try:
            fd = mailbox[0] if mailbox else -1
            memory = Mailbox(self._around.policy.frame_bytes_max, fd, parsed)
        except (OSError, ValueError):
            for fd in (stdin, stdout, stderr):
                os.close(fd)
            raise
        finally:
            for fd in mailbox:
                os.close(fd)
        self._skipped_before = self.skipped_lines
        connection = Connection(
            self._around,
            self,
            self._host,
            self._watcher,
            client,
            pid=pid,
            fds=(stdin, stdout, stderr),
            mailbox=memory,
            on_listed=self._listed,
            on_broken=self._broke,
            on_closed=self._fell,
        )
        connection.pause(paused=self._paused)
        return connection

    def _greet(self, connection: Connection) -> None:
        """A process has come: begin the conversation."""
        connection.start()

    def refused(self, message: v1.SpawnRefused) -> None:
        """Its process could not be started."""
        if message.token == self._token:
            self._note(f"it could not be started: {message.reason}")
            self._advance(Event.REFUSED)
            self._try_later()
            self._came_to_rest()

    def exited(self, message: v1.Exited) -> None:
        """Its process is gone."""
        if message.pid != self.pid:
            return
        how = exit_text(message.status)
        expected = self.state is State.STOPPING
        if self._connection:
            self._connection.close()  # with the last replies it has written
        if self.state is State.ENDING:
            self._note(f"{self._error}; it {how}")
        elif not expected:
            self._note(f"it {how}")
        self._around.life.groups.discard(message.pid)
        self.pid = None
        self._advance(Event.EXITED)
        self._lose("it was stopped" if expected else self._error or how)
        if not expected:
            self._try_later()
        elif self.lists is None or not (self._plan.lazy or self._plan.idle_stop_seconds):
            self.want()  # it was stopped to meet another client
        self._came_to_rest()

    def _came_to_rest(self) -> None:
        """Its process is gone, or did not come."""

    def _note(self, error: str) -> None:
        """Remember what is wrong, until it is ready again, and for `status` longer than that."""
        self.last_error = self._error = error

    def _advance(self, event: Event, *, keep_timer: bool = False) -> None:
        before = self.state
        self.state = advance(before, event)
        if self.state is not before:
            if self._timer and not keep_timer:
                self._timer.cancel()
            self._watcher.changed(self)

    def _spawn(self) -> None:
        plan = self._plan
        if self._learn_by is None:
            self._learn_by = self._loop.now + plan.start_timeout_seconds
            self._loop.at(self._learn_by, lambda: self._watcher.changed(self))
        elif self._back_off.failures:
            self.restarts += 1
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

    def _limit_start(self) -> None:
        self._timer = self._loop.after(self._plan.start_timeout_seconds, self._start_timed_out)

    def _start_timed_out(self) -> None:
        seconds = f"{self._plan.start_timeout_seconds:g} s (start_timeout_seconds)"
        if self.state is State.SPAWNING:
            self._note(f"the supervisor did not start it within {seconds}")
        else:
            self._broke(f"it did not answer initialize and its lists within {seconds}")

    def _listed(self, lists: RawLists) -> None:
        connection = self._connection
        if connection is None or self.state not in {State.CONNECTING, State.READY}:
            return
        if lists != self.lists:
            self.lists = lists
            self._watcher.learned(self)
        if self.state is State.READY:
            return
        self._error = None
        self._advance(Event.CONNECTED)
        self._around.log.info("backend is ready", backend=self.name, tools=len(lists.tools))
        self._back_off.ready(self._loop.now)
        self._watch_idle()
        if self._level is not None:
            connection.apply(connection.session.set_level(self._level))
        connection.apply(connection.session.subscribe(self._uris))
        self._joined()

    def _watch_idle(self) -> None:
        if self._plan.idle_stop_seconds:
            self._timer = self._loop.after(self._plan.idle_stop_seconds, self._stop_if_idle)

    def _joined(self) -> None:
        """What another worker has to know of it has changed."""
        if self._connection and self.state is State.READY:
            payload = custodies.encode(self._connection.session.lasting())
            if payload != self._told:
                self._told = payload
                self._around.send(v1.Joined(self.name, self._connection.pid), payload)

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
            self._host.unread(self, unread, reason)

    def _try_later(self) -> None:
        self._log_down()
        delay = self._back_off.fell(self._loop.now)
        if delay is None:
            self._advance(Event.GIVEN_UP)
        else:
            self._timer = self._loop.after(delay, self._retry)

    def _log_down(self) -> None:
        self._around.log.warning(f"backend is down: {self._error}", backend=self.name)

    def _retry(self) -> None:
        self._advance(Event.RETRY)
        self._spawn()
