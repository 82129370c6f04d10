"""For relays that are servers over HTTP: `bridge SERVER ARG… -- CLIENT ARG…`, ended together.

Starts the server, waits until it listens on a free port (put in for `{port}`), then the client on
our own stdio. It carries no message itself.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

LISTENING_SECONDS_MAX = 30.0
PAUSE_SECONDS = 0.01


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def wait_for(port: int) -> None:
    """Until somebody listens."""
    until = time.monotonic() + LISTENING_SECONDS_MAX
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(PAUSE_SECONDS)
    sys.exit(f"bridge: nobody listens on the port after {LISTENING_SECONDS_MAX} s")


def main() -> int:
    """Run both; the end of the client is the end of all."""
    middle = len(sys.argv) - 1 - sys.argv[::-1].index("--")
    port = free_port()
    server, client = (
        [word.replace("{port}", str(port)) for word in words]
        for words in (sys.argv[1:middle], sys.argv[middle + 1 :])
    )
    with subprocess.Popen(
        server, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    ) as serving:
        try:
            wait_for(port)
            return subprocess.run(client, check=False).returncode
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(serving.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
