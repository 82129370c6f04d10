"""Why a modern client has to come back to a request of a legacy backend, and what it says then.

What backends ask within a call the supervisor parks, and no retry of that gets here. Left is the
error by which a legacy backend wants a page to be opened first (-32042): it becomes
`input_required`, which needs no state, as the retry is a call like the first one.
"""

from typing import Final, TypeAlias

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.backends.base import Backend
from relay_worker.backends.client import Client, elicited_in
from relay_worker.repair import Envelope
from relay_worker.routes import Refused

URLS_REQUIRED: Final = -32042
CAPABILITY_REQUIRED: Final = -32021

Answer: TypeAlias = tuple[int, bytes]
"""The outcome (`wire.v1`) and the members of a response."""

_ABLE_TO_OPEN: Final[object] = {"requiredCapabilities": {"elicitation": {"url": {}}}}
_STATE: Final = b'"requestState"'
_RESPONSES: Final = b'"inputResponses"'
_REFUSALS: Final = frozenset({"decline", "cancel"})


def instead(client: Client | None, params: bytes | None, response: Envelope) -> Answer | None:
    """Return what a modern client is answered where a backend wants pages to be opened first, None
    where it names none: `input_required`, or that the request would have to declare that it can.
    *params* are the request's; where they are not kept, it is as able as the client's first one.
    """
    error = frames.decode_object(response.get("error")) or {}
    if bytes(error.get("code", b"")) != b"%d" % URLS_REQUIRED:
        return None
    data = frames.decode_object(error.get("data")) or {}
    try:
        pages = msgspec.json.decode(data.get("elicitations", b"[]"), type=list[Envelope])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not pages:
        return None
    if "url" not in _elicits(client, params):
        text = frames.text_of(error.get("message")) or "a page has to be opened first"
        members = frames.error_members(CAPABILITY_REQUIRED, text, _ABLE_TO_OPEN)
        return v1.OUTCOME_BACKEND_ERROR, members
    asked = {
        f"url-{number}": {"method": "elicitation/create", "params": {**page, "mode": "url"}}
        for number, page in enumerate(pages)
    }
    result = {"resultType": "input_required", "inputRequests": asked}
    return v1.OUTCOME_RESULT, frames.result_members(result)


def _elicits(client: Client | None, params: bytes | None) -> frozenset[str]:
    if params is not None:
        return elicited_in(params)
    return client.elicits if client else frozenset()


def objection(backend: Backend, params: bytes) -> Refused | None:
    """Return why a legacy backend must not carry this out: it would run as if it were new. A modern
    one judges for itself.
    """
    if _STATE not in params and _RESPONSES not in params:
        return None
    if backend.modern:
        return None
    members = frames.decode_object(params) or {}
    if "requestState" in members:
        text = "requestState is none that this relay, or its backend, has given"
        return Refused(frames.INVALID_PARAMS, text)
    responses = frames.decode_object(members.get("inputResponses")) or {}
    for response in responses.values():
        action = frames.text_of((frames.decode_object(response) or {}).get("action"))
        if action in _REFUSALS:
            text = f"Backend '{backend.name}' cannot go on: the client answered {action!r}"
            return Refused(frames.INVALID_REQUEST, text)
    return None
