"""Backends and workers are started clean, in a session of their own, and reaped by their pid."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.adapters import children
from relay_supervisor.errors import SpawnFailed
from tests.harness import wait_until
from tests.unit.relay_supervisor.adapters.descriptors import (
    open_fds,
    read_to_end,
    wait_readable,
)

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="macOS has no subreapers and no /proc")
REPOSITORY = Path(__file__).parents[4]
SECONDS = 20.0

REPORT = """
import json, os, signal, sys
fds = [int(n) for n in os.listdir("/dev/fd")]
print(json.dumps({
    "argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ),
    "fds": [n for n in fds if n < 3 or os.path.exists(f"/dev/fd/{n}")],
    "session": os.getsid(0), "group": os.getpgid(0), "pid": os.getpid(),
    "blocked": [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
}))
"""


class Started:
    """A backend, and what became of it."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        self.pid, self.pipes = children.spawn_backend(argv, env, cwd, 0)

    def ends(self) -> int:
        """Wait until it is dead, reap it and return its status."""
        dead: dict[int, int] = {}

        def reaped() -> bool:
            dead.update(children.reap())
            return self.pid in dead

        wait_until(reaped, SECONDS, "the child ends")
        return dead[self.pid]

    def output(self) -> tuple[bytes, bytes]:
        """All it wrote to stdout and stderr."""
        return read_to_end(self.pipes.stdout), read_to_end(self.pipes.stderr)


@pytest.fixture
def started() -> Iterator[list[Started]]:
    """Backends to be ended after the test, whatever it found."""
    before, found = open_fds(), list[Started]()
    yield found
    for child in found:
        child.pipes.close()
        children.kill_group(child.pid, signal.SIGKILL)
    wait_until(lambda: not children.reap() and no_children(), SECONDS)
    assert open_fds() == before, "descriptors are left open"


def no_children() -> bool:
    """Whether this process has no child at all."""
    try:
        os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
    except ChildProcessError:
        return True
    return False


def start(
    started: list[Started],
    *argv: str,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
) -> Started:
    """Start a backend that the fixture will end."""
    child = Started(argv, {"PATH": os.environ["PATH"]} if env is None else env, cwd)
    started.append(child)
    return child


def report(started: list[Started], *argv: str, **options: Any) -> Any:
    """What a Python program finds when it is started as a backend."""
    child = start(started, sys.executable, "-c", REPORT, *argv, **options)
    out, err = child.output()
    assert err == b""
    assert child.ends() == 0
    return json.loads(out) | {"expected_pid": child.pid}


ODD = ("plain", "two words", "", "$HOME", "`x`", "'\"", "line\nbreak", "-x", "--", "*", "\u00e9")


def test_a_backend_gets_its_arguments_environment_and_directory_as_they_are(
    started: list[Started], tmp_path: Path
) -> None:
    folder = tmp_path / "-a $folder's name\n"
    folder.mkdir()
    env = {"PATH": os.environ["PATH"], "ODD": "two\nlines", "EMPTY": "", "LC_ALL": "C.UTF-8"}
    found = report(started, *ODD, env=env, cwd=str(folder))
    assert found["argv"] == list(ODD)
    assert Path(found["cwd"]).samefile(folder)
    shell = {"PWD", "OLDPWD", "SHLVL", "_", "__CF_USER_TEXT_ENCODING"}
    assert {k: v for k, v in found["env"].items() if k not in shell} == env


def test_a_relative_directory_and_none_are_those_of_the_relay(
    started: list[Started], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    assert Path(report(started, cwd="")["cwd"]).samefile(tmp_path)
    assert Path(report(started, cwd="sub")["cwd"]).samefile(tmp_path / "sub")


def test_it_leads_a_session_of_its_own_with_no_signal_blocked(started: list[Started]) -> None:
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
    try:
        found = report(started)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    assert found["pid"] == found["session"] == found["group"] == found["expected_pid"]
    assert found["blocked"] == []


def test_it_has_no_descriptor_of_ours_but_its_own_three(started: list[Started]) -> None:
    ours = os.pipe()
    # What whoever started pytest left inheritable is not ours to close.
    inherited = {fd for fd in open_fds() if fd > 2 and os.get_inheritable(fd)}
    first = report(started)
    second = report(started)
    for fd in ours:
        os.close(fd)
    assert set(first["fds"]) - inherited == set(second["fds"]) - inherited == {0, 1, 2}


@LINUX
def test_signals_we_ignore_are_not_ignored_by_it(started: list[Started]) -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and an ignored signal is inherited."""
    child = start(started, "grep", "SigIgn", "/proc/self/status")
    out, _ = child.output()
    ignored = int(out.split()[1], 16)
    for number in children.DEFAULT_SIGNALS:
        assert not ignored & (1 << (number - 1)), signal.Signals(number)


def test_our_ends_do_not_block_and_the_childs_do(started: list[Started]) -> None:
    child = start(started, "cat")
    ours = (child.pipes.stdin, child.pipes.stdout, child.pipes.stderr)
    assert [os.get_blocking(fd) for fd in ours] == [False, False, False]
    assert not any(os.get_inheritable(fd) for fd in ours)
    os.write(child.pipes.stdin, b"there and back")
    wait_readable(child.pipes.stdout)
    assert os.read(child.pipes.stdout, 100) == b"there and back"


def test_a_directory_that_is_missing_ends_the_child_with_a_word_about_it(
    started: list[Started], tmp_path: Path
) -> None:
    child = start(started, "echo", "not run", cwd=str(tmp_path / "missing"))
    out, err = child.output()
    assert out == b"" and b"missing" in err
    assert child.ends() != 0


def test_a_program_that_is_missing_ends_the_child_with_127(started: list[Started]) -> None:
    child = start(started, "no-such-program-anywhere")
    _, err = child.output()
    assert b"no-such-program-anywhere" in err
    assert child.ends() == 127


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        (["echo", "x" * (64 << 20)], {}),
        (["echo"], {"LARGE": "x" * (64 << 20)}),
        (["echo", "with\0nul"], {}),
        (["echo"], {"A": "with\0nul"}),
        (["echo"], {"with=equals": "x"}),
        (["echo", "\ud83d"], {}),
    ],
    ids=["argument", "environment", "nul", "nul in env", "equals in name", "surrogate"],
)
def test_what_cannot_be_passed_on_is_refused_and_leaves_nothing(
    started: list[Started], argv: list[str], env: dict[str, str]
) -> None:
    with pytest.raises(SpawnFailed, match="cannot start"):
        start(started, *argv, env=env)
    assert children.reap() == []


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", -9), ("exit 0", 0)])
def test_the_dead_are_reaped_with_their_status(
    started: list[Started], script: str, status: int
) -> None:
    assert start(started, "sh", "-c", script).ends() == status
    assert children.reap() == []


def test_a_group_is_killed_with_the_grandchildren_in_it(started: list[Started]) -> None:
    """`npx` and `uv` start the server as a child of their own."""
    child = start(started, "sh", "-c", "exec 3<&0; cat <&3 & echo up; wait")
    wait_readable(child.pipes.stdout)
    children.kill_group(child.pid, signal.SIGKILL)
    assert child.ends() == -9
    assert child.output() == (b"up\n", b""), "the grandchild has closed its end, too"


def test_a_group_that_is_gone_can_be_signalled(started: list[Started]) -> None:
    child = start(started, "true")
    child.ends()
    children.kill_group(child.pid, signal.SIGTERM)


def test_pipes_are_closed_once(started: list[Started]) -> None:
    child = start(started, "cat")
    numbers = (child.pipes.stdin, child.pipes.stdout, child.pipes.stderr)
    child.pipes.close()
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in numbers]
    child.pipes.close()
    for fd in taken:
        os.fstat(fd)
        os.close(fd)
    assert child.ends() == 0, "cat has seen the end of its input"


def test_a_worker_is_this_python_with_its_descriptors_and_nothing_of_the_project(
    started: list[Started], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$*"\nfor n in "$@"; do last=$n; done\nls /dev/fd >&2\n')
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    read, write = os.pipe()
    extra, kept = os.pipe()
    ledger, _ = memory = os.pipe()
    pid = children.spawn_worker(str(python), (extra, kept), ledger, write, own=True)
    assert not os.get_inheritable(ledger), "ours alone again"
    for fd in (write, extra, kept, *memory):
        os.close(fd)
    said = read_to_end(read).decode().split("\n", 1)
    os.close(read)
    dead = dict[int, int]()
    wait_until(lambda: dead.update(children.reap()) or pid in dead, SECONDS)
    assert said[0] == f"-P -m relay_worker --fds {extra},{kept} --ledger {ledger}"
    assert {"0", "1", "2", str(extra), str(kept)} <= set(said[1].split())
    assert str(read) not in said[1].split()


@LINUX
def test_orphans_are_adopted_and_killed_with_all_the_others() -> None:
    """In a process of its own, as it kills every child it has."""
    program = """
import os, select
from relay_supervisor.adapters import children

assert children.adopt_orphans()
script = "exec 3<&0; sh -c 'setsid cat <&3 & cat <&3 &'; echo up; exec cat"
pid, pipes = children.spawn_backend(["sh", "-c", script], os.environ, "/", 0)
assert select.select([pipes.stdout], [], [], 10)[0]
adopted = [n for n in children.children() if n != pid]
assert pid in children.children() and len(adopted) == 2, adopted
children.kill_all()
print(children.children(), children.reap())
# Both ends of every pipe of theirs are closed: nobody is left, in whatever session.
print(os.read(pipes.stdout, 100), os.read(pipes.stdout, 100), os.read(pipes.stderr, 100))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == ["[] []", "b'up\\n' b'' b''"]


def test_a_worker_of_a_release_that_was_removed_is_refused_with_what_to_do(tmp_path: Path) -> None:
    missing = str(tmp_path / "bin" / "python")
    with pytest.raises(SpawnFailed, match="its release was removed"):
        children.spawn_worker(missing, (), 0, 2, own=True)
