"""The build names what a worker is made of: it changes with the sources, and with nothing else."""

import re
import shutil
import time
from pathlib import Path

import pytest

import relay_worker
from relay_worker import __version__
from relay_worker.build import build

SECONDS_MAX = 0.05
"""Ten times what it takes on a quiet machine."""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text('"""A package."""\n')
    (folder / "deep" / "one.py").write_text("x = 1\n")
    return folder


def test_it_has_the_version_and_eight_digits() -> None:
    assert re.fullmatch(re.escape(__version__) + r"\+[0-9a-f]{8}", build())


def test_it_is_the_same_for_the_same_sources_elsewhere(sources: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(sources, elsewhere)
    assert build(sources) == build(elsewhere)


@pytest.mark.parametrize("change", ["content", "name", "new", "gone", "moved"])
def test_any_change_of_the_sources_changes_it(sources: Path, change: str) -> None:
    before = build(sources)
    one = sources / "deep" / "one.py"
    if change == "content":
        one.write_text("x = 2\n")
    elif change == "name":
        one.rename(sources / "deep" / "two.py")
    elif change == "new":
        (sources / "three.py").write_text("")
    elif change == "gone":
        one.unlink()
    else:
        one.rename(sources / "one.py")
    assert build(sources) != before


def test_what_is_no_source_does_not_count(sources: Path) -> None:
    before = build(sources)
    (sources / "notes.txt").write_text("x")
    (sources / ".#one.py").symlink_to("nowhere")
    (sources / "__pycache__").mkdir()
    (sources / "__pycache__" / "one.py").write_text("x")
    (sources / ".hidden").mkdir()
    (sources / ".hidden" / "one.py").write_text("x")
    assert build(sources) == before


def test_a_source_that_cannot_be_read_is_no_reason_not_to_start(sources: Path) -> None:
    (sources / "broken.py").symlink_to("nowhere")
    assert build(sources).startswith(__version__)


def test_the_bytes_of_two_files_cannot_pass_for_those_of_one(tmp_path: Path) -> None:
    for name, files in {"a": {"m": "1", "n": "2"}, "b": {"m": "1n2", "n": ""}}.items():
        (tmp_path / name).mkdir()
        for stem, text in files.items():
            (tmp_path / name / f"{stem}.py").write_text(text)
    assert build(tmp_path / "a") != build(tmp_path / "b")


def test_it_covers_the_whole_worker_and_the_wire(tmp_path: Path) -> None:
    here = Path(relay_worker.__file__).parent
    worker, wire = tmp_path / "worker", tmp_path / "wire"
    shutil.copytree(here, worker)
    shutil.copytree(here.parent / "relay_supervisor" / "wire", wire)
    assert build(worker, wire) == build()
    for changed in (worker / "config" / "model.py", wire / "v1.py"):
        before = build(worker, wire)
        changed.write_text(changed.read_text() + "\n")
        assert build(worker, wire) != before


def test_it_is_quick() -> None:
    build()
    began = time.perf_counter()
    build()
    assert time.perf_counter() - began < SECONDS_MAX
