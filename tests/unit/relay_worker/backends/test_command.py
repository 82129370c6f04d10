"""Programs are found as the backend would find them, or it is said what is wrong."""

from pathlib import Path

import pytest

from relay_worker.backends.command import CommandError, resolve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, mode in (("tool", 0o755), ("text", 0o644)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        path = tmp_path / "bin" / name
        path.write_text("#!/bin/sh\n")
        path.chmod(mode)
    (tmp_path / "bin" / "dir").mkdir()
    return tmp_path


@pytest.mark.parametrize("command", ["tool", "bin/tool", "./bin/tool"])
def test_a_program_is_found(folder: Path, command: str) -> None:
    env = {"PATH": f"/nowhere::{folder}/bin"}
    assert Path(resolve(command, env, str(folder))).resolve() == folder / "bin" / "tool"


def test_a_relative_path_entry_starts_from_the_backends_folder(folder: Path) -> None:
    assert Path(resolve("tool", {"PATH": "bin"}, str(folder))) == folder / "bin" / "tool"


def test_without_a_path_the_systems_default_is_used(folder: Path) -> None:
    assert resolve("sh", {}, str(folder)).endswith("/sh")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("nothing", "was not found on PATH"),
        ("text", "is not executable"),
        ("dir", "is a folder"),
        ("bin/nothing", "does not exist"),
        ("bin/text", "is not executable"),
        ("bin", "was not found on PATH"),
        ("./bin", "is a folder"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, command: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        resolve(command, {"PATH": f"{folder}/bin"}, str(folder))


def test_a_missing_folder_is_said_first(folder: Path) -> None:
    with pytest.raises(CommandError, match=r"working directory .*missing.*does not exist"):
        resolve("tool", {}, str(folder / "missing"))
