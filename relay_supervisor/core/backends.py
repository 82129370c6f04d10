"""The backends' processes as the supervisor sees them: it is their parent and counts them.

What they say is none of its business; that they start, end and are reported is.
"""

from relay_supervisor.core.custody import Custody
from relay_supervisor.core.effects import SpawnBackend
from relay_supervisor.core.events import BackendSpawned, BackendSpawnFailed
from relay_supervisor.core.generation import GONE, Generation
from relay_supervisor.core.processes import Pace
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Backend
from relay_supervisor.wire import v1


class Backends:
    """Starts backends for workers, ends them, and keeps what is reported of them."""

    def __init__(self, shared: Shared, custody: Custody) -> None:
        self._custody = custody
        self._shared = shared
        self._state = shared.state
        self._out = shared.out

    def configured(self, infos: list[v1.BackendInfo]) -> None:
        """These are the backends from now on; counts of those that stay go on."""
        before = self._state.backends
        self._state.backends = {
            info.name: before.get(info.name) or Backend(info.name, info.kind) for info in infos
        }
        for info in infos:
            backend = self._state.backends[info.name]
            backend.kind = info.kind
            backend.call_timeout_seconds = info.call_timeout_seconds

    def spawn(self, generation: Generation, message: v1.Spawn) -> None:
        """A worker wants a backend started."""
        if self._custody.may_spawn(generation, message.backend):
            self._out.put(SpawnBackend(generation.number, message))
        else:
            reason = "another worker has it, or its last process is not gone yet"
            refused = v1.SpawnRefused(message.token, message.backend, reason)
            self._out.worker(generation.number, refused)

    def spawned(self, event: BackendSpawned, pace: Pace | None, now: float) -> None:
        """It runs; `pace` is set where nobody wants it any more."""
        processes = self._shared.processes
        processes.add(event.pid, event.generation, event.backend, pidfd=event.pidfd)
        self._custody.spawned(event.generation, event.backend, event.pid)
        spawned = v1.Spawned(event.token, event.backend, event.pid)
        self._out.worker(event.generation, spawned)
        generation = self._shared.workers.state.generations.get(event.generation)
        if pace is not None or generation is None or generation.state in GONE:
            processes.end(event.pid, pace or Pace.HURRIED, now)

    def spawn_failed(self, event: BackendSpawnFailed) -> None:
        """It could not be started."""
        refused = v1.SpawnRefused(event.token, event.backend, event.reason)
        self._out.worker(event.generation, refused)

    def stop(self, generation: Generation, message: v1.StopBackend, now: float) -> None:
        """A worker wants a backend of its own ended; any other process is left alone."""
        process = self._shared.processes.by_pid.get(message.pid)
        if process is None or not process.backend:
            return
        if (process.generation, process.backend) == (generation.number, message.backend):
            self._shared.processes.end(message.pid, Pace.PATIENT, now)

    def reported(self, generation: Generation, message: v1.BackendState) -> None:
        """A worker says how a backend is; only the active one's word counts now."""
        generation.offer.states[message.backend] = message
        if generation.number == self._shared.workers.state.active:
            self._show(message)

    def serve(self, generation: Generation) -> None:
        """The backends of this generation are the ones that count from now on."""
        self.configured(generation.offer.backends)
        for message in generation.offer.states.values():
            self._show(message)

    def _show(self, message: v1.BackendState) -> None:
        backend = self._state.backends.get(message.backend)
        if backend is None:
            return
        backend.state, backend.pid, backend.tools = message.state, message.pid, message.tools
        backend.restarts, backend.last_error = message.restarts, message.last_error
        backend.skipped_lines = message.skipped_lines

    def lost(self, generation: int, now: float) -> None:
        """Their worker is dead. Nobody else can speak with them, but for those in custody."""
        for process in self._shared.processes.backends_of(generation):
            if not self._custody.charges.owner(process.pid):
                self._shared.processes.end(process.pid, Pace.HURRIED, now)
        if self._shared.workers.state.active in (None, generation):
            for backend in self._state.backends.values():
                if backend.pid is not None and self._custody.charges.owner(backend.pid):
                    backend.state = "awaited"
                else:
                    backend.state, backend.pid = "lost", None
