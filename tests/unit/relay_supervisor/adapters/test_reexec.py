"""`execve` of other code: a failure leaves all as it was, what comes up gets what it needs."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from relay_supervisor import memory_file
from relay_supervisor.adapters import reexec
from relay_supervisor.adapters.reexec import PROGRAM, TRIES_MAX, Code, become, signals_held
from tests.unit.relay_supervisor.adapters.descriptors import few_descriptors, open_fds

REPOSITORY = Path(__file__).parents[4]
HERE = Code(sys.executable, own=True)
ALL = signal.SIG_BLOCK, ()


def fails(error: OSError) -> Callable[[str, Sequence[str]], None]:
    def execv(path: str, argv: Sequence[str]) -> None:
        raise error

    return execv


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file"), OSError(24, "EMFILE"), OSError(7, "E2BIG")]
)
def test_an_execve_that_fails_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    monkeypatch.setattr(os, "execv", fails(error))
    kept = os.pipe()
    before = open_fds()
    with signals_held():
        reason = become(HERE, HERE, b"state", kept)
    assert error.strerror in reason
    assert open_fds() == before and not any(map(os.get_inheritable, kept))
    assert signal.pthread_sigmask(*ALL) == set()
    for fd in kept:
        os.close(fd)


def test_without_memory_or_descriptors_for_the_state_nothing_is_done() -> None:
    kept = os.pipe()
    with few_descriptors(0):
        reason = become(HERE, HERE, b"state", kept)
    assert "Too many open files" in reason and not any(map(os.get_inheritable, kept))
    for fd in kept:
        os.close(fd)


def test_a_descriptor_that_is_none_is_no_reason_to_end() -> None:
    reason = become(HERE, HERE, b"state", [resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1])
    assert "Bad file descriptor" in reason


def test_no_signal_comes_while_they_are_held_and_all_come_after() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    try:
        with signals_held() as mask:
            # To this thread: the program that runs the tests may have others.
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            assert came == [] and mask == []
        assert came == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_comes_up_gets_the_state_the_descriptors_and_the_way_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, object] = {}
    kept = os.pipe()

    def execv(path: str, argv: Sequence[str]) -> None:
        seen["inheritable"] = {fd for fd in kept if os.get_inheritable(fd)}
        seen["state"] = memory_file.read(int(argv[argv.index(PROGRAM) + 1]))
        seen["argv"] = [path, *argv]
        raise OSError(0, "seen")

    monkeypatch.setattr(os, "execv", execv)
    become(Code("/new", own=False), Code("/old", own=True), b"the state", kept)
    assert seen["inheritable"] == set(kept) and seen["state"] == b"the state"
    argv = seen["argv"]
    assert isinstance(argv, list)
    assert argv[:6] == ["/new", "/new", "-E", "-P", "-S", "-c"]
    assert argv[8:] == [str(TRIES_MAX), "new", "", "/new", "-E -P -S", "/old", "-P -S"]
    for fd in kept:
        os.close(fd)


# ---- the program that the new interpreter runs


def run(*args: str, keep: Sequence[int], **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-S", "-c", PROGRAM, *args],
        pass_fds=keep,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **more},
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("state", [b"", b"rubbish", b"mcp-relay state\n" + bytes(100)])
def test_no_state_is_no_relay_and_never_a_fresh_one(state: bytes) -> None:
    fd = memory_file.write("test", state)
    done = run(str(fd), "0", "new", "", "/new", "", "/old", "", keep=[fd])
    os.close(fd)
    assert done.returncode != 0 and done.stdout == b""
    assert b"StateRefused" in done.stderr


def test_code_that_does_not_come_up_gives_the_state_back(tmp_path: Path) -> None:
    """To the interpreter from before, with the same program and the reason."""
    fd = memory_file.write("test", b"rubbish")
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\nfor word; do echo "<$word>"; done\n')
    old.chmod(0o755)
    done = run(str(fd), "7", "new", "", "/new", "-P", str(old), "-E -P", keep=[fd])
    os.close(fd)
    words = done.stdout.decode()
    assert done.returncode == 0 and "StateRefused" in words
    assert words.startswith(f"<-E>\n<-P>\n<-c>\n<{PROGRAM}>\n<{fd}>\n<6>\n<old>\n<its code failed")
    assert words.endswith(f">\n</new>\n<-P>\n<{old}>\n<-E -P>\n")


FICKLE = """
import sys
import threading
from pathlib import Path
def resume(state, why):
    log = Path({log!r})
    tried = log.read_text().splitlines() if log.exists() else []
    log.write_text("\\n".join([*tried, f"{{state}} {{sys.argv[3]}}"]))
    if len(tried) < {fails}:
        raise SyntaxError("half written")
    return lambda: print("serves:", sys.argv[3], why)
"""


def fickle(folder: Path, fails: int) -> tuple[Path, str]:
    """Code for new and old that does not come up so often; where it notes that, and its place."""
    package = folder / "relay_supervisor"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "main.py").write_text(FICKLE.format(log=str(folder / "log"), fails=fails))
    return folder / "log", str(folder)


@pytest.mark.parametrize(
    ("fails", "role", "told"), [(0, "new", False), (3, "old", True), (4, "new", False)]
)
def test_files_that_are_being_written_are_waited_for(
    tmp_path: Path, fails: int, role: str, told: bool
) -> None:
    """Both codes are of the same files when a checkout is edited in place: neither comes up."""
    log, place = fickle(tmp_path, fails)
    codes = [sys.executable, "-P -S"] * 2
    done = run("77", "10", "new", "", *codes, keep=[], PYTHONPATH=place)
    assert done.stdout.decode().startswith(f"serves: {role} "), done.stderr
    assert (b"half written" in done.stdout) is told, "only the old one has to say why"
    assert log.read_text().splitlines() == [f"77 {('new', 'old')[n % 2]}" for n in range(fails + 1)]


def test_files_that_stay_broken_are_given_up(tmp_path: Path) -> None:
    log, place = fickle(tmp_path, 100)
    codes = [sys.executable, "-P -S"] * 2
    done = run("77", "3", "new", "", *codes, keep=[], PYTHONPATH=place)
    assert done.returncode != 0 and b"half written" in done.stderr
    assert len(log.read_text().splitlines()) == 4


def test_an_old_interpreter_that_has_gone_leaves_the_new_one(tmp_path: Path) -> None:
    _, place = fickle(tmp_path, 2)
    codes = [sys.executable, "-P -S", str(tmp_path / "gone"), "-P -S"]
    done = run("77", "10", "new", "", *codes, keep=[], PYTHONPATH=place)
    assert done.stdout.decode().startswith("serves: new "), done.stderr


def test_the_program_can_be_read_in_a_list_of_processes() -> None:
    assert PROGRAM.startswith("# mcp-relay") and len(PROGRAM) < 1500
    assert reexec.Code("/p", own=True).flags() == ["-P", "-S"]
