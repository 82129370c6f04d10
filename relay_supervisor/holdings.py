"""What the supervisor holds of each backend: the other ends of its pipes, and its mailbox. Lent to
the worker that has the backend, tended while none has it, closed at its end.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from relay_supervisor.adapters import children
from relay_supervisor.adapters.children import Pipes
from relay_supervisor.adapters.loop import Loop
from relay_supervisor.adapters.pidfds import Pidfds
from relay_supervisor.adapters.stderr_tender import StderrTender
from relay_supervisor.adapters.worker_pipe import WorkerPipe
from relay_supervisor.core import effects, events
from relay_supervisor.errors import SpawnFailed
from relay_supervisor.wire import mailbox, v1

KILL: Final = 9


class Holdings:
    """All backends' descriptors, by pid; `effects` are its lines of the table of effects."""

    def __init__(
        self,
        loop: Loop,
        on_event: Callable[[events.AnyEvent], None],
        workers: Mapping[int, WorkerPipe],
        pidfds: Pidfds,
        pipes: dict[int, Pipes],
        tended: Mapping[int, bytes],
    ) -> None:
        """*workers* are the workers' pipes by generation; *pipes* and *tended* are what the process
        image before has left.
        """
        self.pipes = pipes
        self._on_event = on_event
        self._workers = workers
        self._pidfds = pidfds
        self._tender = StderrTender(loop)
        for pid, kept in tended.items():
            self._tender.begin(pid, pipes[pid].stderr, kept)
        self.effects: dict[type, Callable[[Any], None]] = {
            effects.SpawnBackend: self.spawn,
            effects.GiveBackend: self.give,
            effects.TendStderr: self.tend,
            effects.ReleasePipes: self.release,
            effects.CloseStdin: self.close,
        }

    def tended(self) -> dict[int, bytes]:
        """Return what is to be left of stderr to the next process image."""
        return self._tender.export()

    def spawn(self, effect: effects.SpawnBackend) -> None:
        """Start a backend, and lend what it is spoken to with to the worker that asked."""
        wanted, number = effect.request, effect.generation

        def failed(reason: str) -> None:
            failure = events.BackendSpawnFailed(number, wanted.token, wanted.backend, reason)
            self._on_event(failure)

        try:
            pid, pipes = children.spawn_backend(
                wanted.argv, wanted.env, wanted.cwd, wanted.mailbox_bytes
            )
        except SpawnFailed as error:
            return failed(str(error))
        pipe = self._workers.get(number)
        try:
            if pipe is not None:
                pipe.send_fds(wanted.token, pipes.descriptors())
        except OSError as error:
            children.kill_group(pid, KILL)
            pipes.close()
            return failed(f"its pipes could not be passed to the worker: {error}")
        self.pipes[pid] = pipes
        held = self._pidfds.open(pid)
        spawned = events.BackendSpawned(number, wanted.token, wanted.backend, pid, held)
        self._on_event(spawned)
        return None

    def give(self, effect: effects.GiveBackend) -> None:
        """Lend to another worker."""
        message = effect.message
        unread = self._tender.end(message.pid)
        pipe, pipes = self._workers.get(effect.generation), self.pipes.get(message.pid)
        if pipe is None or pipes is None:
            return  # the worker is gone, and whoever comes next will be given it
        # Where descriptors do not get through, the worker misses them, and refuses.
        with contextlib.suppress(OSError):
            pipe.send_fds(message.token, pipes.descriptors())
        pipe.send(v1.encode(message), effect.payload)
        if unread:
            pipe.send(v1.encode(v1.Stderr(message.backend, message.pid)), unread)

    def tend(self, effect: effects.TendStderr) -> None:
        """Nobody has it: read its stderr."""
        if (pipes := self.pipes.get(effect.pid)) is not None and pipes.stderr >= 0:
            self._tender.begin(effect.pid, pipes.stderr)

    def release(self, effect: effects.ReleasePipes) -> None:
        """It is gone, and nobody needs these any more."""
        self.close(effect)
        self.pipes.pop(effect.pid, None)

    def close(self, effect: effects.ReleasePipes | effects.CloseStdin) -> None:
        """Close all of it, so that the backend can see the end of its input."""
        self._tender.end(effect.pid)
        if (pipes := self.pipes.get(effect.pid)) is not None:
            pipes.close()

    def records(self) -> dict[int, mailbox.Record]:
        """Return what the mailboxes say is being written, by pid; to be believed only of backends
        whose worker is dead.
        """
        mailboxes = {pid: pipes.mailbox for pid, pipes in self.pipes.items() if pipes.mailbox >= 0}
        found = {pid: mailbox.read(fd) for pid, fd in mailboxes.items()}
        return {pid: record for pid, record in found.items() if record is not None}
