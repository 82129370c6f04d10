"""The supervisor's one loop: it joins the core with the adapters and carries out effects.

Whatever happens becomes an event for the core; whatever the core wants done is done here, at
once, without waiting. What is written during a turn goes out at its end, in one system call for
each descriptor.
"""

import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, NoReturn

import msgspec

from relay_supervisor import __version__, arguments, beginning, memory_file, settings
from relay_supervisor import image as images
from relay_supervisor.adapters import children, reexec
from relay_supervisor.adapters.client_stdio import ClientStdio, occupy
from relay_supervisor.adapters.control_socket import ControlSocket
from relay_supervisor.adapters.logbook import Logbook
from relay_supervisor.adapters.loop import Loop
from relay_supervisor.adapters.pidfds import Pidfds
from relay_supervisor.adapters.signals import Signals
from relay_supervisor.adapters.worker_pipe import PipeState, WorkerPipe
from relay_supervisor.core import effects, events
from relay_supervisor.core.relay import Relay
from relay_supervisor.errors import ConfigurationError, SpawnFailed
from relay_supervisor.holdings import Holdings
from relay_supervisor.image import Image
from relay_supervisor.succession import OUR_FAULT, Succession
from relay_supervisor.wire import v1

EXIT_USAGE: Final = 2
OVERSLEPT_SECONDS: Final = 1.0
"""A turn that ends this much after its deadline was not slow: we were stopped."""

LAST_WRITE_SECONDS_MAX: Final = 0.1
"""At the end the client gets this long to read what is still queued for it."""

SELF_CHECK_SECONDS_MAX: Final = 30
"""More than anybody waits for one; it must not outlive us for long."""

JOURNAL_LINES_MAX: Final = 1000
"""Events kept for the journal while no worker is up; older ones are lost."""

_encode = msgspec.msgpack.Encoder().encode


class Supervisor:
    """The process: descriptors, children, and the core that decides about them."""

    def __init__(self, relay: Relay, left: Image) -> None:
        """Begin, or go on with what another process image has *left*. Until `run` or `go_on` nobody
        notices anything: should this fail, the other one can still go on itself.
        """
        self._settings = config = left.settings
        self._home = left.python
        self._relay = relay
        self._state = relay.shared.state
        self._loop = Loop()
        self._log = Logbook(config.log_level, config.log_format, left.log, self._lines_dropped)
        self._workers = left.workers
        self._journal = deque(left.journal, maxlen=JOURNAL_LINES_MAX)
        self._events: deque[events.AnyEvent] = deque()
        self._handling = False
        self._now = monotonic()
        self._decide, self._next_deadline = relay.handle, relay.next_deadline
        self._status: int | None = None
        self._succession = Succession(self._loop, self._on, self._home, self._image)
        self._instance = relay.shared.workers.identity.instance
        self._signals = Signals(
            self._loop, lambda number: self._on(events.StopRequested(number)), self._reap
        )
        frame_bytes_max = self._state.limits.frame_bytes_max
        self._client = ClientStdio(self._loop, self._on, frame_bytes_max, left.client)
        self._control = ControlSocket(
            self._loop,
            config.runtime_dir,
            self._instance,
            os.getuid(),
            on_request=lambda c, line: self._on(events.ControlRequested(c, line)),
            log=lambda text: self._log.write("warning", text),
            left=left.control,
        )
        self._pipes = {number: self._pipe(number, pipe) for number, pipe in left.pipes.items()}
        self._stderrs = [self._pipe(pipe.generation, pipe) for pipe in left.stderrs]
        self._pidfds = Pidfds(left.pidfds, children.kill_group)
        self._holdings = Holdings(
            self._loop, self._on, self._pipes, self._pidfds, left.backends, left.tended
        )
        self._unread = any(pipe.paused for pipe in self._pipes.values())
        self._carry_out = self._effect_table()

    def _pipe(self, number: int, left: PipeState | None = None) -> WorkerPipe:
        return WorkerPipe(number, self._loop, self._on, self._log.pass_on, left)

    def _effect_table(self) -> dict[type, Callable[[Any], None]]:
        return {
            effects.SendToClient: self._send_to_client,
            effects.SendToWorker: self._send_to_worker,
            effects.SpawnWorker: self._spawn_worker,
            effects.ClosePipe: self._close_pipe,
            effects.Journal: self._write_journal,
            **self._holdings.effects,
            effects.Signal: lambda e: self._pidfds.signal(e.pid, e.signal),
            effects.ReplyToControl: lambda e: self._control.reply(
                e.connection, e.line, done=e.done
            ),
            effects.CheckSupervisor: self._succession.check,
            effects.StopCheck: self._succession.stop_check,
            effects.ReplaceSupervisor: self._succession.appoint,
            effects.LimitLines: lambda e: self._client.set_line_bytes_max(e.line_bytes_max),
            effects.Log: lambda e: self._log.write(e.level, e.text),
            effects.Exit: self._exit,
        }

    def run(self) -> int:
        """Begin, and serve until the end; return the exit status."""
        for problem in self._settings.problems:
            self._log.write("warning", problem)
        children.keep_descriptors()
        if not children.adopt_orphans():
            self._log.write("debug", "this system lets orphans of backends go to init")
        self._on(events.Started())
        try:
            self._control.open()
        except ConfigurationError as error:
            self._log.write("error", f"relayctl cannot reach this relay: {error}")
        return self._serve()

    def _serve(self) -> int:
        self._flush()
        turn, succession = self._turn, self._succession
        while self._status is None:
            turn()
            if succession.appointed is not None:
                succession.take_place(self._last_call)
        self._last_words()
        return self._status

    # ---- the loop ---------------------------------------------------------------------------

    def _turn(self) -> None:
        """Wait, and serve whoever is ready. The clock is looked at once: all of a turn is now, and
        the next wait is measured from there.
        """
        deadline = self._next_deadline()
        if (other := self._control.next_deadline()) is not None:
            deadline = other if deadline is None else min(deadline, other)
        if deadline is None:
            ready = self._loop.wait(None)
            self._now = monotonic()
            self._loop.serve(ready)
        else:
            ready = self._loop.wait(max(0.0, deadline - self._now))
            self._now = now = monotonic()
            if now < deadline:
                self._loop.serve(ready)
            else:
                self._on_deadline(ready, now - deadline)
        self._flush()

    def _on_deadline(self, ready: list[tuple[int, int]], late: float) -> None:
        if late > OVERSLEPT_SECONDS:
            self._on(events.Overslept(late))  # before anything else is timed
        # What came in time is served before the deadline: a wait that a SIGSTOP outlasted
        # returns without another look at what is ready.
        self._loop.serve(ready or self._loop.wait(0.0))
        self._on(events.DeadlinePassed())
        self._control.expire(self._now)

    def _on(self, event: events.AnyEvent) -> None:
        """Let the core handle an event. One that an effect causes waits for its turn."""
        if self._handling:
            self._events.append(event)
            return
        self._handling = True
        carry_out, later = self._carry_out, self._events
        while True:
            try:
                wanted = self._decide(event, self._now)
            except Exception:  # noqa: BLE001 - whatever we did wrong, the client keeps its server
                self._our_fault()
                wanted = []
            for effect in wanted:
                try:
                    carry_out[type(effect)](effect)
                except Exception:  # noqa: BLE001 - the effects after it must not be lost
                    self._our_fault()
            if not later:
                break
            event = later.popleft()
        self._handling = False

    def _our_fault(self) -> None:
        self._log.write("error", f"{OUR_FAULT} {traceback.format_exc()}")

    def _flush(self) -> None:
        if self._journal or self._log.waiting:
            self._hand_on_records()
        self._loop.end_turn()
        if self._client.full is not self._unread:
            self._heed_client()

    def _heed_client(self) -> None:
        """Leave the workers unread while the client leaves too much unread."""
        self._unread = unread = self._client.full
        for pipe in self._pipes.values():
            pipe.pause(paused=unread)
        self._on(events.WorkersUnread(unread))
        self._loop.end_turn()

    def _lines_dropped(self, so_far: int) -> None:
        self._state.stderr_dropped = so_far

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

    def _send_to_client(self, effect: effects.SendToClient) -> None:
        self._client.send(effect.buffers)

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
            pipe = self._pipe(number)
        except OSError as error:
            self._on(events.WorkerSpawnFailed(number, f"no descriptors are left: {error}"))
            return
        self._pipes[number] = pipe
        try:
            pid = children.spawn_worker(
                effect.python,
                pipe.passed,
                pipe.ledger,
                pipe.stdout,
                own=effect.python == self._home,
            )
        except SpawnFailed as error:
            pipe.not_started()
            del self._pipes[number]
            self._on(events.WorkerSpawnFailed(number, str(error)))
            return
        pipe.started()
        if self._unread:
            pipe.pause(paused=True)
        self._workers[pid] = number
        self._on(events.WorkerSpawned(number, pid, self._pidfds.open(pid)))

    def _exit(self, effect: effects.Exit) -> None:
        self._status = effect.status

    def _reap(self) -> None:
        for pid, status in children.reap():
            self._pidfds.close(pid)
            self._succession.reaped(pid)
            if (number := self._workers.pop(pid, None)) is None:
                self._on(events.ProcessExited(pid, status))
                continue
            pipe = self._pipes.pop(number)
            pipe.drain()
            stages, words, records = pipe.stages(), pipe.last_words(), self._holdings.records()
            pipe.close()
            self._stderrs = [old for old in (*self._stderrs, pipe) if old.complains]
            self._on(events.ProcessExited(pid, status, stages, words, records))

    def _write_journal(self, effect: effects.Journal) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        about = {"at": now, "instance": self._instance, "event": effect.event}
        self._journal.append(msgspec.json.encode(about | effect.fields) + b"\n")

    # ---- other code -------------------------------------------------------------------------

    def _last_call(self) -> bool:
        self._signals.take()
        return self._status is None and self._relay.reexec.replacing

    def _image(self, signal_mask: list[int]) -> Image:
        return Image(
            self._settings,
            self._home,
            self._relay.export(),
            signal_mask,
            self._log.export(),
            self._client.export(),
            self._control.export(),
            {number: pipe.export() for number, pipe in self._pipes.items()},
            [pipe.export() for pipe in self._stderrs if pipe.complains],
            self._workers,
            self._holdings.pipes,
            list(self._journal),
            self._holdings.tended(),
            self._pidfds.by_pid,
        )

    def go_on(self, signal_mask: list[int], why: str) -> int:
        """Take over from another process image, and serve until the end; *why* is the reason why
        other code than this could not.
        """
        self._on(events.SupervisorStayed(why) if why else events.SupervisorReplaced())
        self._reap()  # whoever died meanwhile may have told the old image
        reexec.release_signals(signal_mask)
        return self._serve()

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
        if wanted.self_check is not None:
            signal.alarm(SELF_CHECK_SECONDS_MAX)
            sys.stdout.buffer.write(beginning.self_check(wanted.self_check))
            sys.exit(0)
        config = settings.from_environment(os.environ, _cwd(), os.getuid(), wanted.config)
    except ConfigurationError as error:
        sys.stderr.write(f"mcp-relay: {error}\n")
        sys.exit(EXIT_USAGE)
    status = Supervisor(*beginning.fresh(config)).run()
    # Not sys.exit: nothing registered by anybody may delay the end.
    os._exit(status)


def resume(state: int, why: str) -> Callable[[], NoReturn]:
    """Read what another process image has left in the descriptor *state*, and return what goes on
    from there. Until that is called nothing has changed. Add-only: other releases call it.

    Raises:
        StateRefused: it cannot be read; nobody may go on as if nothing had been.
    """
    left = images.load(memory_file.read(state))
    supervisor = Supervisor(beginning.resumed(left), left)
    descriptors, mask = left.descriptors(), left.signal_mask

    def go_on() -> NoReturn:
        os.close(state)
        reexec.keep_private(descriptors)
        os._exit(supervisor.go_on(mask, why))

    return go_on


def _cwd() -> str:
    """Return the working directory; a client may start us in one that was deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return os.path.expanduser("~")
