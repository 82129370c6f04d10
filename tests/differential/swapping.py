"""Another worker every moment, while sessions are held."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness import Relay


class Swaps:
    """The swaps of a relay, one after another; `done` is how many of them were committed."""

    def __init__(self, relay: Relay) -> None:
        self.done = 0
        self.failures: list[str] = []
        self._relay = relay
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin with the first one."""
        self._thread.start()

    def stop(self) -> None:
        """Let the last one end."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            swapped = self._relay.relayctl("swap")
            if swapped.returncode:
                self.failures.append(swapped.stdout + swapped.stderr)
            else:
                self.done += 1


@contextmanager
def swapping(relay: Relay) -> Iterator[Swaps]:
    """Swap until the end; fail if one has failed."""
    swaps = Swaps(relay)
    swaps.start()
    try:
        yield swaps
    finally:
        swaps.stop()
    assert not swaps.failures, swaps.failures[0]
