"""What is done to a relay under load. Each returns whether it was done."""

import itertools
import os
import signal
from collections.abc import Callable
from typing import Final

from tests.faults.succession import reexec
from tests.harness import Relay


def swapper(relay: Relay) -> Callable[[], bool]:
    """Swaps with relayctl, and tells whether it was committed."""

    def once() -> bool:
        done = relay.relayctl("swap", "--json")
        if done.returncode != 0:
            raise ValueError(done.stdout + done.stderr)
        return True

    return once


def killer(relay: Relay) -> Callable[[], bool]:
    """Kills the active worker."""

    def once() -> bool:
        (pid,) = relay.worker_pids("active")
        os.kill(pid, signal.SIGKILL)
        return True

    return once


def replacer(relay: Relay) -> Callable[[], bool]:
    """Replaces the supervisor's code, and tells whether it was."""

    def once() -> bool:
        done = reexec(relay)
        if done["outcome"] != "committed":
            raise ValueError(str(done))
        return True

    return once


def mixer(relay: Relay) -> Callable[[], bool]:
    """Does now the one, now the other. Each may be in the way of another, which is then refused."""
    kinds = (swapper(relay), killer(relay), replacer(relay))
    turns = itertools.cycle(kinds)

    def once() -> bool:
        try:
            return next(turns)()
        except ValueError:
            return False

    return once


DISTURBANCES: Final = {"swap": swapper, "kill": killer, "reexec": replacer, "mixed": mixer}
KILLING: Final = ("kill", "mixed")
