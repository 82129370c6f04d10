"""The MCP server behind the recorded conversations: small, deterministic, and never changed.

What is kept of a released version was said with this server, and is played again with it. Standard
library only; it reads a line, answers it, and reads the next.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

TOOLS = ("echo", "steps", "hang", "ask", "withdraw", "log", "touch", "grow", "fail", "die", "seen")
LEVELS = ("debug", "info", "notice", "warning", "error")
URI = "memo://one"

names = list(TOOLS)
calls: dict[str, int] = {}
asked: dict[int, Any] = {}
noted: dict[str, Any] = {"level": None, "subscriptions": [], "cancelled": [], "roots": 0}


def send(**message: Any) -> None:
    """Write a message."""
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def said(text: str) -> dict[str, Any]:
    """The result of a tool."""
    return {"content": [{"type": "text", "text": text}]}


def initialize(params: dict[str, Any]) -> dict[str, Any]:
    """The handshake."""
    changes = {"listChanged": True}
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {
            "tools": changes,
            "prompts": changes,
            "resources": {**changes, "subscribe": True},
            "completions": {},
            "logging": {},
        },
        "serverInfo": {"name": "memo", "version": "1"},
    }


def list_tools(params: dict[str, Any]) -> dict[str, Any]:
    """All tools; `grow` adds one, or takes it away again."""
    schema = {"type": "object"}
    return {"tools": [{"name": name, "inputSchema": schema} for name in names]}


def set_level(params: dict[str, Any]) -> dict[str, Any]:
    """Logging from this level on."""
    noted["level"] = params["level"]
    return {}


def subscribe(params: dict[str, Any]) -> dict[str, Any]:
    """Updates of a resource."""
    noted["subscriptions"].append(params["uri"])
    return {}


def call_tool(number: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    """Carry out a tool; None: the answer comes later, or never."""
    name, arguments, meta = params["name"], params.get("arguments", {}), params.get("_meta", {})
    calls[name] = calls.get(name, 0) + 1
    if name == "hang":
        return None
    if name in {"ask", "withdraw"}:
        asked[len(asked) + 1] = number
        send(id=len(asked), method=arguments["method"], params=arguments.get("params", {}))
    if name == "ask":
        return None
    if name == "withdraw":
        params = {"requestId": len(asked), "reason": "not needed"}
        send(method="notifications/cancelled", params=params)
    elif name == "steps":
        for step in (1, 2, 3):
            told = {"progressToken": meta.get("progressToken"), "progress": step, "total": 3}
            send(method="notifications/progress", params=told)
    elif name == "log" and LEVELS.index(arguments["level"]) >= LEVELS.index(noted["level"]):
        told = {"level": arguments["level"], "data": "written"}
        send(method="notifications/message", params=told)
    elif name == "touch":
        send(method="notifications/resources/updated", params={"uri": URI})
    elif name == "grow":
        names.remove("grown") if "grown" in names else names.append("grown")
        send(method="notifications/tools/list_changed")
    elif name == "die":
        os._exit(3)
    return said(json.dumps({"seen": noted, "calls": calls} if name == "seen" else arguments))


ANSWERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "initialize": initialize,
    "ping": lambda params: {},
    "tools/list": list_tools,
    "prompts/list": lambda params: {"prompts": [{"name": "greet"}]},
    "prompts/get": lambda params: {"messages": [], "description": params["name"]},
    "resources/list": lambda params: {"resources": [{"uri": URI, "name": "one"}]},
    "resources/templates/list": lambda params: {
        "resourceTemplates": [{"uriTemplate": "memo://{name}", "name": "any"}]
    },
    "resources/read": lambda params: {"contents": [{"uri": params["uri"], "text": "memo"}]},
    "resources/subscribe": subscribe,
    "completion/complete": lambda params: {"completion": {"values": ["polite"]}},
    "logging/setLevel": set_level,
}


def request(number: Any, method: str, params: dict[str, Any]) -> None:
    """Answer a request."""
    if method == "tools/call" and params["name"] == "fail":
        send(id=number, error={"code": -32050, "message": "failed on purpose", "data": [1]})
    elif method == "tools/call":
        result = call_tool(number, params)
        if result is not None:
            send(id=number, result=result)
    elif method in ANSWERS:
        send(id=number, result=ANSWERS[method](params))
    else:
        send(id=number, error={"code": -32601, "message": f"no method {method}"})


def notification(method: str, params: dict[str, Any]) -> None:
    """Note what the client has done."""
    if method == "notifications/cancelled":
        noted["cancelled"].append(params.get("reason"))
    elif method == "notifications/roots/list_changed":
        noted["roots"] += 1


for line in sys.stdin:
    message = json.loads(line)
    if "method" not in message:
        call = asked[message["id"]]
        send(id=call, result=said(json.dumps(message.get("result", message.get("error")))))
    elif "id" in message:
        request(message["id"], message["method"], message.get("params", {}))
    else:
        notification(message["method"], message.get("params", {}))
