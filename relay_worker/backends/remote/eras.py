"""The era a server is spoken to in: what is known of it, else the client's, else the other one."""

from typing import Final

from relay_worker.backends.client import Client
from relay_worker.backends.remote.messages import Failure, Fault
from relay_worker.backends.remote.mirror import Mirror
from relay_worker.backends.speech import LegacySpeech, ModernSpeech, Speech, order

_REFUSALS: Final = frozenset({Fault.REFUSED, Fault.FAILED, Fault.STRANGE, Fault.UNREADABLE})
_NO_REFUSALS: Final = frozenset({409, 429, 503})


class Eras:
    """The eras left to be tried. `reason` is why the first one was refused."""

    def __init__(self, kind: str, client: Client, known: str) -> None:
        """*known* is the protocol the server was found to speak before, if it was."""
        self._client = client
        self._insisted = False
        self.reason: Failure | None = None
        # What speaks SSE is older than the modern era.
        self._left = [False] if kind == "sse" else order(client, known)

    def next(self) -> Speech:
        """Return the words to try."""
        modern = self._left.pop(0)
        return ModernSpeech(self._client, Mirror()) if modern else LegacySpeech()

    @property
    def left(self) -> bool:
        """Return whether there is another one to try."""
        return bool(self._left)

    def refused(self, failure: Failure, *, welcome: bool = False) -> bool:
        """Return whether *failure* may only mean that it is spoken to in the wrong era. *welcome*:
        it has named the modern one as its own all the same, and is to be asked again, once.
        """
        if welcome and not self._insisted:
            self._insisted = True
            self._left.insert(0, True)
            return True
        if not self._left or failure.fault not in _REFUSALS or failure.status in _NO_REFUSALS:
            return False
        self.reason = failure
        return True

    def verdict(self, failure: Failure, speech: Speech) -> Failure:
        """Return what to say of a server that is understood in no era: what it made of initialize,
        which most servers know.
        """
        return self.reason if speech.modern and self.reason else failure
