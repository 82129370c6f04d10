"""relay__status: short text for a person, all figures as structured content."""

import json
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.base import State
from relay_worker.backends.client import Client
from relay_worker.builtin_tools import LISTS, BuiltinBackend, render
from relay_worker.items import Kind, key_of

STATUS: dict[str, Any] = {
    "id": "abc",
    "health": "degraded",
    "calls": {"total": 12, "in_flight": 2},
    "registry": {"tools": 97, "quarantined": [{"name": "x"}]},
    "backends": [
        {"name": "files", "state": "ready", "tools": 12, "calls": 5, "errors": 0, "restarts": 1},
        {"name": "web", "state": "failed", "tools": 0, "last_error": "y" * 1000},
    ],
    "future": {"field": 1},
}


def test_a_call_becomes_a_question_and_its_answer_a_result() -> None:
    sent: list[v1.Message] = []
    replied: list[tuple[int, bytes]] = []
    backend = BuiltinBackend(sent.append, lambda *answer: replied.append(answer))
    assert backend.state is State.READY and not backend.learning
    assert backend.call(7, "tools/call", b"{}") is None
    assert sent == [v1.StatusRequest(7)]
    backend.status(7, json.dumps(STATUS).encode())
    ((call, members),) = replied
    result = json.loads(b"{" + members)["result"]
    assert call == 7 and result["structuredContent"] == STATUS and result["isError"] is False


def test_the_text_has_what_a_person_wants_to_know() -> None:
    assert render(STATUS).splitlines() == [
        "Relay abc: degraded, 97 tools, 12 calls, 2 in flight",
        "- files: ready, 12 tools, 5 calls, 1 restarts",
        "- web: failed, 0 tools; last error: " + "y" * 300,
        "1 items left out because clients could trip over them",
    ]


@pytest.mark.parametrize("status", [{}, {"backends": None, "calls": None}, {"backends": [{}]}])
def test_a_status_of_another_release_is_shown_as_far_as_it_goes(status: dict[str, Any]) -> None:
    assert render(status).startswith("Relay")


def test_its_lists_are_fit_for_every_client() -> None:
    kind: Kind = "tools"
    assert [key_of(kind, item) for item in LISTS.tools] == ["status"]
    assert msgspec.json.decode(LISTS.tools[0])["annotations"]["readOnlyHint"] is True


def test_what_does_not_concern_it_does_nothing() -> None:
    backend = BuiltinBackend(lambda *_: pytest.fail("sent"), lambda *_: pytest.fail("answered"))
    backend.introduce(Client(b"{}", frozenset()))
    backend.want()
    backend.cancel(7, b"{}")
    backend.answer(1, b"1", b"")
    backend.notify("x", b"")
    backend.set_level("info")
    backend.subscribe(frozenset({"a"}))
    backend.subscribed("a", wanted=True)
    backend.pause(paused=True)
