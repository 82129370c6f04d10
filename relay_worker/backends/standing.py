"""What is the same of every backend, whatever carries it: how it stands, what is known of it, and
what the client wants of it.

How it comes and goes, and how a call gets there, is decided by those that extend this.
"""

import abc
from collections.abc import Iterable
from typing import ClassVar, Generic, Protocol, TypeVar

from relay_worker.backends.backoff import BackOff
from relay_worker.backends.base import Backend, Host, State, Watcher
from relay_worker.backends.client import Client
from relay_worker.backends.effects import Effect, Effects
from relay_worker.backends.promises import kept
from relay_worker.backends.surroundings import Surroundings, Terms
from relay_worker.lists import RawLists
from relay_worker.loop import Timer


class Conversing(Protocol):
    """What the client's wishes are put to: a `Session`, or a `Conversation`; `client` is whom the
    backend was greeted for.
    """

    client: Client

    @property
    def level(self) -> str | None:
        """Return the log level it was set to."""

    def set_level(self, level: str) -> Effects:
        """Set the log level."""

    def subscribe(self, uris: Iterable[str], *, again: bool = False) -> Effects:
        """Have updates of exactly these resources; *again*: whatever it was told before."""

    def note_subscription(self, uri: str, *, subscribed: bool) -> None:
        """Remember that a call of the client's changed a subscription."""


class Connected(Protocol):
    """A connection, of whatever kind."""

    @property
    def skipped_lines(self) -> int:
        """Return how many pieces of its output were no MCP."""

    @property
    def session(self) -> Conversing:
        """Return the session."""

    def apply(self, effects: Iterable[Effect], /) -> None:
        """Do what the session wants."""

    def pause(self, *, paused: bool) -> None:
        """Stop reading from it, or go on."""


C = TypeVar("C", bound=Connected)


class Standing(Backend, Generic[C]):
    """One backend, connected or not."""

    starting: ClassVar[frozenset[State]]

    def __init__(
        self, terms: Terms, kind: str, around: Surroundings, host: Host, watcher: Watcher
    ) -> None:
        self.name = terms.name
        self.kind = kind
        self.state = State.IDLE if terms.enabled else State.DISABLED
        self.lists: RawLists | None = None
        self.pid: int | None = None
        self.restarts = 0
        self.last_error: str | None = None
        self._error: str | None = None
        self._terms = terms
        self._around = around
        self._loop = around.loop
        self._host = host
        self._watcher = watcher
        self._client: Client | None = None
        self._connection: C | None = None
        self._back_off = BackOff(around.policy)
        self._timer: Timer | None = None
        self._learn_by: float | None = None
        self._learn_timer: Timer | None = None
        self._skipped_before = 0
        self._level: str | None = None
        self._uris: frozenset[str] | None = None  # nobody has said yet
        self._tasks: frozenset[str] = frozenset()
        self._paused = False

    # ---- how it stands ------------------------------------------------------------------------

    @property
    def skipped_lines(self) -> int:
        """Return how many pieces of what it sent were no MCP."""
        now = self._connection.skipped_lines if self._connection else 0
        return self._skipped_before + now

    @property
    def start_timeout_seconds(self) -> float:
        """Return how long it may take until it is ready."""
        return self._terms.start_timeout_seconds

    @property
    def learning(self) -> bool:
        """Return whether its lists are unknown and still to be expected soon."""
        if self.lists is not None or self.state not in self.starting:
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
        return self._around.log.redact(text + self._last_words())

    def _protocol_known(self) -> str:
        """Return the protocol it was found to speak; empty where that has to be found out."""
        return self.lists.protocol if self.lists else ""

    def _last_words(self) -> str:
        """Return what else it has left to be read by whoever wonders."""
        return ""

    # ---- what the client wants of it ------------------------------------------------------------

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

    def pause(self, *, paused: bool) -> None:
        """Stop reading from it, or go on."""
        self._paused = paused
        if self._connection:
            self._connection.pause(paused=paused)

    def _bring_up_to_date(self, connection: C, *, again: bool = False) -> None:
        """Tell it what the client wants; *again*: though it may know."""
        session = connection.session
        if self._level is not None and (again or session.level != self._level):
            connection.apply(session.set_level(self._level))
        connection.apply(session.subscribe(self._uris or (), again=again))
        self.watch(self._tasks)
        self._lasts()

    def _lasts(self) -> None:
        """Something changed that another worker has to know if this one is killed."""

    # ---- what becomes of it ---------------------------------------------------------------------

    def _become(self, state: State, *, keep_timer: bool = False) -> None:
        """Be in this state from now on."""
        before, self.state = self.state, state
        if state is not before:
            if self._timer and not keep_timer:
                self._timer.cancel()
            self._watcher.changed(self)

    def _note(self, error: str) -> None:
        """Remember what is wrong, until it is ready again, and for `status` longer than that."""
        self.last_error = self._error = error

    def _log_down(self) -> None:
        self._around.log.warning(f"backend is down: {self._error}", backend=self.name)

    def _learn_soon(self) -> None:
        """Expect its lists within the time it has to start, and say so when that is over."""
        self._learn_by = self._loop.now + self._terms.start_timeout_seconds
        self._learn_timer = self._loop.at(self._learn_by, lambda: self._watcher.changed(self))

    def _limit_start(self) -> None:
        """See to it that it is ready in time, counted from now."""
        if self._timer:
            self._timer.cancel()
        seconds = self._terms.start_timeout_seconds
        self._timer = self._loop.after(seconds, self._start_timed_out)

    @abc.abstractmethod
    def _start_timed_out(self) -> None:
        """It was not ready in time."""

    def _listed(self, lists: RawLists) -> None:
        """Its lists are there, for the first time or in a new version."""
        connection = self._connection
        if connection is None or self.state not in {State.CONNECTING, State.READY}:
            return
        lists = kept(lists, connection.session.client)
        if lists != self.lists:
            self.lists = lists
            self._watcher.learned(self)
        if self.state is State.READY:
            return
        self._connected()
        self._around.log.info("backend is ready", backend=self.name, tools=len(lists.tools))
        self._bring_up_to_date(connection)

    @abc.abstractmethod
    def _connected(self) -> None:
        """It takes calls from now on."""

    def _started_well(self) -> None:
        """Forget what was wrong before, and what there was to wait for."""
        self._error = None
        if self._learn_timer:
            self._learn_timer.cancel()  # a loop without timers takes shorter turns
        self._back_off.ready(self._loop.now)
