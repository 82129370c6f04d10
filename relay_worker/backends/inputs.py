"""Does for one connection what `rounds` finds is to be done: asks the client, makes a call again.

What it knows survives the worker only as far as its owner tells: *changed* is called before
anything of a round is told to anybody.
"""

from collections.abc import Callable, Iterable
from typing import Final

from relay_supervisor.wire.custody import Round
from relay_worker.backends.base import Backend, Host
from relay_worker.backends.client import Client
from relay_worker.backends.rounds import Ask, GiveUp, Repeat, Rounds, Step
from relay_worker.loop import Loop
from relay_worker.repair import Envelope

_NO_REASON: Final = b"{}"


class Inputs:
    """The rounds of one connection. `pid` is what its questions are known by; *again* is called for
    a call that is due, *over* for one that ends without an answer of the backend's.
    """

    def __init__(
        self,
        loop: Loop,
        backend: Backend,
        host: Host,
        client: Client,
        pid: int,
        *,
        again: Callable[[int], None],
        over: Callable[[int], object],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.rounds = Rounds(client)
        self._loop = loop
        self._backend = backend
        self._host = host
        self._pid = pid
        self._again = again
        self._over = over
        self._changed = changed

    def replied(self, call: int, envelope: Envelope, at: int = 0) -> bool:
        """The backend has answered a call; returns whether that is the last word, and to be passed
        on. *at* is where in its output that was.
        """
        step = self.rounds.answered(call, envelope)
        if step is None:
            self.rounds.forget(call)
            return True
        self._do(call, step, at)
        return False

    def answered(self, raw_id: bytes, members: bytes) -> None:
        """The client has answered a question."""
        found = self.rounds.input(raw_id, members)
        if found is None:
            return
        call, step = found
        if step is None:
            self._changed()
        else:
            self._do(call, step, 0)

    def forget(self, call: int) -> None:
        """A call is over."""
        self._withdraw(self.rounds.forget(call))

    def resume(self, rounds: Iterable[Round], calls: Iterable[tuple[int, str]]) -> None:
        """Go on with what another worker has left; see `Rounds.resume`."""
        self.rounds.resume(rounds, calls)
        for call in self.rounds.due():
            self._do(call, Repeat(), 0)

    def _do(self, call: int, step: Step, at: int) -> None:
        match step:
            case Ask(questions):
                self._changed()
                for index, one in enumerate(questions):
                    # Each has a place of its own: what has been told is not told again.
                    place = at + index
                    self._host.asked(
                        self._backend, self._pid, one.id, one.method, one.params, place, call
                    )
            case Repeat(seconds):
                if seconds:
                    self._changed()
                    self._loop.after(seconds, lambda: self._repeat(call))
                else:
                    self._repeat(call)
            case GiveUp(reason, withdrawn):
                self._withdraw(withdrawn)
                self._over(call)
                self._host.unfinished(self._backend, call, reason, may_have_run=True)

    def _repeat(self, call: int) -> None:
        if call in self.rounds.due():
            self._again(call)

    def _withdraw(self, questions: Iterable[bytes]) -> None:
        for raw_id in questions:
            self._host.withdrew(self._backend, self._pid, raw_id, _NO_REASON)
