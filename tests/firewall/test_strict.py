"""The strict reader of these tests takes nothing that the official TypeScript SDK refuses."""

import json
import subprocess
from typing import Any

from tests.firewall.strict import assert_strict
from tests.harness.external import NODE, npm_command

PROGRAM = """
import * as types from "@modelcontextprotocol/sdk/types.js";
import { readFileSync } from "node:fs";
const known = {
  "notifications/progress": types.ProgressNotificationSchema,
  "notifications/message": types.LoggingMessageNotificationSchema,
  "notifications/cancelled": types.CancelledNotificationSchema,
  "notifications/resources/updated": types.ResourceUpdatedNotificationSchema,
};
const reads = (message) =>
  types.JSONRPCMessageSchema.safeParse(message).success &&
  (known[message.method]?.safeParse(message).success ?? true);
console.log(JSON.stringify(JSON.parse(readFileSync(0)).map(reads)));
"""
ODD: tuple[Any, ...] = (None, True, 1.5, -1, "", "x", [], {}, 2**53)
RESULT = {"id": 1, "result": {"content": []}}


def note(method: str, **params: Any) -> dict[str, Any]:
    return {"method": f"notifications/{method}", "params": params}


def messages() -> list[dict[str, Any]]:
    """Sound messages, and each of them with one odd value or member."""
    progress = {"progressToken": 1, "progress": 1}
    found: list[dict[str, Any]] = [
        RESULT,
        {**RESULT, "x": 1},
        {**RESULT, "error": None},
        {"id": 1},
        {"id": 1, "error": {"code": 1, "message": "m", "data": None, "x": 1}},
        {"id": 1, "error": {"code": 1}},
        {"id": 1, "error": {"message": "m"}},
        note("unheard/of", x=None),
        {**note("unheard/of"), "x": 1},
    ]
    for odd in ODD:
        found += [
            {**RESULT, "id": odd},
            {"id": 1, "result": odd},
            {"id": 1, "result": {"_meta": odd}},
            {"id": 1, "error": odd},
            {"id": 1, "error": {"code": odd, "message": "m"}},
            {"id": 1, "error": {"code": 1, "message": odd}},
            {"method": odd},
            {"method": "notifications/unheard/of", "params": odd},
            {"method": "roots/list", "id": odd},
            {"method": "roots/list", "id": 1, "params": {"_meta": odd}},
            note("progress", **{**progress, "progressToken": odd}),
            note("progress", **{**progress, "progress": odd}),
            note("progress", **progress, total=odd),
            note("progress", **progress, message=odd),
            note("message", level=odd, data=1),
            note("message", level="info", data=odd),
            note("message", level="info", data=1, logger=odd),
            note("cancelled", requestId=odd),
            note("cancelled", requestId=1, reason=odd),
            note("resources/updated", uri=odd),
        ]
    return [{"jsonrpc": "2.0", **message} for message in found]


def passes(message: dict[str, Any]) -> bool:
    try:
        assert_strict(message)
    except (AssertionError, KeyError, TypeError, AttributeError):
        return False
    return True


def test_what_the_sdk_refuses_does_not_pass() -> None:
    npm_command("servers", "mcp-server-everything")  # the SDK came with it
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", PROGRAM],
        cwd=NODE / "servers",
        input=json.dumps(messages()).encode(),
        capture_output=True,
        check=True,
    )
    read = json.loads(done.stdout)
    assert 0 < sum(read) < len(read)
    missed = [m for m, ok in zip(messages(), read, strict=True) if passes(m) and not ok]
    assert missed == []
    assert sum(passes(message) for message in messages()) > sum(read) / 2, "it takes what is sound"
