"""How long to wait before a backend is started again, and how its end is put into words. Pure."""

import random
import signal
from typing import Final

from relay_worker.backends.surroundings import Policy

DOUBLINGS_MAX: Final = 30
"""Further doublings would only overflow; the configured maximum is reached long before."""


def delay_seconds(policy: Policy, failures: int) -> float:
    """Return a delay after so many failed starts in a row: full jitter, so that backends that
    failed together do not start together.
    """
    ceiling = policy.restart_delay_seconds * 2 ** min(failures - 1, DOUBLINGS_MAX)
    return random.uniform(0, min(policy.restart_delay_max_seconds, ceiling))


def exit_text(status: int) -> str:
    """Return how a process ended, for a sentence that begins with "it"; *status* is its exit
    status, or minus the signal.
    """
    if status >= 0:
        return f"exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was ended by {name}"
