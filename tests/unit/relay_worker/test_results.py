"""Results that clients cannot take as they are."""

import json
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_worker.results import COMPLETION_VALUES_MAX, for_client

COMPLETE = v1.Call(1, "completion/complete", "", v1.LEGACY)


def shown(result: Any, message: v1.Call = COMPLETE, *, modern: bool = False) -> Any:
    raw = msgspec.Raw(json.dumps(result).encode())
    return json.loads(bytes(for_client(raw, message, modern=modern)))


def of(count: int, **more: Any) -> Any:
    return {"completion": {"values": [f"v{n}" for n in range(count)], **more}, "x": 1}


@pytest.mark.parametrize("more", [{}, {"total": 5000}, {"hasMore": False}])
def test_values_that_are_too_many_are_cut_off(more: dict[str, Any]) -> None:
    found = shown(of(101, **more))
    whole = of(101, **{"total": 101, **more, "hasMore": True})
    whole["completion"]["values"].pop()
    assert found == whole


@pytest.mark.parametrize(
    "result",
    [
        of(COMPLETION_VALUES_MAX, total=1e3),
        of(0),
        {},
        {"completion": None},
        {"completion": {"values": {"a": 1}}},
        {"completion": []},
    ],
)
def test_all_else_keeps_its_bytes(result: Any) -> None:
    raw = msgspec.Raw(json.dumps(result, indent=1).encode())
    assert bytes(for_client(raw, COMPLETE, modern=False)) == bytes(raw)


def test_of_another_request_there_may_be_any_number() -> None:
    call = v1.Call(1, "tools/call", "t", v1.LEGACY)
    assert shown(of(500), call) == of(500)


def test_a_modern_backend_may_say_too_much_as_well() -> None:
    found = shown({**of(200), "resultType": "complete"}, modern=True)
    assert len(found["completion"]["values"]) == 100 and "resultType" not in found
    modern = msgspec.structs.replace(COMPLETE, era=v1.MODERN)
    assert shown({**of(200), "resultType": "complete"}, modern, modern=True)["resultType"]
