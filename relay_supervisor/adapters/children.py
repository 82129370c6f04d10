"""Starting, signalling and reaping child processes. Never waits for one.

Everything is started with posix_spawn from the main thread, in a session of its own, with the
signal mask and dispositions of a fresh process, and with no descriptor it was not given. Backends
go through /bin/sh as an exec shim: what may block (changing to a directory, finding a program on
a dead network drive) then happens in the child.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from relay_supervisor import memory_file
from relay_supervisor.errors import SpawnFailed

SHIM: Final = ("/bin/sh", "-c", 'cd -- "$0" && exec "$@"')
DEFAULT_SIGNALS: Final = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
)
"""Python ignores the first two, and children would inherit that."""

STDERR: Final = 2

PR_SET_CHILD_SUBREAPER: Final = 36


def keep_descriptors() -> None:
    """Let no child inherit what the client has left open for us by mistake."""
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError, ValueError):
            if (fd := int(name)) > STDERR:
                os.set_inheritable(fd, False)


class Pipes(msgspec.Struct):
    """Our duplicates of a backend's pipe ends: where it reads, writes, and complains; and its
    mailbox, -1 where there is none.
    """

    stdin: int
    stdout: int
    stderr: int
    mailbox: int = -1

    def descriptors(self) -> list[int]:
        """Return what is still open."""
        return [fd for name in self.__struct_fields__ if (fd := getattr(self, name)) >= 0]

    def close(self) -> None:
        """Close what is still open."""
        for name in self.__struct_fields__:
            if (fd := getattr(self, name)) >= 0:
                os.close(fd)
                setattr(self, name, -1)


def spawn_worker(python: str, passed: Sequence[int], ledger: int, output: int, *, own: bool) -> int:
    """Start a worker and return its pid.

    Args:
        python: the interpreter to run it with, whose environment has `relay_worker`.
        own: it is the one the relay was started with.
        passed: descriptors it inherits and finds by their numbers in its arguments.
        ledger: descriptor of the ledger's memory, inherited too.
        output: where its stdout and stderr go.

    Raises:
        SpawnFailed: the machine has no room for it.
    """
    if not os.path.exists(python):
        raise SpawnFailed(
            f"there is no {python} any more: its release was removed. Swap to another one; "
            "`relayctl releases` lists them"
        )
    # -P: the working directory is the user's project, and nothing is to be imported from there.
    argv = [python, "-P", "-m", "relay_worker", "--fds", ",".join(map(str, passed))]
    argv += ["--ledger", str(ledger)]
    for fd in (*passed, ledger):
        os.set_inheritable(fd, True)
    try:
        return _spawn(argv, _environment(own=own), (os.devnull, output, output))
    finally:
        os.set_inheritable(ledger, False)  # the others are closed by now, this one we keep


def spawn_self_check(python: str, state: int, output: int, *, own: bool) -> int:
    """Let an interpreter's code for the supervisor look at *state*; return the child's pid.

    Raises:
        SpawnFailed: there is no such interpreter, or no room for it.
    """
    argv = [python, "-P", "-m", "relay_supervisor", "--self-check", str(state)]
    os.set_inheritable(state, True)
    return _spawn(argv, _environment(own=own), (os.devnull, output, output))


def _environment(*, own: bool) -> dict[str, str]:
    """A release is to run its own code, whatever the paths of the client's environment say."""
    foreign = () if own else ("PYTHONPATH", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in foreign}


def spawn_backend(
    argv: Sequence[str], env: Mapping[str, str], cwd: str, mailbox_bytes: int
) -> tuple[int, Pipes]:
    """Start a backend; return its pid and the other ends of its three pipes, non-blocking, with a
    mailbox unless *mailbox_bytes* is 0.

    Raises:
        SpawnFailed: the machine has no room for it, or an argument cannot be passed on.
    """
    fds: list[int] = []
    try:
        for _ in range(3):
            fds += os.pipe()
        stdin, ours_in, ours_out, stdout, ours_err, stderr = fds
        for fd in (ours_in, ours_out, ours_err):
            os.set_blocking(fd, False)
        mailbox = memory_file.make("mailbox", mailbox_bytes) if mailbox_bytes else -1
        if mailbox >= 0:
            fds.append(mailbox)
        pid = _spawn([*SHIM, cwd or ".", *argv], env, (stdin, stdout, stderr))
    except OSError as error:
        _close(fds)
        raise SpawnFailed(f"no descriptors are left to start it with: {error}") from error
    except SpawnFailed:
        _close(fds)
        raise
    _close((stdin, stdout, stderr))
    return pid, Pipes(ours_in, ours_out, ours_err, mailbox)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _spawn(argv: Sequence[str], env: Mapping[str, str], stdio: tuple[str | int, int, int]) -> int:
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    for target, source in enumerate(stdio):
        if isinstance(source, str):
            actions.append((os.POSIX_SPAWN_OPEN, target, source, os.O_RDONLY, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, source, target))
    try:
        return os.posix_spawn(
            argv[0],
            list(argv),
            env,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=DEFAULT_SIGNALS,
        )
    except (OSError, ValueError) as error:
        raise SpawnFailed(f"cannot start {argv[0]}: {error}") from error


def reap() -> list[tuple[int, int]]:
    """Return pid and status (minus the signal) of every child that has died."""
    dead: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return dead
        if not pid:
            return dead
        dead.append((pid, os.waitstatus_to_exitcode(status)))


def kill_group(pid: int, number: int) -> None:
    """Signal the process group that *pid* leads; one that is gone is fine."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # gone, or (macOS) nothing but zombies


def adopt_orphans() -> bool:
    """Become the parent of descendants whose own parent dies; False where there is no such thing.

    So an `npx` that leaves its server behind cannot leave it behind for good.
    """
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def children() -> list[int]:
    """Return the pids of all our children, adopted ones too; none where /proc does not tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def kill_all(rounds_max: int = 50) -> None:
    """Kill child after child, as each death may hand us more of them; bounded, does not wait."""
    for _ in range(rounds_max):
        reap()
        left = children()
        if not left:
            return
        for pid in left:
            kill_group(pid, signal.SIGKILL)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        # The kernel needs a moment to hand over the orphans of what was just killed. The loop
        # has ended by now, so there is nothing to block.
        time.sleep(0.005)
