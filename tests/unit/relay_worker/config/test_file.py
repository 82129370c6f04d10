"""The file itself: what can be read, what is trusted, and what happens without one."""

import os
import threading
from pathlib import Path

import pytest

from relay_worker.config.load import Loaded, embedded, load, load_located
from relay_worker.config.locate import Location
from relay_worker.config.model import Config
from relay_worker.config.parse import CONFIG_BYTES_MAX
from relay_worker.config.problems import Problem


def _only(loaded: Loaded) -> Problem:
    (problem,) = loaded.problems
    return problem


def _write(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def test_a_file_is_read_with_its_bytes(tmp_path: Path) -> None:
    path = _write(tmp_path / "relay.yaml", "backends: {a: {command: x}}\n", 0o644)
    got = load(path, {})
    assert got.problems == ()
    assert got.raw_bytes == b"backends: {a: {command: x}}\n"
    assert got.path == path
    assert got.directory == tmp_path


@pytest.mark.parametrize(
    ("mode", "who"), [(0o620, "its group"), (0o602, "everybody"), (0o666, "everybody")]
)
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int, who: str) -> None:
    path = _write(tmp_path / "my relay.yaml", "backends: {a: {command: x}}", mode)
    got = load(path, {})
    problem = _only(got)
    assert who in problem.found
    assert problem.advice == f"Run: chmod go-w '{path}'"
    assert got.broken
    assert got.config == Config()


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "relay.yaml", "backends: {a: {command: x}}")
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 12345, -1)
        owner = 12345
    got = load(path, {}, uid=owner + 1)
    assert f"uid {owner}" in _only(got).found
    assert got.broken
    assert not load(path, {}, uid=owner).broken


def _directory(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _nothing(path: Path) -> None:
    pass


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _large(path: Path) -> None:
    _write(path, b"#" * (CONFIG_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (_directory, "a directory"),
        (_pipe, "no regular file"),
        (_nothing, "no such file"),
        (_dangling, "no such file"),
        (_large, f"more than {CONFIG_BYTES_MAX} bytes"),
    ],
)
def test_what_is_no_readable_file_is_named(tmp_path: Path, make, found: str) -> None:
    path = tmp_path / "relay.yaml"
    make(path)
    got: list[Loaded] = []
    # In a thread, so that an open that waits for ever (a named pipe's) fails the test.
    thread = threading.Thread(target=lambda: got.append(load(path, {})), daemon=True)
    thread.start()
    thread.join(10)
    (result,) = got
    problem = _only(result)
    assert problem.found == found
    assert (problem.line, problem.key, problem.file) == (0, "", str(path))
    assert problem.advice
    assert result.broken


def test_a_path_no_system_takes_is_a_problem_too() -> None:
    assert "cannot be opened" in _only(load(Path("a\0b"), {})).found
    assert "cannot be opened" in _only(load(Path("/" + "x" * 5000), {})).found


def test_the_largest_file_allowed_is_read(tmp_path: Path) -> None:
    text = "backends: {a: {command: x}}\n"
    path = _write(tmp_path / "relay.yaml", text + "#" * (CONFIG_BYTES_MAX - len(text)))
    assert load(path, {}).problems == ()


def test_without_a_file_the_demo_runs_unless_one_was_named(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    default = load_located(Location(path, "default"), {})
    assert default == embedded()
    assert list(default.config.backends) == ["demo"]
    assert default.config.backends["demo"].args == ("-m", "relay_worker.demo")
    assert load_located(Location(path, "option"), {}).broken
    _write(path, "backends: {a: {command: x}}")
    assert list(load_located(Location(path, "default"), {}).config.backends) == ["a"]


def test_a_dangling_default_is_not_taken_for_none(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.symlink_to("nowhere")
    assert load_located(Location(path, "default"), {}).broken
