"""How long to wait before a backend is started again, and how its end is put into words. Pure."""

import random
import signal
from typing import Final

from relay_worker.backends.surroundings import Policy

DOUBLINGS_MAX: Final = 30
"""Further doublings would only overflow; the configured maximum is reached long before."""


class BackOff:
    """Failed starts in a row, and what follows from them. `failures` counts them; a start that
    lasted `restart_reset_seconds` ends the row.
    """

    def __init__(self, policy: Policy) -> None:
        self.failures = 0
        self._policy = policy
        self._ready_since: float | None = None

    def ready(self, now: float) -> None:
        """It has started well, at *now* of the loop's clock."""
        self._ready_since = now

    def fell(self, now: float) -> float | None:
        """It has failed to start, or died: return the seconds until the next try, or None where
        another try by itself is no use.

        The delay has full jitter, so that backends that fell together do not start together.
        """
        policy = self._policy
        since, self._ready_since = self._ready_since, None
        if since is not None and now - since >= policy.restart_reset_seconds:
            self.failures = 0
        self.failures += 1
        if self.failures > policy.restart_attempts_max:
            return None
        ceiling = policy.restart_delay_seconds * 2 ** min(self.failures - 1, DOUBLINGS_MAX)
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
