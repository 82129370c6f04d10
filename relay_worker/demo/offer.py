"""What the demo backend lists: four tools, a resource, a prompt. Data only."""

from typing import Any, Final

COUNTDOWN_SECONDS_MAX: Final = 3600

README: Final = """\
This text is the resource demo://readme of Relay's demo backend.

Relay stands between an MCP client and any number of MCP servers. You see this one because no
configuration was found; name your own servers in relay.yaml; `relayctl config path` says where.
"""

TOOLS: Final[list[dict[str, Any]]] = [
    {
        "name": "echo",
        "title": "Echo",
        "description": "Returns the given text unchanged.",
        "inputSchema": {
            "type": "object",
            "properties": {"text": {"type": "string", "description": "What to return."}},
            "required": ["text"],
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": "add",
        "title": "Add",
        "description": "Adds two numbers.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "a": {"type": "number", "description": "The first number."},
                "b": {"type": "number", "description": "The second number."},
            },
            "required": ["a", "b"],
        },
        "outputSchema": {
            "type": "object",
            "properties": {"sum": {"type": "number"}},
            "required": ["sum"],
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": "countdown",
        "title": "Countdown",
        "description": (
            "Counts down the given number of seconds, reports progress each second, and then "
            "answers. Can be cancelled."
        ),
        "inputSchema": {
            "type": "object",
            "properties": {
                "seconds": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": COUNTDOWN_SECONDS_MAX,
                    "default": 3,
                    "description": "How long to count, in seconds.",
                }
            },
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": "counter",
        "title": "Counter",
        "description": (
            "Returns the next number: 1, 2, 3 … The count lives in the memory of this server, so "
            "it shows whether the server was restarted, and whether a call ran twice."
        ),
        "inputSchema": {"type": "object", "properties": {}},
        "outputSchema": {
            "type": "object",
            "properties": {"count": {"type": "integer"}},
            "required": ["count"],
        },
        "annotations": {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False},
    },
]

RESOURCE: Final = {
    "uri": "demo://readme",
    "name": "readme",
    "title": "What this server is",
    "mimeType": "text/plain",
}
PROMPT: Final = {
    "name": "introduce",
    "title": "Introduce Relay",
    "description": "Asks for an introduction to Relay for a certain reader.",
    "arguments": [{"name": "reader", "description": "For whom to write.", "required": False}],
}
