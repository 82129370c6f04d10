"""A remote backend's life: connected, its session kept or replaced, tried again with back-off.

It drives the table in `states` and reports every change. Its process is somewhere else: all that
can be done about it is to ask again.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.backends.backoff import BackOff
from relay_worker.backends.base import Host, State, Watcher
from relay_worker.backends.client import Client
from relay_worker.backends.remote import handover as handovers
from relay_worker.backends.remote.connection import Connection
from relay_worker.backends.remote.handover import Handover
from relay_worker.backends.remote.messages import Address, Failure, Fault, Listener
from relay_worker.backends.remote.posts import OUT_BYTES_MAX, Out
from relay_worker.backends.remote.states import STARTING, Event, advance
from relay_worker.backends.surroundings import Surroundings
from relay_worker.lists import RawLists
from relay_worker.loop import Timer

LOGIN_POLL_SECONDS: Final = 2.0
"""How often it is looked whether somebody has logged in, while that is what is missing."""

Connect = Callable[[str, Address, Listener], Out]
LookAt = Callable[[str, Callable[[object], None]], None]
"""Finds out, off the loop, what is at a path, and tells it in the loop: something that compares
unequal once the file was replaced.
"""


class RemotePlan(msgspec.Struct, frozen=True):
    """How one remote backend is reached, everything expanded. `spec_hash`: a session begun with
    the one serves for whatever has the same.
    """

    name: str
    kind: str
    address: Address | None
    spec_hash: str = ""
    enabled: bool = True
    lazy: bool = False
    start_timeout_seconds: float = 120.0

    def __repr__(self) -> str:
        return f"RemotePlan({self.name!r})"


class RemoteBackend:
    """A backend behind a URL; implements `base.Backend` and `owner.Owner`."""

    pid: int | None = None

    def __init__(
        self,
        plan: RemotePlan,
        around: Surroundings,
        host: Host,
        watcher: Watcher,
        *,
        connect: Connect,
        look_at: LookAt,
    ) -> None:
        self.name = plan.name
        self.kind = plan.kind
        self.state = State.IDLE if plan.enabled and plan.address else State.DISABLED
        self.lists: RawLists | None = None
        self.restarts = 0
        self.last_error: str | None = None
        self._error: str | None = None
        self._plan = plan
        self._around = around
        self._loop = around.loop
        self._host = host
        self._watcher = watcher
        self._connect = connect
        self._look_at = look_at
        self._login_seen: object = None
        self._client: Client | None = None
        self._connection: Connection | None = None
        self._handover: Handover | None = None
        self._reported: Handover | None = None
        self._attending = True
        self._back_off = BackOff(around.policy)
        self._skipped_before = 0
        self._level: str | None = None
        self._uris: frozenset[str] = frozenset()
        self._tasks: frozenset[str] = frozenset()
        self._paused = False
        self._timer: Timer | None = None
        self._learn_by: float | None = None

    # ---- base.Backend -------------------------------------------------------------------------

    @property
    def skipped_lines(self) -> int:
        """Return how many pieces of what it sent were no MCP."""
        now = self._connection.skipped_lines if self._connection else 0
        return self._skipped_before + now

    @property
    def start_timeout_seconds(self) -> float:
        """Return how long it may take until it is ready."""
        return self._plan.start_timeout_seconds

    @property
    def modern(self) -> bool:
        """Return whether it is spoken to in the modern era."""
        return self._connection is not None and self._connection.modern

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
        return self._around.log.redact(f"{text}: {self._error}" if self._error else text)

    def introduce(self, client: Client) -> None:
        """Take the client it is to be initialised for, now known or changed."""
        before = self._client
        changed = before is None or (client, client.envelope) != (before, before.envelope)
        if changed:
            self._client = client
        connection = self._connection
        if self.state is State.IDLE:
            if self.lists is None or not self._plan.lazy:
                self.want()
        elif changed and self.state in {State.CONNECTING, State.READY} and connection:
            if connection.calls:
                self._around.log.warning("client changed under a call", backend=self.name)
            else:
                self._disconnect(farewell=True)
                self._advance(Event.STOPPED)
                self.want()

    def want(self) -> None:
        """Connect to it unless it is connected or on its way."""
        before = self.state
        self._advance(Event.WANTED)
        if self.state is not before:
            self._start()

    def call(self, call: int, method: str, params: bytes) -> str | None:
        """Send a request with number *call*; READY only. Returns why it was not sent, or None."""
        assert self._connection is not None
        if self._connection.call(call, method, params):
            return None
        return (
            f"Backend '{self.name}' does not take what it is sent, and {OUT_BYTES_MAX >> 20} MiB "
            "wait for it already; the call was not sent."
        )

    def cancel(self, call: int, params: bytes, errand: int = 0) -> bool:
        """Withdraw a call that was sent; a worker's death withdraws it as well, so the *errand* is
        void at once.
        """
        if self._connection:
            self._connection.cancel(call, params)
        return False

    def answer(self, pid: int, raw_id: bytes, members: bytes, errand: int = 0) -> bool:
        """Pass on the client's answer, if the connection is still the one it was asked on; no other
        worker could, so the *errand* is void at once.
        """
        if self._connection and pid == self._connection.pid:
            self._connection.answer(raw_id, members)
        return False

    def notify(self, method: str, params: bytes, capability: str | None = None) -> None:
        """Send a notification, if READY and, where given, if it saw the client's *capability*. Of
        two workers that share a session only the one that serves does, as both are told.
        """
        connection = self._connection if self.state is State.READY and self._attending else None
        if connection and (capability is None or connection.session.saw(capability)):
            connection.write(frames.notification(method, params))

    def set_level(self, level: str) -> None:
        """Set the log level, now and whenever it is connected."""
        self._level = level
        if self._connection:
            self._connection.apply(self._connection.session.set_level(level))

    def subscribe(self, uris: frozenset[str]) -> None:
        """Have updates of exactly these resources, now and whenever it is connected."""
        self._uris = uris
        if self._connection:
            self._connection.apply(self._connection.session.subscribe(uris))

    def subscribed(self, uri: str, *, wanted: bool) -> None:
        """Take note that a call of the client's changed a subscription."""
        self._uris = self._uris | {uri} if wanted else self._uris - {uri}
        if self._connection:
            self._connection.session.note_subscription(uri, subscribed=wanted)

    def watch(self, tasks: frozenset[str]) -> None:
        """Hear of exactly these tasks of its own, now and whenever it is connected."""
        self._tasks = tasks
        if self._connection:
            self._connection.watch(tasks)

    def pause(self, *, paused: bool) -> None:
        """Stop reading from it, or go on."""
        self._paused = paused
        if self._connection:
            self._connection.line.pause(paused=paused)

    # ---- from the supervisor ----------------------------------------------------------------

    def known(self, message: v1.KnownSession, payload: bytes) -> None:
        """Take over the session of another worker, to go on with when connected."""
        if message.spec_hash == self._plan.spec_hash and self._connection is None:
            self._handover = handovers.decode(payload)

    def attend(self, *, attending: bool) -> None:
        """Hear what it says by itself, or leave that to another worker."""
        self._attending = attending
        if self._connection:
            self._connection.attend(attending=attending)

    def farewell(self) -> None:
        """The relay ends: have the server forget the session."""
        if self._connection:
            self._connection.close(farewell=True)

    # ---- owner.Owner ------------------------------------------------------------------------

    def listed(self, lists: RawLists) -> None:
        """The lists are known, for the first time or in a new version."""
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
        if self._level is not None:
            connection.apply(connection.session.set_level(self._level))
        connection.apply(connection.session.subscribe(self._uris))
        connection.watch(self._tasks)

    def reopening(self) -> None:
        """Its session is lost, and another one is being begun."""
        self._around.log.info("its session is lost; another is begun", backend=self.name)
        self._advance(Event.REOPENED)
        self._await_start()

    def broke(self, failure: Failure, *, lost: bool = False) -> None:
        """It cannot be used as it is."""
        connection = self._connection
        if self.state in {State.CONNECTING, State.READY}:
            self._note(failure.text)
            self._advance(Event.BROKE)
            self._try_later(failure)
        if lost and connection:
            self._disconnect(farewell=False)
            for call in connection.calls.take():
                text = self._around.log.redact(failure.text)
                self._host.unfinished(self, call, text, may_have_run=True)

    def began(self, session: Handover | None) -> None:
        """This is the session it is in: the supervisor keeps it for the next worker."""
        self._handover = session
        if session != self._reported:
            self._reported = session
            payload = handovers.encode(session) if session else b""
            self._around.send(v1.LearnedSession(self.name, self._plan.spec_hash), payload)

    # ---- its life ---------------------------------------------------------------------------

    def _advance(self, event: Event) -> None:
        before = self.state
        self.state = advance(before, event)
        if self.state is not before:
            if self._timer:
                self._timer.cancel()
            self._watcher.changed(self)

    def _note(self, error: str) -> None:
        """Remember what is wrong, until it is ready again, and for `status` longer than that."""
        self.last_error = self._error = error

    def _start(self) -> None:
        assert self._client is not None
        if self._learn_by is None:
            self._learn_by = self._loop.now + self._plan.start_timeout_seconds
            self._loop.at(self._learn_by, lambda: self._watcher.changed(self))
        elif self._back_off.failures:
            self.restarts += 1
        self._await_start()
        known = self.lists.protocol if self.lists else ""
        if self._connection is not None and self._connection.client is self._client:
            self._connection.resume(known)
            return
        address = self._plan.address
        assert address is not None
        self._disconnect(farewell=True)
        self._connection = connection = Connection(
            self._around,
            self,
            self._host,
            self._watcher,
            self,
            self._client,
            pid=self._around.generation << 32 | self._around.next_token(),
            connect=lambda listener: self._connect(self.kind, address, listener),
        )
        connection.attend(attending=self._attending)
        connection.line.pause(paused=self._paused)
        handover = self._handover
        if handover is not None and handover.client == self._client.params:
            connection.begin(known, handover)
        else:
            connection.begin(known)

    def _disconnect(self, *, farewell: bool) -> None:
        self._skipped_before = self.skipped_lines
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(farewell=farewell)
            if farewell:
                self.began(None)

    def _await_start(self) -> None:
        self._timer = self._loop.after(self._plan.start_timeout_seconds, self._start_timed_out)

    def _start_timed_out(self) -> None:
        seconds = f"{self._plan.start_timeout_seconds:g} s (start_timeout_seconds)"
        text = f"it did not answer initialize and its lists within {seconds}"
        self.broke(Failure(Fault.CUT, text))

    def _try_later(self, failure: Failure) -> None:
        if failure.fault is Fault.LOGIN:
            self._await_login(failure)
            return
        self._around.log.warning(f"backend is down: {self._error}", backend=self.name)
        delay = self._back_off.fell(self._loop.now)
        if delay is None:
            self._give_up()
            return
        longest = self._around.policy.restart_delay_max_seconds
        delay = max(delay, min(failure.retry_after_seconds, longest))
        self._timer = self._loop.after(delay, self._retry)

    def _give_up(self) -> None:
        self._advance(Event.GIVEN_UP)
        if connection := self._connection:
            calls = connection.calls.take(waiting_only=True)
            self._host.unread(self, calls, self._error or "")

    def _retry(self) -> None:
        self._advance(Event.RETRY)
        self._start()

    def _await_login(self, failure: Failure) -> None:
        """It wants to know who we are: that is for the user, who need not restart anything."""
        address = self._plan.address
        assert address is not None
        if not address.tokens:
            self._note(f"{failure.text}; check its headers in the configuration")
            self._around.log.warning(f"backend is down: {self._error}", backend=self.name)
            self._give_up()
            return
        self._note(f"it wants a login; run: relayctl backend login {self.name} ({failure.text})")
        self._around.log.warning(f"backend is down: {self._error}", backend=self.name)
        self._give_up()
        self._login_seen = None
        self._look_for_login()

    def _look_for_login(self) -> None:
        address = self._plan.address
        assert address is not None
        self._look_at(address.tokens, self._login_looked_at)

    def _login_looked_at(self, found: object) -> None:
        if self.state is not State.FAILED:
            return
        if self._login_seen is not None and found != self._login_seen:
            self._retry()
            return
        self._login_seen = found
        self._timer = self._loop.after(LOGIN_POLL_SECONDS, self._look_for_login)
