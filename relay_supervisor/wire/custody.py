"""What one worker leaves to the next about a backend that goes on running. Add-only.

Made by the worker that lets go (`Frozen`), or beforehand in case it is killed (`Joined`), kept by
the supervisor without a look inside, and given to the worker that takes over (`Adopt`). Which calls
are under way the supervisor knows itself; what was read and not yet passed on is in the mailbox.
"""

import msgspec

from relay_supervisor.wire.errors import UNDECODABLE


class Unsent(msgspec.Struct, frozen=True):
    """A frame on its way to the backend. `number` is its call or errand, 0 where it is neither."""

    number: int
    frame: bytes


class PartialList(msgspec.Struct, frozen=True):
    """The pages of a list so far."""

    items: list[bytes] = []
    cursors: list[str] = []
    pages: int = 0
    problem: str | None = None


class Round(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call of a legacy client's at a modern backend, which may ask for input by its answer, and
    is then made once more with that.

    number    For which time it is made, or was made last.
    phase     `given`: the backend works on it; `asking`: the client is asked; `due`: it is to be
              made once more.
    params    As it was made for the first time; empty where that is lost.
    state     The `requestState` to give back, JSON text; empty where there was none.
    open      What the client has yet to answer: the backend's word for it, and the method.
    answers   What it has answered, as JSON text.
    """

    call: int
    method: str
    params: bytes = b""
    number: int = 1
    phase: str = "given"
    state: bytes = b""
    open: dict[str, str] = {}
    answers: dict[str, bytes] = {}


class Custody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A backend as it was left.

    phase       `new`, `initializing`, `listing`, `ready` or `broken`.
    client      The params of `initialize` it was, or is to be, greeted with, and the names of the
                client's capabilities.
    found       What it has said of itself, as `LearnedLists` carries it; in `Joined` without the
                items of its lists, which the supervisor has anyway.
    pending     What the worker asks on its own account and has no answer to: by id, what for.
    listings    Lists that are being fetched, by field.
    stale       Lists that are to be fetched again.
    subscribed  URIs it sends updates of.
    level       The log level it was set to.
    parsed      Offset in the stream of its stdout up to which all was passed on before `Frozen`.
    modern      It is spoken to in the modern era; `other_era`: the other one may be tried yet.
    listen      The id of the request by which it is heard in the modern era; empty for none.
    rounds      The calls that may ask, or have asked, the client by their answers.
    outbox      Frames not wholly written, in order; of the first one `sent` bytes are.
    fallen      It has no process, and not because nobody needs one: the next start is a restart.
    """

    phase: str = "new"
    client: bytes = b""
    capabilities: list[str] = []
    found: bytes = b""
    pending: dict[str, str] = {}
    listings: dict[str, PartialList] = {}
    stale: list[str] = []
    subscribed: list[str] = []
    level: str | None = None
    parsed: int = 0
    outbox: list[Unsent] = []
    sent: int = 0
    restarts: int = 0
    last_error: str | None = None
    skipped_lines: int = 0
    modern: bool = False
    other_era: bool = False
    listen: str = ""
    rounds: list[Round] = []
    fallen: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Custody)


def encode(custody: Custody) -> bytes:
    """Return the payload of `Frozen`, `Joined` and `Adopt`."""
    return _encoder.encode(custody)


def decode(payload: bytes) -> Custody | None:
    """Return the custody in *payload*, None where it is none that can be used."""
    try:
        return _decoder.decode(payload)
    except UNDECODABLE:
        return None
