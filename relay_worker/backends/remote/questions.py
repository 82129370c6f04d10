"""What a legacy server asks the client in the middle of calls, and whom it concerns when the answer
does not get there. In the loop's thread.

The server never asks again, so a call that waits for such an answer would wait for ever.
"""

from collections.abc import Callable
from typing import Final

from relay_worker.backends.remote.calls import Calls
from relay_worker.backends.remote.messages import Failure, Fault
from relay_worker.backends.remote.posts import Posts, Sent

QUESTIONS_MAX: Final = 1024
"""Remembered of one server, the last ones; of an older one nobody knows which call it is asked in.
"""

_LOST: Final = b'{"reason":"the session in which this was asked is lost"}'


class Questions:
    """The questions not yet answered, and the calls in whose streams they were asked. *withdraw*
    tells the client, by id and params, that one need not be answered.
    """

    def __init__(
        self, posts: Posts, calls: Calls, withdraw: Callable[[bytes, bytes], None]
    ) -> None:
        self._posts = posts
        self._calls = calls
        self._withdraw = withdraw
        self._asked: dict[bytes, int] = {}

    def asked(self, raw_id: bytes, call: int) -> None:
        """A question came in the stream that is to answer *call*, or in that of none (0)."""
        self._asked[raw_id] = call
        if len(self._asked) > QUESTIONS_MAX:
            del self._asked[next(iter(self._asked))]

    def answered(self, raw_id: bytes) -> int:
        """Return the call that a question was asked in, 0 where that is not known."""
        return self._asked.pop(raw_id, 0)

    def undelivered(self, answer: Sent, failure: Failure) -> None:
        """An *answer* did not get there: end the call it was for; where that is not known and the
        session is gone, all calls that were made in it, as it was for one of these.
        """
        if failure.fault is Fault.CUT:  # it may have got there; else the call's own stream ends too
            return
        if not answer.asked_in and failure.fault is not Fault.EXPIRED:
            return
        text = f"it did not take the answer to what it had asked: {failure.text}"
        self._end(answer.asked_in, answer.session, text)

    def lost(self, session: str) -> None:
        """The server has lost this session, and with it whoever waits for answers; what it asks in
        another one may have the same ids. Calls that may not have asked may still be answered.
        """
        asked, self._asked = self._asked, {}
        for raw_id, call in asked.items():
            self._withdraw(raw_id, _LOST)
            if call:
                self._end(call, session, "it has lost the session while it waited for an answer")

    def _end(self, asked_in: int | None, session: str, text: str) -> None:
        for number, call in self._posts.calls(session):
            if call == asked_in or not asked_in:
                self._posts.abort(number)
                self._calls.failed(call, Failure(Fault.CUT, text))
