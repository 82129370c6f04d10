"""Programs that relayctl runs: their output, their failures, and that none of them is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.ctl.command import CommandFailed, run, tidy_at_signals
from tests.harness.processes import alive

Line = Callable[[str], None]


def python(program: str, on_line: Line = lambda line: None, seconds_max: float = 20.0) -> list[str]:
    return run(
        [sys.executable, "-I", "-c", program],
        env=os.environ,
        cwd=Path("/"),
        keep=[],
        seconds_max=seconds_max,
        on_line=on_line,
    )


def test_the_output_comes_line_by_line() -> None:
    seen: list[str] = []
    program = "import sys; print('one\\n\\n two'); sys.stdout.flush(); sys.stderr.write('three')"
    assert python(program, seen.append) == seen == ["one", "two", "three"]


def test_a_failure_has_the_last_lines() -> None:
    with pytest.raises(CommandFailed) as failed:
        python("print(*range(99), sep='\\n'); raise SystemExit(3)")
    lines = str(failed.value).splitlines()
    assert len(lines) == 15 and lines[-1] == "98"


def test_a_silent_failure_has_its_status() -> None:
    with pytest.raises(CommandFailed, match="ended with status 3"):
        python("raise SystemExit(3)")


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(CommandFailed, match="cannot be started"):
        run(["/missing"], env={}, cwd=Path("/"), keep=[], seconds_max=1, on_line=print)


def test_it_has_a_limit_and_takes_its_children_along() -> None:
    pids: list[int] = []
    program = (
        "import subprocess, sys, os; "
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE); "
        "print(child.pid, flush=True); child.wait()"
    )
    with pytest.raises(CommandFailed, match=r"over 0\.7 s"):
        python(program, lambda line: pids.append(int(line)), seconds_max=0.7)
    assert not alive(pids[0])


def test_an_interruption_takes_it_along() -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), tidy_at_signals():
        python("import os, signal; print(os.getpid(), flush=True); signal.pause()", interrupt)
    assert not alive(pids[0])
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interruption_while_it_is_being_started_takes_it_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        os.kill(os.getpid(), signal.SIGTERM)
        started.append(popen(*args, **options))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt), tidy_at_signals():
        python("import signal; signal.pause()")
    assert started[0].returncode == -signal.SIGKILL


def test_it_inherits_what_it_is_to_keep_and_nothing_else() -> None:
    fds = os.pipe()
    program = (
        "import os\nfor fd in range(3, 1024):\n try: os.fstat(fd); print(fd)\n except OSError: pass"
    )
    said = run(
        [sys.executable, "-I", "-c", program],
        env=os.environ,
        cwd=Path("/"),
        keep=[fds[1]],
        seconds_max=20,
        on_line=lambda line: None,
    )
    for fd in fds:
        os.close(fd)
    assert said == [str(fds[1])]
