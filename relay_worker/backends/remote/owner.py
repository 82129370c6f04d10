"""What a connection tells whoever supervises the backend, and what it passes on to the client."""

from typing import Protocol

from relay_worker.backends.base import Backend, Host
from relay_worker.backends.effects import Asked, Effect, Notified, Withdrew
from relay_worker.backends.remote.handover import Handover
from relay_worker.backends.remote.messages import Failure
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


def pass_on(host: Host, backend: Backend, pid: int, effect: Effect, call: int) -> None:
    """Tell *host* what a backend says to the client, known as *pid*, in the stream that is to
    answer *call*, if it is one. Its place in a stream is not known: what one worker has heard
    another does not hear again.
    """
    match effect:
        case Notified(method, params):
            host.notified(backend, method, params, 0, call)
        case Asked(raw_id, method, params):
            host.asked(backend, pid, raw_id, method, params, 0, call)
        case Withdrew(raw_id, params):
            host.withdrew(backend, pid, raw_id, params)
