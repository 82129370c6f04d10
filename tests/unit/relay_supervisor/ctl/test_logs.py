"""`relayctl logs` through its command line."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl import logs
from relay_supervisor.ctl.main import relayctl
from relay_worker.persist import Writer


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the logs, not made yet."""
    monkeypatch.setenv("RELAY_STATE_DIR", str(tmp_path))
    return tmp_path / "logs"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def run(*args: str) -> Result:
    return CliRunner().invoke(relayctl, ["logs", *args])


def test_the_relays_own_log(folder: Path) -> None:
    write(folder / "relay.log", "".join(f"line {number}\n" for number in range(300)))
    result = run()
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"line {number}" for number in range(200, 300)]
    assert run("-n", "2").stdout == "line 298\nline 299\n"
    assert run("--lines", "0").stdout == ""


def test_a_backends_log(folder: Path) -> None:
    write(folder / "backends" / "files.log", "from files\n")
    write(folder / "backends" / "other.log", "from other\n")
    assert run("files").stdout == "from files\n"


@pytest.mark.parametrize("backend", ["files", "my server", "a/b", "../../etc", "ünïcode"])
def test_the_name_is_found_where_the_worker_wrote_it(folder: Path, backend: str) -> None:
    writer = Writer(folder.parent, log_bytes_max=1 << 20, log_files_max=2, report=lambda text: None)
    writer.start()
    assert writer.log_backend(backend, b"hello\n")
    assert writer.close(10.0)
    assert run(backend).stdout == "hello\n"


def test_no_log_yet(folder: Path) -> None:
    result = run()
    assert result.exit_code == 1
    assert str(folder / "relay.log") in result.stderr


def test_an_unknown_backend_is_answered_with_those_there_are(folder: Path) -> None:
    write(folder / "backends" / "files.log", "x\n")
    write(folder / "backends" / "files.log.1", "x\n")
    write(folder / "backends" / "time.log", "x\n")
    result = run("fils")
    assert result.exit_code == 1
    assert "'fils'" in result.stderr and "files, time" in result.stderr


def test_a_path_is_no_backend(folder: Path) -> None:
    write(folder / "relay.log", "secret\n")
    assert run("../relay").exit_code == 1


def test_a_log_that_cannot_be_read(folder: Path) -> None:
    (folder / "relay.log").mkdir(parents=True)
    result = run()
    assert result.exit_code == 1 and "cannot be read" in result.stderr


@pytest.mark.parametrize("args", [("-n", "-1"), ("-n", "x"), ("a", "b"), ("--nonsense",)])
def test_a_wrong_command_line(folder: Path, args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2


def test_bytes_pass_a_pipe_unchanged(folder: Path) -> None:
    folder.mkdir()
    (folder / "relay.log").write_bytes(b"\x1b[31mred\xff\n")
    assert run().stdout_bytes == b"\x1b[31mred\xff\n"


def test_a_terminal_gets_nothing_it_could_act_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    logs._show(b"\t\x1b[31mred\x1b[0m \x1b]0;title\x07\xff\x9b\n  two\n")
    assert out.getvalue() == "\tred \ufffd\ufffd\n  two\n"


class Clock:
    """Stands in for the pause between two looks; then comes Ctrl-C."""

    def __init__(self, *between: Callable[[], object]) -> None:
        self.between = list(between)

    def sleep(self, seconds: float) -> None:
        if not self.between:
            raise KeyboardInterrupt
        self.between.pop(0)()


def test_following_shows_what_is_written_until_interrupted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = folder / "relay.log"
    write(log, "one\ntwo\n")

    def rotate() -> None:
        log.rename(folder / "relay.log.1")
        write(log, "four\n")

    monkeypatch.setattr(logs, "time", Clock(lambda: write(log, "three\n"), rotate, lambda: None))
    result = run("-f", "-n", "1")
    assert result.exit_code == 0 and result.stderr == ""
    assert result.stdout == "two\nthree\nfour\n"


def test_following_waits_for_a_log_that_is_not_there_yet(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "backends" / "late.log"
    monkeypatch.setattr(logs, "time", Clock(lambda: None, lambda: write(path, "hello\n")))
    result = run("-f", "late")
    assert result.exit_code == 0
    assert result.stdout == "hello\n" and "Waiting" in result.stderr
