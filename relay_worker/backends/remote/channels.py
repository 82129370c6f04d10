"""Makes the channel for a backend. Loads the HTTP library: for the HTTP thread only."""

from collections.abc import Mapping
from typing import Final

from relay_worker.backends.remote.channel import Wiring
from relay_worker.backends.remote.inlet import Inlet
from relay_worker.backends.remote.messages import Address, Channel, Listener
from relay_worker.backends.remote.sse_channel import SseChannel
from relay_worker.backends.remote.streamable import StreamableChannel
from relay_worker.backends.remote.thread import HttpThread
from relay_worker.oauth.bearer import Bearer

_KINDS: Final[Mapping[str, type[StreamableChannel | SseChannel]]] = {
    "http": StreamableChannel,
    "sse": SseChannel,
}


def make(
    kind: str, address: Address, thread: HttpThread, inlet: Inlet, listener: Listener
) -> Channel:
    """Return a channel of *kind* to *address*; to be called in the thread."""
    auth = None
    if address.tokens:
        auth = Bearer(address.url, address.tokens, thread.hide, thread.report)
    return _KINDS[kind](Wiring(address, auth, listener, inlet, thread))
