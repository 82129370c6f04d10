"""What a release is made of, without git: wheels and plain directories."""

import os
from pathlib import Path

import pytest
from click import ClickException

from relay_supervisor.ctl import source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    (folder / "relay_worker").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "relay_worker" / "__init__.py").write_text('"""Doc."""\n__version__ = "1.2.3"\n')
    return folder


def test_a_directory_is_named_by_version_and_content(folder: Path) -> None:
    one = source.look(str(folder))
    assert one.name == f"1.2.3-{one.digest[:8]}"
    assert one.files == ["pyproject.toml", "relay_worker/__init__.py"]
    assert source.look(f"{folder}/relay_worker/..").name == one.name
    (folder / "new").write_text("")
    assert source.look(str(folder)).name != one.name


@pytest.mark.parametrize("change", ["content", "mode", "name", "link"])
def test_every_change_is_another_digest(folder: Path, change: str) -> None:
    file = folder / "file"
    file.write_text("text")
    before = source.look(str(folder)).digest
    if change == "content":
        file.write_text("texts")
    elif change == "mode":
        file.chmod(0o755)
    elif change == "name":
        file.rename(folder / "elif")
    else:
        file.unlink()
        file.symlink_to("text")
    assert source.look(str(folder)).digest != before


def test_what_working_leaves_behind_is_not_released(folder: Path) -> None:
    before = source.look(str(folder))
    for name in (".venv", "build", "dist", "x.egg-info", "relay_worker/__pycache__", ".cache"):
        (folder / name).mkdir()
        (folder / name / "file").write_text("")
    (folder / "mine").mkdir()
    (folder / "mine" / "pyvenv.cfg").write_text("")
    os.mkfifo(folder / "pipe")
    assert source.look(str(folder)) == before


@pytest.mark.parametrize("text", ["", "def", "x = 1", "__version__ = f()", "\0"])
def test_a_version_that_cannot_be_told(folder: Path, text: str) -> None:
    (folder / "relay_worker" / "__init__.py").write_text(text)
    assert source.look(str(folder)).name.startswith("unknown-")


def test_a_version_with_odd_characters_gives_a_name_all_the_same(folder: Path) -> None:
    (folder / "relay_worker" / "__init__.py").write_text('__version__ = "1!2 /x"')
    assert source.look(str(folder)).name.startswith("1_2__x-")


def test_a_copy_has_the_files_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to("pyproject.toml")
    (folder / "run").write_text("")
    (folder / "run").chmod(0o755)
    (folder / "build").mkdir()
    target = tmp_path / "target"
    target.mkdir()
    assert source.look(str(folder)).copy(target) == target
    assert sorted(os.listdir(target)) == ["link", "pyproject.toml", "relay_worker", "run"]
    assert (target / "link").is_symlink() and os.access(target / "run", os.X_OK)


def test_a_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "mcp_relay-0.3.0-py3-none-any.whl"
    wheel.write_bytes(b"zip")
    wheel.chmod(0o755)
    found = source.look(str(wheel))
    assert (found.version, found.files) == ("0.3.0", [])
    assert found.name == f"0.3.0-{found.digest[:8]}"
    target = tmp_path / "target"
    target.mkdir()
    assert found.copy(target).read_bytes() == b"zip"


@pytest.mark.parametrize("text", ["missing", "file.txt", "relay_worker"])
def test_what_is_no_source(folder: Path, text: str) -> None:
    (folder / "file.txt").write_text("")
    with pytest.raises(ClickException):
        source.look(str(folder / text))


@pytest.mark.parametrize("name", ["FILES_MAX", "BYTES_MAX"])
def test_a_directory_that_is_far_too_large(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(source, name, 1)
    with pytest.raises(ClickException, match="over"):
        source.look(str(folder))
