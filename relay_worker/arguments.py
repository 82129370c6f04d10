"""What the supervisor starts a worker with. Imports next to nothing: see `__main__`."""

import os
import sys
from typing import NamedTuple


class Arguments(NamedTuple):
    """Descriptors: the pipe from and to the supervisor, the socketpair, the life pipe, and the
    ledger's memory, which an older supervisor does not have.
    """

    pipe_in: int
    pipe_out: int
    socket: int
    life: int
    ledger: int | None = None


def parse(argv: list[str]) -> Arguments:
    """Return what *argv* names; no child is to inherit any of it. Options that are not known are a
    newer supervisor's, and are passed over with their values.

    Raises:
        SystemExit: somebody else has started this.
    """
    options = dict(zip(argv[::2], argv[1::2], strict=False))
    try:
        pipe_in, pipe_out, socket, life = fds = [int(fd) for fd in options["--fds"].split(",")]
        for fd in fds:
            os.set_inheritable(fd, False)
        ledger = int(options["--ledger"]) if "--ledger" in options else None
    except (KeyError, ValueError, OSError) as error:
        usage = "python -m relay_worker --fds IN,OUT,SOCK,LIFE [--ledger FD]"
        sys.exit(f"usage: {usage} (started by mcp-relay): {error!r}")
    return Arguments(pipe_in, pipe_out, socket, life, ledger)
