"""Renaming between the ids of many HTTP requests and the ids of one pipe. No I/O."""

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"
CANCELLED: Final = "notifications/cancelled"
PROGRESS: Final = "notifications/progress"


def is_request(message: Json) -> bool:
    """Something that wants an answer."""
    return "method" in message and "id" in message


def is_answer(message: Json) -> bool:
    """A result or an error."""
    return "method" not in message


def _params(message: Json) -> Json:
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def _meta(message: Json) -> Json:
    meta = _params(message).get("_meta")
    return meta if isinstance(meta, dict) else {}


def token_of(request: Json) -> Any:
    """The progress token of a request, or None."""
    return _meta(request).get("progressToken")


def for_pipe(request: Json, key: int) -> Json:
    """The request with this key as its id, and as its progress token if it has one."""
    renamed = {**request, "id": key}
    if token_of(request) is not None:
        meta = {**_meta(request), "progressToken": key}
        renamed["params"] = {**_params(request), "_meta": meta}
    return renamed


def named_key(message: Json) -> Any:
    """The key that a message of the server's belongs to, or None if it does not say."""
    if is_answer(message):
        return message.get("id")
    if message["method"] == PROGRESS:
        return _params(message).get("progressToken")
    return _meta(message).get(SUBSCRIPTION)


def for_client(message: Json, key: int, request: Json) -> Json:
    """A message of the server's, with the names of the client's request for *key*."""
    if is_answer(message):
        result = message.get("result")
        renamed = {**message, "id": request["id"]}
        if isinstance(result, dict) and isinstance(result.get("_meta"), dict):
            renamed["result"] = {**result, "_meta": _unkeyed(result["_meta"], key, request)}
        return renamed
    params = dict(_params(message))
    if message["method"] == PROGRESS:
        params["progressToken"] = token_of(request)
    if isinstance(params.get("_meta"), dict):
        params["_meta"] = _unkeyed(params["_meta"], key, request)
    return {**message, "params": params}


def _unkeyed(meta: Mapping[str, Any], key: int, request: Json) -> Json:
    if meta.get(SUBSCRIPTION) in {key, str(key)}:
        return {**meta, SUBSCRIPTION: request["id"]}
    return dict(meta)
