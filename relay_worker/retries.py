"""Why a modern client has to come back to a request of a legacy backend, and what it says then.

What backends ask within a call the supervisor parks, and no retry of that gets here. Left is the
error by which a legacy backend wants a page to be opened first (-32042): it becomes
`input_required`, which needs no state, as the retry is a call like the first one.
"""

from typing import Final

import msgspec

from relay_worker.backends import frames
from relay_worker.backends.base import Backend
from relay_worker.backends.client import Client
from relay_worker.repair import Envelope
from relay_worker.routes import Refused

URLS_REQUIRED: Final = -32042

_STATE: Final = b'"requestState"'
_RESPONSES: Final = b'"inputResponses"'
_REFUSALS: Final = frozenset({"decline", "cancel"})


def input_required(client: Client | None, response: Envelope) -> bytes | None:
    """Return the members that ask the client to open the pages a backend's error names; None where
    it names none, or the client has not said that it can.
    """
    members = frames.decode_object(response.get("error")) or {}
    if bytes(members.get("code", b"")) != b"%d" % URLS_REQUIRED:
        return None
    if client is None or "url" not in client.elicits:
        return None
    data = frames.decode_object(members.get("data")) or {}
    try:
        pages = msgspec.json.decode(data.get("elicitations", b"[]"), type=list[Envelope])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not pages:
        return None
    asked = {
        f"url-{number}": {"method": "elicitation/create", "params": {**page, "mode": "url"}}
        for number, page in enumerate(pages)
    }
    return frames.result_members({"resultType": "input_required", "inputRequests": asked})


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
