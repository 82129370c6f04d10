"""The store of releases: which there are, which is current, and what the marks survive."""

from pathlib import Path

import msgspec
import pytest
from click import UsageError

from relay_supervisor.ctl.releases import Release, Releases, check_name, looks_like_path


def write_release(releases: Releases, release: Release) -> Path:
    """A release as far as its record: no environment."""
    path = releases.path(release.name)
    path.mkdir(parents=True)
    (path / "release.json").write_bytes(msgspec.json.encode(release))
    return path


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path)


def test_nothing_yet(releases: Releases) -> None:
    assert releases.all() == []
    assert (releases.current(), releases.previous()) == ("", "")
    assert releases.find("a") is None
    assert not releases.directory.exists()


def test_only_finished_releases_count_the_oldest_first(releases: Releases) -> None:
    for name, created in (("b", "2026-01-01"), ("a", "2026-01-02"), ("c", "2025-01-01")):
        write_release(releases, Release(name=name, created=created))
    releases.path("unfinished").mkdir()
    (releases.path("broken")).mkdir()
    (releases.path("broken") / "release.json").write_text("{")
    (releases.directory / ".hidden").mkdir()
    (releases.directory / "current").write_text("a\n")
    assert [one.name for one in releases.all()] == ["c", "b", "a"]


def test_a_release_is_called_what_its_directory_is_called(releases: Releases) -> None:
    write_release(releases, Release(name="a"))
    releases.path("a").rename(releases.path("b"))
    found = releases.find("b")
    assert found is not None and found.name == "b"


def test_a_record_of_a_newer_relayctl_can_be_read(releases: Releases) -> None:
    path = write_release(releases, Release(name="a"))
    (path / "release.json").write_text('{"name": "a", "version": "9", "future": [1]}')
    found = releases.find("a")
    assert found is not None and found.version == "9"


def test_what_is_current_advances_and_remembers_what_was(releases: Releases) -> None:
    assert not releases.make_current("")
    assert releases.make_current("a") and releases.make_current("b")
    assert not releases.make_current("b")
    assert (releases.current(), releases.previous()) == ("b", "a")
    assert releases.make_current("")
    assert (releases.current(), releases.previous()) == ("", "b")
    assert sorted(path.name for path in releases.directory.iterdir()) == ["previous"]


@pytest.mark.parametrize("content", [b"", b"\n", b"../x\n", b"\xff", b"a/b", b"current", b"x" * 99])
def test_a_mark_that_names_no_release_counts_as_none(releases: Releases, content: bytes) -> None:
    releases.directory.mkdir()
    (releases.directory / "current").write_bytes(content)
    assert releases.current() == ""


@pytest.mark.parametrize("name", ["a", "0.1.0-abc1234-dirty-012345", "1.0+x_y", "A" * 80])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".a", "-a", "a/b", "a b", "a\n", "ä", "A" * 81, "current", "installed"],
)
def test_names_that_no_release_can_have(name: str, releases: Releases) -> None:
    with pytest.raises(UsageError):
        check_name(name)
    assert releases.find(name) is None


@pytest.mark.parametrize("text", ["a/b", "./a", ".", "..", "~/a", "a.whl", "/a"])
def test_paths(text: str) -> None:
    assert looks_like_path(text)


@pytest.mark.parametrize("text", ["a", "0.1.0-abc1234", "current", "installed"])
def test_names_are_no_paths(text: str) -> None:
    assert not looks_like_path(text)
