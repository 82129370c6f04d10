"""`python -m tests.conformance.bridge COMMAND ARG…`: that server on stdio, over HTTP.

The first line on stdout is the URL; it ends when its stdin does, and its servers with it.
"""

import os
import socket
import sys
import threading

import uvicorn

from tests.conformance.bridge.http import Bridge
from tests.conformance.headers import compare_tasks_too


def main() -> None:
    """Serve until stdin ends."""
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    compare_tasks_too()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    app = Bridge(sys.argv[1:]).app()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    main()
