"""The demo backend: a small MCP server on stdio, run as `python -m relay_worker.demo`.

It is what Relay serves when nothing is configured, and what `make demo` plays with. A backend like
any other: it must never import the rest of Relay, nor know that a relay is in front of it.
Handshake era only and no SDK, so that it starts in the time Python does.
"""
