"""The two places of a call in the worker: waiting to be sent, and sent."""

from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends.base import Backend
from relay_worker.loop import Timer

AGAIN_BYTES_MAX: Final = 16 << 10
"""Params up to this size are kept until the answer, to be sent again to the next process of a
backend that died before it read them."""


class Waiting(msgspec.Struct):
    """A call whose backend is not ready, or not known yet. `wanted` names the backend that was
    started for it; `sent_before`: to a process that died without having read it.
    """

    message: v1.Call
    params: bytes
    wanted: str | None = None
    timer: Timer | None = None
    sent_before: bool = False


class Flight(msgspec.Struct, gc=False):
    """A call that was sent to a backend and is not answered yet. `again` is what to send once more
    if it was never read, None where that is not to be done.
    """

    message: v1.Call
    backend: Backend
    again: bytes | None
