"""Calls of a legacy client at a modern backend, which asks for input by its answer. No I/O.

Such an answer (`resultType` "input_required") ends one attempt. What it wants to know is asked of
the client, one request each, and then the call is made once more, under an id of its own, with
the client's answers and the backend's `requestState` as it was. The table of a round:

    GIVEN ──asks──▶ ASKING ──all answered──▶ DUE ──made once more──▶ GIVEN
    GIVEN ──has only a state──▶ DUE          any ──final answer, withdrawn, refused──▶ gone
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from relay_supervisor.wire.custody import Round
from relay_worker.backends import frames
from relay_worker.backends.client import Client
from relay_worker.backends.envelopes import readable_params
from relay_worker.backends.session import ASKABLE
from relay_worker.repair import Envelope

METHODS: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""What may be answered by asking for input."""

INPUT_ROUNDS_MAX: Final = 32
"""So often one call may be made; other clients stop after ten."""

INPUTS_MAX: Final = 64
"""What one answer may ask for."""

KEPT_BYTES_MAX: Final = 32 << 20
"""Params of calls under way that are kept to be sent once more, of one backend's."""

STATE_SECONDS: Final = 0.05
"""Before a call is made once more that was answered with a state alone; doubled each time."""

STATE_DOUBLINGS_MAX: Final = 3

GIVEN: Final = "given"
ASKING: Final = "asking"
DUE: Final = "due"

_ASKED: Final = "relay-input-"
_FINAL: Final = frozenset({"complete"})


class Question(msgspec.Struct, frozen=True):
    """Something to ask the client. `id` is what its answer comes back with."""

    id: bytes
    method: str
    params: bytes


class Ask(msgspec.Struct, frozen=True):
    """Ask the client all of this."""

    questions: list[Question]


class Repeat(msgspec.Struct, frozen=True):
    """Make the call once more, after that time."""

    seconds: float = 0.0


class GiveUp(msgspec.Struct, frozen=True):
    """The call cannot be completed; the reason is a sentence about the backend. Of these questions
    the client is to be told that nobody waits for the answer.
    """

    reason: str
    withdrawn: list[bytes] = []


Step: TypeAlias = Ask | Repeat | GiveUp


class _Result(msgspec.Struct):
    resultType: str = "complete"
    inputRequests: dict[str, msgspec.Raw] | None = None
    requestState: msgspec.Raw = msgspec.Raw()


class _Input(msgspec.Struct):
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")


_result: Final = msgspec.json.Decoder(_Result).decode
_input: Final = msgspec.json.Decoder(_Input).decode
_WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Rounds:
    """The calls of one backend that may ask *client* for something."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._rounds: dict[int, Round] = {}
        self._making: set[int] = set()
        self._kept_bytes = 0

    def __contains__(self, call: object) -> bool:
        return call in self._rounds

    def begin(self, call: int, method: str, params: bytes) -> None:
        """A call is given to the backend for the first time."""
        if method in METHODS:
            size = len(params)
            lost = self._kept_bytes and self._kept_bytes + size > KEPT_BYTES_MAX
            self._put(Round(call, method, b"" if lost else params))

    def resume(self, rounds: Iterable[Round], calls: Iterable[tuple[int, str]]) -> None:
        """Go on with what another worker has left: *rounds*, and *calls* it may have said nothing
        of, with their methods.
        """
        left = {one.call: one for one in rounds}
        for call, method in calls:
            if method in METHODS:
                self._put(left.get(call) or Round(call, method, number=0))

    def left(self) -> list[Round]:
        """Return them as another worker is to go on with them."""
        return list(self._rounds.values())

    def lasting(self) -> list[Round]:
        """Return what another worker would have to know if this one were killed: of those that
        have asked. One that is being made counts as made, as the ledger says whether it was.
        """
        return [
            _made(one) if one.call in self._making else one
            for one in self._rounds.values()
            if _begun(one)
        ]

    def making(self, call: int) -> None:
        """A call that is due is about to be made: from now on the ledger says how far that is."""
        self._making.add(call)

    def begun(self, call: int) -> bool:
        """Return whether the backend has begun with a call, so that it must not be made anew."""
        one = self._rounds.get(call)
        return one is not None and _begun(one)

    def under_way(self, call: int) -> bytes | None:
        """Return the id under which the backend works on a call; None while it does not."""
        one = self._rounds[call]
        return frames.round_id(call, max(one.number, 1)) if one.phase == GIVEN else None

    def due(self) -> list[int]:
        """Return the calls that are to be made once more."""
        return [one.call for one in self._rounds.values() if one.phase == DUE]

    def forget(self, call: int) -> list[bytes]:
        """A call is over; return the questions that nobody waits for any more."""
        one = self._rounds.pop(call, None)
        self._making.discard(call)
        if one is None:
            return []
        self._kept_bytes -= len(one.params)
        return [_question_id(one, key) for key in one.open]

    def expects(self, call: int, number: int) -> bool:
        """Return whether this is the answer that a call waits for: of the attempt that was made
        last. It may be heard twice where a worker was killed in between.
        """
        one = self._rounds.get(call)
        return one is None or one.number in {0, number}

    def answered(self, call: int, envelope: Envelope) -> Step | None:
        """The backend has answered a call; return what to do now, None if it is the last word."""
        one = self._rounds.get(call)
        result = envelope.get("result")
        if one is None or result is None:
            return None
        try:
            found = _result(result)
        except _WRONG:
            if b'"input_required"' not in bytes(result)[:_HEAD_BYTES]:
                return None  # for the client to judge
            return self._give_up(one, "what it asks for cannot be understood")
        if found.resultType in _FINAL:
            return None
        if found.resultType != "input_required":
            reason = f"it answered with a {found.resultType!r}, which this client does not know"
            return self._give_up(one, reason)
        return self._ask(one, found)

    def input(self, raw_id: bytes, members: bytes) -> tuple[int, Step | None] | None:
        """The client has answered; return the call that waits for it and what to do now, or None
        where nobody waits.
        """
        tag = frames.text_of(msgspec.Raw(raw_id)) or ""
        if not tag.startswith(_ASKED):
            return None
        number, time, key = tag.removeprefix(_ASKED).split("-", 2)
        one = self._rounds.get(int(number))
        if one is None or one.number != int(time) or one.phase != ASKING or key not in one.open:
            return None
        method = one.open[key]
        still = {name: wanted for name, wanted in one.open.items() if name != key}
        one = self._change(one, open=still)
        answer = frames.decode_object(b"{" + members) or {}
        if (result := answer.get("result")) is None:
            code, text = frames.error_of(answer) or (0, "")
            reason = f"it asked for {method}, and the client refused: {text} ({code})"
            return one.call, self._give_up(one, reason)
        answers = {**one.answers, key: bytes(result)}
        one = self._change(one, answers=answers, phase=ASKING if still else DUE)
        return one.call, None if still else Repeat()

    def make(self, call: int) -> tuple[int, str, bytes]:
        """Make a call that is due once more; returns for which time, its method and params."""
        one = self._rounds[call]
        self._making.discard(call)
        params: dict[str, object] = {**(frames.decode_object(one.params) or {})}
        if one.answers:
            params["inputResponses"] = {key: msgspec.Raw(raw) for key, raw in one.answers.items()}
        if one.state:
            params["requestState"] = msgspec.Raw(one.state)
        one = self._change(_made(one))
        return one.number, one.method, frames.encode(params)

    def _ask(self, one: Round, found: _Result) -> Step:
        inputs = found.inputRequests or {}
        if not one.params:
            return self._give_up(one, _LOST)
        if one.number >= INPUT_ROUNDS_MAX:
            text = f"it has asked for input {INPUT_ROUNDS_MAX} times (INPUT_ROUNDS_MAX)"
            return self._give_up(one, text)
        if len(inputs) > INPUTS_MAX:
            return self._give_up(one, f"it asks for over {INPUTS_MAX} things at once (INPUTS_MAX)")
        state = bytes(found.requestState)
        if not inputs and not state:
            return self._give_up(one, "it asks for input without saying for what")
        asked: dict[str, _Input] = {}
        for key, raw in inputs.items():
            if (wanted := _read(raw)) is None:
                return self._give_up(one, f"what it asks for ({key}) cannot be understood")
            if refusal := self._refusal(wanted):
                return self._give_up(one, refusal)
            asked[key] = wanted
        if one.phase != ASKING:  # else it is heard again, after a worker was killed
            words = {key: wanted.method for key, wanted in asked.items()}
            phase = ASKING if asked else DUE
            one = self._change(one, state=state, open=words, answers={}, phase=phase)
        if not inputs:
            return Repeat(STATE_SECONDS * 2 ** min(one.number - 1, STATE_DOUBLINGS_MAX))
        return Ask(
            [
                Question(_question_id(one, key), wanted.method, bytes(wanted.params))
                for key, wanted in asked.items()
            ]
        )

    def _refusal(self, wanted: _Input) -> str:
        """Return why the client cannot be asked for something; empty where it can."""
        capability = ASKABLE.get(wanted.method)
        if capability is None:
            return f"it asks for {wanted.method}, which no client can be asked for"
        if not self._client.can(capability):
            return f"it asks for {wanted.method}, and the client did not declare {capability}"
        if capability == "elicitation":
            mode = (frames.decode_object(wanted.params) or {}).get("mode")
            wanted_mode = frames.text_of(mode) or "form"
            if wanted_mode not in self._client.elicits:
                return f"it asks for {wanted.method} by {wanted_mode}, which the client cannot do"
        return ""

    def _give_up(self, one: Round, reason: str) -> GiveUp:
        return GiveUp(reason, self.forget(one.call))

    def _put(self, one: Round) -> None:
        self._rounds[one.call] = one
        self._kept_bytes += len(one.params)

    def _change(self, one: Round, **changes: object) -> Round:
        changed = msgspec.structs.replace(one, **changes)
        self._rounds[one.call] = changed
        return changed


_HEAD_BYTES: Final = 4096
"""Where in a result that cannot be read its type is looked for."""

_LOST: Final = (
    "it asks for input, and what it was called with is not kept any more (over "
    f"{KEPT_BYTES_MAX >> 20} MiB are under way, or the worker that had it was killed)"
)


def _read(raw: msgspec.Raw) -> _Input | None:
    """Return what is asked for, so that every client can read it; None where that cannot be."""
    try:
        wanted = _input(raw)
    except _WRONG:
        return None
    params = readable_params(wanted.method, wanted.params)
    return None if params is None else _Input(wanted.method, params)


def _begun(one: Round) -> bool:
    return one.number > 1 or one.phase != GIVEN


def _made(one: Round) -> Round:
    """Return a round that is due as it is once the call is made."""
    return Round(one.call, one.method, one.params, one.number + 1)


def _question_id(one: Round, key: str) -> bytes:
    return frames.encode(f"{_ASKED}{one.call}-{one.number}-{key}")
