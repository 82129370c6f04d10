"""The demo backend as a process: ends with its stdin, or by a signal."""

import os
import select
import signal

from relay_worker.demo.server import Server

READ_BYTES_MAX = 1 << 18


def write_stdout(line: bytes) -> None:
    """Write all of it, waiting for the reader."""
    view = memoryview(line)
    while view:
        view = view[os.write(1, view) :]


def main() -> None:
    """Serve stdin and stdout until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback for a Ctrl-C
    server = Server(write_stdout)
    pieces: list[bytes] = []  # of the unfinished line; joined once, so that time stays linear
    while True:
        if select.select([0], [], [], server.seconds_to_next_timer())[0]:
            data = os.read(0, READ_BYTES_MAX)
            if not data:
                return
            *lines, rest = data.split(b"\n")
            for line in lines:
                server.receive_line(b"".join([*pieces, line]))
                pieces.clear()
            pieces.append(rest)
        server.run_timers()


if __name__ == "__main__":
    main()
