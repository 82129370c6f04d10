"""A remote backend's life: connected, its session kept or replaced, tried again with back-off.

It drives the table in `states` and reports every change. Its process is somewhere else: all that
can be done about it is to ask again.
"""

from collections.abc import Callable

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.backends.base import Host, State, Watcher
from relay_worker.backends.client import Client
from relay_worker.backends.remote import handover as handovers
from relay_worker.backends.remote.connection import Connection
from relay_worker.backends.remote.handover import Handover
from relay_worker.backends.remote.login_watch import LoginWatch, LookAt
from relay_worker.backends.remote.messages import Address, Failure, Fault, Listener
from relay_worker.backends.remote.posts import OUT_BYTES_MAX, Out
from relay_worker.backends.remote.states import STARTING, Event, advance
from relay_worker.backends.standing import Standing
from relay_worker.backends.surroundings import Surroundings, Terms
from relay_worker.lists import RawLists

Connect = Callable[[str, Address, Listener], Out]


class RemotePlan(Terms, frozen=True, kw_only=True):
    """How one remote backend is reached, everything expanded. `spec_hash`: a session begun with
    the one serves for whatever has the same.
    """

    kind: str
    address: Address | None
    spec_hash: str = ""


class RemoteBackend(Standing[Connection]):
    """A backend behind a URL; implements `owner.Owner`."""

    starting = STARTING

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
        super().__init__(plan, plan.kind, around, host, watcher)
        self._plan = plan
        self._connect = connect
        self._login = LoginWatch(around.loop, look_at, self._retry)
        self._handover: Handover | None = None
        self._reported: Handover | None = None
        self._attending = True

    # ---- base.Backend -------------------------------------------------------------------------

    @property
    def modern(self) -> bool:
        """Return whether it is spoken to in the modern era."""
        return self._connection is not None and self._connection.modern

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

    def watch(self, tasks: frozenset[str]) -> None:
        """Hear of exactly these tasks of its own, now and whenever it is connected."""
        self._tasks = tasks
        if self._connection:
            self._connection.watch(tasks)

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
        self._listed(lists)

    def reopening(self) -> None:
        """Its session is lost, and another one is being begun."""
        self._around.log.info("its session is lost; another is begun", backend=self.name)
        self._advance(Event.REOPENED)
        self._limit_start()

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
        self._become(advance(self.state, event))

    def _connected(self) -> None:
        self._started_well()
        self._advance(Event.CONNECTED)

    def _start(self) -> None:
        assert self._client is not None
        self._login.stop()
        if self._learn_by is None:
            self._learn_soon()
        elif self._back_off.failures:
            self.restarts += 1
        self._limit_start()
        known = self._protocol_known()
        before = self._connection
        # Calls under way are answered there alone, whatever the client is by now.
        if before is not None and (before.calls or before.client is self._client):
            before.resume(known)
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
        connection.pause(paused=self._paused)
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

    def _start_timed_out(self) -> None:
        seconds = f"{self._plan.start_timeout_seconds:g} s (start_timeout_seconds)"
        text = f"it did not answer initialize and its lists within {seconds}"
        self.broke(Failure(Fault.CUT, text))

    def _try_later(self, failure: Failure) -> None:
        if failure.fault is Fault.LOGIN:
            self._await_login(failure)
            return
        self._log_down()
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
            self._log_down()
            self._give_up()
            return
        self._note(f"it wants a login; run: relayctl backend login {self.name} ({failure.text})")
        self._log_down()
        self._give_up()
        self._login.watch(address.tokens)
