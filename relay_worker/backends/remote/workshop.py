"""Makes the remote backends of a worker, and the thread they share."""

from collections.abc import Callable
from functools import partial

from relay_worker.backends.base import Host, Watcher
from relay_worker.backends.remote.backend import RemoteBackend, RemotePlan
from relay_worker.backends.remote.line import Line
from relay_worker.backends.remote.messages import Address, Listener
from relay_worker.backends.remote.thread import HttpThread
from relay_worker.backends.surroundings import Surroundings
from relay_worker.oauth.files import fingerprint


class Workshop:
    """The remote backends by name, and what concerns them all."""

    def __init__(self, around: Surroundings, host: Host, watcher: Watcher) -> None:
        self.backends: dict[str, RemoteBackend] = {}
        self._around = around
        self._host = host
        self._watcher = watcher
        self._thread = HttpThread(self._report, around.log.hide)

    def add(self, plan: RemotePlan) -> RemoteBackend:
        """Make the backend that *plan* describes."""
        backend = RemoteBackend(
            plan,
            self._around,
            self._host,
            self._watcher,
            connect=self._line,
            look_at=self._look,
        )
        self.backends[plan.name] = backend
        return backend

    def attend(self, *, attending: bool) -> None:
        """Hear what servers say by themselves, or leave that to another worker."""
        for backend in self.backends.values():
            backend.attend(attending=attending)

    def farewell(self) -> None:
        """The relay ends: let servers forget our sessions, if they are quick about it."""
        for backend in self.backends.values():
            backend.farewell()
        self._thread.flush()

    def _line(self, kind: str, address: Address, listener: Listener) -> Line:
        return Line(kind, address, self._around.loop, self._thread, listener)

    def _look(self, path: str, tell: Callable[[object], None]) -> None:
        loop = self._around.loop
        self._thread.post(lambda: loop.call_from_thread(partial(tell, fingerprint(path))))

    def _report(self, where: str, error: Exception) -> None:
        self._around.log.error(f"{type(error).__name__} {where}: {error}")
