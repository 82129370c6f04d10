"""What a connection tells whoever supervises the backend, and how it keeps a call. Plain words."""

from typing import Protocol

import msgspec

from relay_worker.backends.base import Backend, Host
from relay_worker.backends.effects import Asked, Effect, Notified, Withdrew
from relay_worker.backends.remote.handover import Handover
from relay_worker.backends.remote.messages import NOT_RUN, Failure, Fault
from relay_worker.backends.remote.speech import Spoken
from relay_worker.lists import RawLists


class Owner(Protocol):
    """Whom a connection tells what has become of it."""

    def listed(self, lists: RawLists) -> None:
        """The lists are known: it is ready for calls."""

    def reopening(self) -> None:
        """The session is lost, and another one is being begun."""

    def broke(self, failure: Failure, *, lost: bool = False) -> None:
        """It cannot be used as it is; *lost*: neither can what is under way."""

    def began(self, session: Handover | None) -> None:
        """This is the session it is in, None where its server names none."""


class Flight(msgspec.Struct):
    """A call under way: its frame, if it is to have one, and the number of the attempt to send it,
    0 while it waits for a session. `again`: the session it was sent in before was lost.
    """

    spoken: Spoken | None
    number: int = 0
    again: bool = False


def report(host: Host, backend: Backend, call: int, failure: Failure) -> None:
    """Tell *host* what has become of a call that failed."""
    if failure.fault is Fault.UNREACHED:
        host.unread(backend, [call], failure.text)
    elif failure.fault is Fault.UNREADABLE:
        host.unusable(backend, call, failure.text)
    else:
        may_have_run = failure.fault not in NOT_RUN
        host.unfinished(backend, call, failure.text, may_have_run=may_have_run)


def pass_on(host: Host, backend: Backend, pid: int, effect: Effect) -> None:
    """Tell *host* what a backend says to the client, known as *pid*."""
    match effect:
        case Notified(method, params):
            host.notified(backend, method, params)
        case Asked(raw_id, method, params):
            host.asked(backend, pid, raw_id, method, params)
        case Withdrew(raw_id, params):
            host.withdrew(backend, pid, raw_id, params)
