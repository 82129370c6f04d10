"""What the client is to see: gathers the lists, rebuilds the catalogue, tells the supervisor.

It decides when something is new; what it consists of is the catalogue's affair.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from relay_supervisor.wire import cache, v1
from relay_worker import catalogue as catalogues
from relay_worker import lists as raw_lists
from relay_worker.backends.base import Backend, State
from relay_worker.catalogue import Catalogue
from relay_worker.config.model import Config
from relay_worker.lists import RawLists
from relay_worker.log import Log

REST_FACTOR: Final = 10
"""After a rebuild the next one waits so many times as long as it took."""


class Registry:
    """The lists of all backends and the catalogue made of them. `hashes` has the hash of each
    backend's specification; lists learned under another one do not count.

    `settled`: it shows all there is to be expected. `exhausted`: all that this worker can find out
    before it serves, which is not the lists of a backend that another worker has just started.
    `outdated`: the catalogue does not show all that is known. It rests until `rest_until`, in
    seconds of the monotonic clock. `lasting`: it may be kept for the next session.
    """

    def __init__(
        self,
        config: Config,
        *,
        hashes: Mapping[str, str],
        builtin: RawLists | None,
        instructions: str,
        send: Callable[..., None],
        save: Callable[[Path, bytes], object],
        log: Log,
    ) -> None:
        self.catalogue: Catalogue | None = None
        self.settled = False
        self.exhausted = False
        self.lasting = True
        self._config = config
        self._hashes = hashes
        self._builtin = builtin
        self._instructions = instructions
        self._send = send
        self._save = save
        self._log = log
        self._lists: dict[str, RawLists] = {}
        self._cache_path: Path | None = None
        self.outdated = True
        self.rest_until = 0.0
        self._unsaved = True
        self._sent: tuple[str, bool] | None = None
        self._tools: Counter[str] = Counter()
        self._problems: tuple[str, ...] = ()

    def known(self, message: v1.KnownLists, payload: bytes) -> RawLists | None:
        """Take over lists that an earlier worker learned; None where they do not fit."""
        if self._hashes.get(message.backend) != message.spec_hash:
            return None
        lists = raw_lists.decode(payload)
        if lists is not None:
            self._lists[message.backend] = lists
            self.outdated = True
        return lists

    def learned(self, backend: Backend) -> None:
        """Take in what a backend has just said."""
        assert backend.lists is not None
        self._lists[backend.name] = backend.lists
        self.outdated = self._unsaved = True
        spec_hash = self._hashes[backend.name]
        payload = raw_lists.encode(backend.lists)
        self._send(v1.LearnedLists(backend.name, spec_hash), payload)

    def keep_at(self, path: str) -> None:
        """Keep catalogue and lists in this file from now on; empty: nowhere."""
        where = Path(path) if path else None
        self._unsaved = self._unsaved or where != self._cache_path
        self._cache_path = where

    def due(self, backends: Mapping[str, Backend]) -> bool:
        """Return whether it is time to rebuild. What is outdated may rest a while, so that many
        backends that start, or one that keeps changing, cannot take up all the time; the last
        one to be learned does not wait.
        """
        if not self.outdated:
            return False
        complete = not (self.settled or _learning(backends))
        return complete or time.monotonic() >= self.rest_until

    def rebuild(self) -> Catalogue:
        """Build the catalogue from all that is known, and return it."""
        began = time.monotonic()
        self.outdated = False
        catalogue = catalogues.build(self._config, self._lists, self._builtin)
        self.catalogue = catalogue
        self._tools = Counter(entry.backend for entry in catalogue.body.tools)
        for problem in catalogue.problems:
            if problem not in self._problems:
                self._log.warning(problem)
        self._problems = catalogue.problems
        ended = time.monotonic()
        self.rest_until = ended + REST_FACTOR * (ended - began)
        return catalogue

    def report(self, backends: Mapping[str, Backend]) -> None:
        """Tell the supervisor, and the disk, what is new."""
        catalogue = self.catalogue
        assert catalogue is not None
        # Once settled, a backend that is tried again does not unsettle what is shown.
        known = not (self.outdated or _learning(backends))
        self.exhausted = self.exhausted or known
        self.settled = self.settled or (known and not _awaiting(backends))
        state = (catalogue.digest, self.settled)
        if state != self._sent:
            self._sent = state
            self._send(v1.Catalogue(*state), catalogue.payload)
        whole = self.settled or catalogue.complete
        if self._unsaved and self._cache_path and self.lasting and whole:
            self._unsaved = False
            self._save(self._cache_path, self._snapshot(catalogue))

    def tools_of(self, backend: str) -> int:
        """Return how many tools of a backend the client sees."""
        return self._tools[backend]

    def _snapshot(self, catalogue: Catalogue) -> bytes:
        return cache.dump(
            cache.Snapshot(
                digest=catalogue.digest,
                instructions=self._instructions,
                body=catalogue.body,
                lists=[
                    cache.Lists(name, self._hashes[name], raw_lists.encode(lists))
                    for name, lists in sorted(self._lists.items())
                    if name in self._hashes
                ],
            )
        )


def _awaiting(backends: Mapping[str, Backend]) -> bool:
    """Return whether lists will come with a backend, as soon as it comes from another worker."""
    return any(
        backend.state is State.AWAITED and backend.lists is None for backend in backends.values()
    )


def _learning(backends: Mapping[str, Backend]) -> bool:
    return any(backend.learning for backend in backends.values())
