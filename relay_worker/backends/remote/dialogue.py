"""The session with a remote server, and the words it is spoken to in. No I/O, no clock.

Which era that is, is found out by trying; with each try, and whenever the server has lost the
session, another one begins. What is said in it goes out by the connection.
"""

from collections.abc import Sequence

import msgspec

from relay_worker.backends import frames
from relay_worker.backends.client import Client
from relay_worker.backends.effects import Effect
from relay_worker.backends.remote import handover as handovers
from relay_worker.backends.remote.eras import Eras
from relay_worker.backends.remote.handover import Handover
from relay_worker.backends.remote.messages import SESSION_HEADER, VERSION_HEADER, Failure
from relay_worker.backends.session import LIST_CHANGED, Phase, Session
from relay_worker.backends.surroundings import Surroundings


class Dialogue:
    """`speech` has the words of the era; `name` is what the server calls the session, or empty."""

    def __init__(self, backend: str, kind: str, client: Client, around: Surroundings) -> None:
        self.client = client
        self.name = ""
        self._backend = backend
        self._kind = kind
        self._around = around
        self._handed_over = False
        self._eras = Eras(kind, client, "")
        self.speech = self._eras.next()
        self.session = self._new_session()

    @property
    def probing(self) -> bool:
        """Return whether the server may not understand the era, and there is another one to try."""
        return self.speech.modern and self._eras.left

    @property
    def understood(self) -> bool:
        """Return whether the server has answered in this era."""
        return bool(self.session.said.protocol)

    @property
    def listed(self) -> bool:
        """Return whether the lists are known: from then on it takes calls."""
        return self.session.phase is Phase.READY

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of the session."""
        if self.speech.modern:
            return {}  # each frame has its own
        headers = {SESSION_HEADER: self.name, VERSION_HEADER: self.session.said.protocol}
        return {name: value for name, value in headers.items() if value}

    def know(self, protocol: str) -> None:
        """The server was found to speak this *protocol* before, if it was."""
        self._eras = Eras(self._kind, self.client, protocol)

    def turn(self) -> None:
        """Speak in the next era there is to try."""
        self.speech = self._eras.next()

    def renew(self, handover: Handover | None) -> None:
        """Begin another session, or the one that was left."""
        self.session = self._new_session()
        self.name = handover.session if handover else ""
        self._handed_over = handover is not None

    def forget(self) -> bool:
        """The server has lost the session; returns whether that was before it was of any use, so
        that another one is none either.
        """
        self.name = ""
        return not self.listed and not self._handed_over

    def refused(self, failure: Failure) -> bool:
        """Return whether *failure* may only mean that it is spoken to in the wrong era."""
        return not self.understood and self._eras.refused(failure, welcome=self.speech.welcome)

    def verdict(self, failure: Failure) -> Failure:
        """Return what to say of a server that is understood in no era."""
        return self._eras.verdict(failure, self.speech)

    def left(self) -> Handover | None:
        """Return what another worker has to know to go on, None where there is nothing to."""
        return handovers.of(self.name, self.client.params, self.session.said)

    def look_again(self) -> list[Effect]:
        """Return how the lists are fetched anew, where they are known."""
        notice = [{"method": msgspec.Raw(frames.encode(method))} for method in LIST_CHANGED]
        return [effect for one in notice if self.listed for effect in self.session.receive(one)]

    def failed(self, tag: str, text: str) -> Sequence[Effect]:
        """A request of the relay's own is as good as answered with this error."""
        members = frames.error_members(frames.BACKEND_UNAVAILABLE, text)
        answer = frames.decode_object(frames.response(frames.encode(tag), members))
        return self.session.receive(answer or {})

    def _new_session(self) -> Session:
        around = self._around
        pages_max = around.policy.list_pages_max
        return Session(self._backend, self.client, around.generation, pages_max=pages_max)
