"""The supervisor's one loop: it joins the core with the adapters and carries out effects.

Whatever happens becomes an event for the core; whatever the core wants done is done here, at
once, without waiting. What is written during a turn goes out at its end, in one system call for
each descriptor.
"""

import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, NoReturn

import msgspec

from relay_supervisor import __version__, arguments, settings
from relay_supervisor.adapters import children
from relay_supervisor.adapters.client_stdio import ClientStdio, occupy
from relay_supervisor.adapters.control_socket import ControlSocket
from relay_supervisor.adapters.logbook import Logbook
from relay_supervisor.adapters.loop import Loop
from relay_supervisor.adapters.signals import Signals
from relay_supervisor.adapters.start_files import read_config, read_current_release, read_snapshots
from relay_supervisor.adapters.worker_pipe import WorkerPipe
from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Source
from relay_supervisor.core.relay import Relay
from relay_supervisor.core.workers import Identity
from relay_supervisor.errors import ConfigurationError, SpawnFailed
from relay_supervisor.wire import cache, v1

EXIT_USAGE: Final = 2
OVERSLEPT_SECONDS: Final = 1.0
"""A turn that ends this much after its deadline was not slow: we were stopped."""

LAST_WRITE_SECONDS_MAX: Final = 0.1
"""At the end the client gets this long to read what is still queued for it."""

OUR_FAULT: Final = "this is a bug of the relay's, please report it:"

JOURNAL_LINES_MAX: Final = 1000
"""Events kept for the journal while no worker is up; older ones are lost."""

_encode = msgspec.msgpack.Encoder().encode


class Supervisor:
    """The process: descriptors, children, and the core that decides about them."""

    def __init__(self, config: settings.Settings) -> None:
        self._loop = Loop()
        self._log = Logbook(config.log_level, config.log_format)
        self._pipes: dict[int, WorkerPipe] = {}
        self._workers: dict[int, int] = {}  # generation of each worker's pid
        self._journal: deque[bytes] = deque(maxlen=JOURNAL_LINES_MAX)
        self._backends: dict[int, children.Pipes] = {}
        self._events: deque[events.AnyEvent] = deque()
        self._handling = False
        self._status: int | None = None
        instance = self._instance = os.urandom(4).hex()
        snapshot = read_config(config.config_path)
        project = config.project.encode(errors="surrogateescape")
        cache_dir = os.path.join(config.state_dir, "cache")

        def base(configuration: bytes) -> str:
            return cache.key(configuration, project)

        identity = Identity(
            instance=instance,
            build=__version__,
            pid=os.getpid(),
            config_path=config.config_path,
            config_required=config.config_explicit,
            started_at=time.time(),
            project=config.project,
            state_dir=config.state_dir,
            log_level=config.log_level,
            log_format=config.log_format,
            python=sys.executable,
        )
        self._relay = Relay(
            identity,
            read_snapshots(cache_dir, base(snapshot or b"")),
            lambda conf, variant: os.path.join(cache_dir, f"{base(conf)}.{variant}.cache"),
            int.from_bytes(os.urandom(8), "big") | 1,
            Source(*_release(config.state_dir), config=snapshot),
        )
        self._carry_out = self._effect_table()
        self._signals = Signals(
            self._loop, lambda number: self._on(events.StopRequested(number)), self._reap
        )
        limits = self._relay.shared.state.limits
        self._client = ClientStdio(self._loop, self._on, limits.frame_bytes_max)
        self._control = ControlSocket(
            self._loop,
            config.runtime_dir,
            instance,
            os.getuid(),
            on_request=lambda c, line: self._on(events.ControlRequested(c, line)),
            log=lambda text: self._log.write("warning", text),
        )
        for problem in config.problems:
            self._log.write("warning", problem)
        children.keep_descriptors()
        if not children.adopt_orphans():
            self._log.write("debug", "this system lets orphans of backends go to init")

    def _effect_table(self) -> dict[type, Callable[[Any], None]]:
        return {
            effects.SendToClient: lambda e: self._client.send(e.buffers),
            effects.SendToWorker: self._send_to_worker,
            effects.SpawnWorker: self._spawn_worker,
            effects.ClosePipe: self._close_pipe,
            effects.Journal: self._write_journal,
            effects.SpawnBackend: self._spawn_backend,
            effects.CloseStdin: self._close_stdin,
            effects.Signal: lambda e: children.kill_group(e.pid, e.signal),
            effects.ReplyToControl: lambda e: self._control.reply(
                e.connection, e.line, done=e.done
            ),
            effects.LimitLines: lambda e: self._client.set_line_bytes_max(e.line_bytes_max),
            effects.Log: lambda e: self._log.write(e.level, e.text),
            effects.Exit: self._exit,
        }

    def run(self) -> int:
        """Serve until the end; return the exit status."""
        self._on(events.Started())
        try:
            self._control.open()
        except ConfigurationError as error:
            self._log.write("error", f"relayctl cannot reach this relay: {error}")
        self._flush()
        while self._status is None:
            self._turn()
        self._last_words()
        return self._status

    # ---- the loop ---------------------------------------------------------------------------

    def _turn(self) -> None:
        deadline = self._relay.next_deadline()
        if (other := self._control.next_deadline()) is not None:
            deadline = other if deadline is None else min(deadline, other)
        if deadline is None:
            self._loop.turn(None)
        else:
            ready = self._loop.wait(max(0.0, deadline - monotonic()))
            if (late := monotonic() - deadline) < 0.0:
                self._loop.serve(ready)
            else:
                self._on_deadline(ready, late)
        self._flush()

    def _on_deadline(self, ready: list[tuple[int, int]], late: float) -> None:
        if late > OVERSLEPT_SECONDS:
            self._on(events.Overslept(late))  # before anything else is timed
        # What came in time is served before the deadline: a wait that a SIGSTOP outlasted
        # returns without another look at what is ready.
        self._loop.serve(ready or self._loop.wait(0.0))
        self._on(events.DeadlinePassed())
        self._control.expire(monotonic())

    def _on(self, event: events.AnyEvent) -> None:
        """Let the core handle an event. One that an effect causes waits for its turn."""
        waiting = self._events
        waiting.append(event)
        if self._handling:
            return
        self._handling = True
        while waiting:
            try:
                wanted = self._relay.handle(waiting.popleft(), monotonic())
            except Exception:  # noqa: BLE001 - whatever we did wrong, the client keeps its server
                self._log.write("error", f"{OUR_FAULT} {traceback.format_exc()}")
                continue
            for effect in wanted:
                try:
                    self._carry_out[type(effect)](effect)
                except Exception:  # noqa: BLE001 - the effects after it must not be lost
                    self._log.write("error", f"{OUR_FAULT} {traceback.format_exc()}")
        self._handling = False

    def _flush(self) -> None:
        if self._journal or self._log.waiting:
            self._hand_on_records()
        self._client.flush()
        full = self._client.full
        for pipe in self._pipes.values():
            if pipe.paused is not full:
                pipe.pause(paused=full)
                self._on(events.WorkersUnread(full))
            pipe.flush()
        self._relay.shared.state.stderr_dropped = self._log.dropped

    def _hand_on_records(self) -> None:
        """Give the worker what it is to write into journal and log file."""
        if (active := self._relay.shared.workers.state.active) is None:
            return
        if self._journal:
            lines = b"".join(self._journal)
            self._journal.clear()
            self._send_to_worker(effects.SendToWorker(active, v1.Journal(), lines))
        if self._log.waiting:
            lines, dropped = self._log.take_for_file()
            self._send_to_worker(effects.SendToWorker(active, v1.Log(dropped), lines))

    # ---- effects ----------------------------------------------------------------------------

    def _send_to_worker(self, effect: effects.SendToWorker) -> None:
        if (pipe := self._pipes.get(effect.generation)) is not None:
            pipe.send(_encode(effect.message), effect.payload)

    def _close_pipe(self, effect: effects.ClosePipe) -> None:
        # There is none where no descriptors were left to make it with, or it is dead and gone.
        if (pipe := self._pipes.get(effect.generation)) is not None:
            pipe.hang_up()

    def _spawn_worker(self, effect: effects.SpawnWorker) -> None:
        number = effect.generation
        try:
            pipe = WorkerPipe(number, self._loop, self._on, self._log.pass_on)
        except OSError as error:
            self._on(events.WorkerSpawnFailed(number, f"no descriptors are left: {error}"))
            return
        self._pipes[number] = pipe
        try:
            pid = children.spawn_worker(effect.python, pipe.passed, pipe.ledger, pipe.stdout)
        except SpawnFailed as error:
            pipe.not_started()
            del self._pipes[number]
            self._on(events.WorkerSpawnFailed(number, str(error)))
            return
        pipe.started()
        self._workers[pid] = number
        self._on(events.WorkerSpawned(number, pid))

    def _spawn_backend(self, effect: effects.SpawnBackend) -> None:
        wanted, number = effect.request, effect.generation
        try:
            pid, pipes = children.spawn_backend(wanted.argv, wanted.env, wanted.cwd)
        except SpawnFailed as error:
            failed = events.BackendSpawnFailed(number, wanted.token, wanted.backend, str(error))
            self._on(failed)
            return
        self._backends[pid] = pipes
        pipe = self._pipes.get(number)
        try:
            if pipe is not None:
                pipe.send_fds(wanted.token, [pipes.stdin, pipes.stdout, pipes.stderr])
        except OSError as error:
            children.kill_group(pid, 9)
            reason = f"its pipes could not be passed to the worker: {error}"
            self._on(events.BackendSpawnFailed(number, wanted.token, wanted.backend, reason))
            return
        self._on(events.BackendSpawned(number, wanted.token, wanted.backend, pid))

    def _close_stdin(self, effect: effects.CloseStdin) -> None:
        if (pipes := self._backends.get(effect.pid)) is not None:
            pipes.close()

    def _exit(self, effect: effects.Exit) -> None:
        self._status = effect.status

    def _reap(self) -> None:
        for pid, status in children.reap():
            if (pipes := self._backends.pop(pid, None)) is not None:
                pipes.close()
            stages, words = None, ""
            if (number := self._workers.pop(pid, None)) is not None:
                pipe = self._pipes.pop(number)
                pipe.drain()
                stages, words = pipe.stages(), pipe.last_words()
                pipe.close()
            self._on(events.ProcessExited(pid, status, stages, words))

    def _write_journal(self, effect: effects.Journal) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        about = {"at": now, "instance": self._instance, "event": effect.event}
        self._journal.append(msgspec.json.encode(about | effect.fields) + b"\n")

    # ---- the end ----------------------------------------------------------------------------

    def _last_words(self) -> None:
        """Leave nothing behind: no answer unwritten, no process, no socket file."""
        until = monotonic() + LAST_WRITE_SECONDS_MAX
        self._client.flush()
        while self._client.waiting and (left := until - monotonic()) > 0:
            self._loop.turn(left)
        self._control.close()
        children.kill_all()
        self._client.close()


def run() -> NoReturn:
    """Be `mcp-relay`."""
    occupy()
    try:
        wanted = arguments.parse(sys.argv[1:])
        if wanted.show_help or wanted.show_version:
            sys.stdout.write(arguments.HELP if wanted.show_help else f"mcp-relay {__version__}\n")
            sys.exit(0)
        config = settings.from_environment(os.environ, _cwd(), os.getuid(), wanted.config)
    except ConfigurationError as error:
        sys.stderr.write(f"mcp-relay: {error}\n")
        sys.exit(EXIT_USAGE)
    status = Supervisor(config).run()
    # Not sys.exit: nothing registered by anybody may delay the end.
    os._exit(status)


def _cwd() -> str:
    """Return the working directory; a client may start us in one that was deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return os.path.expanduser("~")


def _release(state_dir: str) -> tuple[str, str]:
    """Return interpreter and name of the release a new relay starts with: the one that all relays
    have committed, else the environment this process itself runs in, which has no name.
    """
    return read_current_release(os.path.join(state_dir, "releases")) or (sys.executable, "")
