"""A modern backend on stage, and the words it uses."""

from typing import Any

from relay_worker.backends.base import State
from relay_worker.backends.client import MODERN_PROTOCOL
from tests.unit.relay_worker.backends.stage import Process, Stage

META = "io.modelcontextprotocol/"
DECLARED = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True},
    "logging": {},
}
DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": [MODERN_PROTOCOL],
    "capabilities": DECLARED,
    "_meta": {f"{META}serverInfo": {"name": "modern", "version": "1"}},
}
REFUSED = {"code": -32022, "message": "unsupported"}
LISTS = {"tools": [], "resources": [], "resourceTemplates": []}
FORM = {"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}}
ROOTS = {"method": "roots/list"}


def asks(state: str | None = "s", **inputs: Any) -> dict[str, Any]:
    """The answer that asks for this."""
    result: dict[str, Any] = {"resultType": "input_required"}
    if inputs:
        result["inputRequests"] = inputs
    return result if state is None else {**result, "requestState": state}


def of(messages: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    """Those of this method."""
    return [one for one in messages if one.get("method") == method]


def answer_lists(stage: Stage, process: Process) -> list[dict[str, Any]]:
    """Answer what is asked before it is ready; returns what was said besides."""
    rest = []
    for one in process.heard():
        if one["method"].endswith("/list"):
            process.say(id=one["id"], result={**LISTS, "resultType": "complete"})
        else:
            rest.append(one)
    stage.turn()
    return rest


def connect(stage: Stage) -> Process:
    """Bring a backend to READY that speaks nothing else, for a legacy client."""
    process = stage.start_process()
    (initialize,) = process.heard()
    assert initialize["method"] == "initialize"
    process.say(id=initialize["id"], error=REFUSED)
    stage.turn()
    (discover,) = process.heard()
    assert discover["method"] == "server/discover"
    process.say(id=discover["id"], result=DISCOVERED)
    stage.turn()
    assert answer_lists(stage, process) == []
    assert stage.backend.state is State.READY
    return process


def told(stage: Stage, what: str) -> list[tuple[Any, ...]]:
    """What the host was told of this kind."""
    return [one[1:] for one in stage.told if one[0] == what]
