"""What a relay and its worker hold, before a storm and after it. It must measure the same thing
both times: a worker has done the same calls, and everything else has come to rest.
"""

import contextlib
from typing import Final

from tests.faults.ends import outside_status
from tests.harness import Relay, descendants, open_fds, resident_bytes, wait_until
from tests.storm.load import Load

WARM_UP_CALLS: Final = 500
REST_SECONDS_MAX: Final = 30.0
GROWTH_BYTES_MAX: Final = 16 << 20
"""Of the supervisor: how much of what it is given waits at a time differs from run to run."""
WORKER_GROWTH_BYTES_MAX: Final = 8 << 20

Holdings = dict[str, int]
"""Numbers by what they count; those of bytes have it in their names."""


def settle(relay: Relay) -> None:
    """Wait until one worker is left, and no backend but its own."""

    def alone() -> bool:
        status = outside_status(relay)
        backends = {one["pid"] for one in status["backends"]} - {None}
        family = {process.pid for process in descendants(relay.pid)}
        return family == backends | {one["pid"] for one in status["workers"]}

    wait_until(lambda: len(outside_status(relay)["workers"]) == 1, REST_SECONDS_MAX, "one worker")
    wait_until(alone, REST_SECONDS_MAX, "nobody but the worker and its backends")


def renew(relay: Relay) -> None:
    """Have a worker that has done nothing yet."""
    done = relay.relayctl("swap")
    assert done.returncode == 0, done.stdout + done.stderr
    settle(relay)


def measure(relay: Relay, load: Load, first: Holdings | None = None) -> Holdings:
    """Let the worker do the calls of *load*, and return what is held when they are answered. What
    is more than at *first* gets some time to go away: the end of a conversation takes a moment.
    """
    load.make(WARM_UP_CALLS)
    assert not load.tally.wrong, load.tally.wrong[:3]
    settle(relay)
    (worker,) = (one["pid"] for one in outside_status(relay)["workers"])

    def held() -> Holdings:
        return {
            "processes": len(descendants(relay.pid)),
            "descriptors of the supervisor": open_fds(relay.pid),
            "descriptors of the worker": open_fds(worker),
            "bytes of the worker": resident_bytes(worker),
        }

    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not grown(first or held(), held()), REST_SECONDS_MAX, "no growth")
    return held()


def grown(first: Holdings, last: Holdings) -> list[str]:
    """Say of what there is more than at first."""
    return [
        f"{what}: {first[what]} before, {last[what]} after"
        for what in first
        if last[what] > first[what] + (WORKER_GROWTH_BYTES_MAX if "bytes" in what else 0)
    ]


def told_of(first: Holdings, last: Holdings) -> dict[str, str]:
    """What is printed of both."""
    return {what: f"{first[what]:,} then {last[what]:,}" for what in first}
