"""What a legacy server asks the client in the middle of calls, and whom it concerns when the answer
does not get there. In the loop's thread.

The server never asks again, so a call that waits for such an answer would wait for ever.
"""

from typing import Final

from relay_worker.backends.remote.calls import Calls
from relay_worker.backends.remote.messages import Failure, Fault
from relay_worker.backends.remote.posts import Posts, Sent

QUESTIONS_MAX: Final = 1024
"""Remembered of one server, the last ones; of an older one nobody knows which call it is asked in.
"""


class Questions:
    """The questions not yet answered, and the calls in whose streams they were asked."""

    def __init__(self, posts: Posts, calls: Calls) -> None:
        self._posts = posts
        self._calls = calls
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
        for number, call in self._posts.calls(answer.session):
            if call == answer.asked_in or not answer.asked_in:
                self._posts.abort(number)
                self._calls.failed(call, Failure(Fault.CUT, text))
