"""The loop's end of a channel: every call becomes a task of the HTTP thread.

The modules that load asyncio and the HTTP library are named here alone, and loaded in that thread.
"""

from collections.abc import Callable, Mapping

from relay_worker.backends.remote.inlet import Inlet
from relay_worker.backends.remote.messages import (
    Address,
    Channel,
    Failure,
    Fault,
    Listener,
    Post,
    Unusable,
)
from relay_worker.backends.remote.thread import HttpThread
from relay_worker.loop import Loop


class Line:
    """A channel to one backend of *kind*, http or sse; see `messages.Channel`."""

    def __init__(
        self, kind: str, address: Address, loop: Loop, thread: HttpThread, listener: Listener
    ) -> None:
        self._thread = thread
        self._inlet = Inlet(loop, thread)
        self._channel: Channel | None = None
        thread.post(lambda: self._open(kind, address, listener))

    def post(self, post: Post) -> None:
        """Send a frame."""
        self._do(lambda channel: channel.post(post))

    def abort(self, number: int) -> None:
        """Let go of a frame."""
        self._do(lambda channel: channel.abort(number))

    def listen(self, headers: Mapping[str, str]) -> None:
        """Hear what the server says by itself."""
        self._do(lambda channel: channel.listen(headers))

    def deafen(self) -> None:
        """Hear it no longer."""
        self._do(lambda channel: channel.deafen())

    def pause(self, *, paused: bool) -> None:
        """Take nothing in for now, or go on."""
        self._inlet.pause(paused=paused)

    def close(self, farewell: Mapping[str, str] | None = None) -> None:
        """Let go of everything."""
        self._do(lambda channel: channel.close(farewell))
        self._inlet.pause(paused=False)  # whatever waits for room is to see that it is over

    def _open(self, kind: str, address: Address, listener: Listener) -> None:
        try:
            from relay_worker.backends.remote import channels  # noqa: PLC0415 - in its thread

            self._channel = channels.make(kind, address, self._thread, self._inlet, listener)
            return
        except Unusable as error:
            text = f"it cannot be reached: {error}"
        except Exception as error:  # noqa: BLE001 - a broken installation, a file of no use
            text = f"the relay cannot connect to it ({type(error).__name__}: {error})"
        failure = Failure(Fault.UNREACHED, text)
        self._inlet.tell(lambda: listener.lost(failure))

    def _do(self, action: Callable[[Channel], None]) -> None:
        self._thread.post(lambda: action(self._channel) if self._channel else None)
