"""A reader as strict as the strictest client known: the official TypeScript SDK's schemas
(`test_strict.py` compares them).

What it does not take it drops, or, worse, ends the connection. Whoever adds a member to what the
relay writes looks here first.
"""

from collections.abc import Mapping
from typing import Any

SAFE_MAX = 2**53 - 1
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


def assert_strict(message: Mapping[str, Any]) -> None:
    """Fail if a client could trip over the message."""
    assert message["jsonrpc"] == "2.0", message
    members = set(message) - {"jsonrpc"}
    if "method" not in message:
        assert_id(message["id"])
        assert members in ({"id", "result"}, {"id", "error"}), f"unknown members: {message}"
        assert_result(message["result"]) if "result" in message else assert_error(message["error"])
    else:
        assert members <= {"id", "method", "params"}, f"unknown members: {message}"
        assert isinstance(message["method"], str)
        if "params" in message:
            assert_result(message["params"])
        if "id" in message:
            assert_id(message["id"])
        else:
            assert_notification(message["method"], message.get("params", {}))


def assert_id(request_id: Any) -> None:
    """A text or a whole number; null is for what had no id."""
    assert type(request_id) in (str, int), request_id
    assert isinstance(request_id, str) or abs(request_id) <= SAFE_MAX, request_id


def assert_result(result: Any) -> None:
    """An object, and so is its _meta."""
    assert isinstance(result, dict), result
    assert isinstance(result.get("_meta", {}), dict), result


def assert_error(error: Any) -> None:
    """A whole number and a text."""
    assert type(error["code"]) is int and abs(error["code"]) <= SAFE_MAX, error
    assert isinstance(error["message"], str), error


def assert_notification(method: str, params: Mapping[str, Any]) -> None:
    """What clients have a handler for has to fit its schema."""
    if method == "notifications/progress":
        assert_id(params["progressToken"])
        assert type(params["progress"]) in (int, float), params
        assert type(params.get("total", 0)) in (int, float), params
        assert isinstance(params.get("message", ""), str), params
    elif method == "notifications/message":
        assert params["level"] in LEVELS, params
        assert isinstance(params.get("logger", ""), str), params
    elif method == "notifications/cancelled":
        assert_id(params["requestId"])
        assert isinstance(params.get("reason", ""), str), params
    elif method == "notifications/resources/updated":
        assert isinstance(params["uri"], str), params
