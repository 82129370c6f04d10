"""Making and removing releases, with an environment that costs no time: what is left, and when."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click import ClickException

from relay_supervisor.ctl import building, source
from relay_supervisor.ctl.command import CommandFailed
from relay_supervisor.ctl.environment import Found
from relay_supervisor.ctl.locking import try_lock
from relay_supervisor.ctl.progress import Silent
from relay_supervisor.ctl.releases import Release, Releases

STEPS = ("create", "install", "check")


class FakeEnvironment:
    """Writes a file for each step; raises *error* at the step *fails*."""

    def __init__(self, fails: str = "", error: BaseException | None = None) -> None:
        self.fails = fails
        self.error = error or CommandFailed("the last words of pip")
        self.installed: list[str] = []
        self.between: Callable[[], None] = lambda: None

    def create(self, directory: Path, keep: int, on_line: Callable[[str], None]) -> None:
        (directory / "bin").mkdir()
        (directory / "bin" / "python").symlink_to("/dev/null")
        self._step("create")

    def install(
        self, directory: Path, what: Path, keep: int, on_line: Callable[[str], None]
    ) -> None:
        (directory / "lib").mkdir()
        (directory / "lib" / "code.py").write_text("code")
        self.installed = sorted(path.name for path in what.iterdir())
        (what / "build").mkdir()
        self._step("install")

    def check(self, directory: Path, keep: int) -> Found:
        self._step("check")
        return Found("1.2.3", "3.11.0", "")

    def _step(self, name: str) -> None:
        self.between()
        if self.fails == name:
            raise self.error


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path / "state")


@pytest.fixture
def origin(tmp_path: Path) -> source.Source:
    folder = tmp_path / "sources"
    (folder / "relay_worker").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "relay_worker" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    return source.look(str(folder))


def add(
    releases: Releases, origin: source.Source, environment: FakeEnvironment, name: str = "one"
) -> Release:
    return building.add(releases, origin, name, environment, Silent())


def left(releases: Releases) -> list[str]:
    return sorted(path.name for path in releases.directory.iterdir())


def test_a_release_is_recorded_read_only_and_without_its_sources(
    releases: Releases, origin: source.Source
) -> None:
    environment = FakeEnvironment()
    made = add(releases, origin, environment)
    assert releases.all() == [made]
    assert (made.name, made.version, made.python) == ("one", "1.2.3", "3.11.0")
    assert (made.source, made.digest) == (str(origin.path), origin.digest)
    assert environment.installed == ["pyproject.toml", "relay_worker"]
    path = releases.path("one")
    assert sorted(os.listdir(path)) == ["bin", "lib", "release.json"]
    for one in (path, path / "lib", path / "lib" / "code.py", path / "release.json"):
        assert not stat.S_IMODE(one.stat().st_mode) & 0o222, one
    assert not (origin.path / "build").exists()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "error", [CommandFailed("the last words of pip"), KeyboardInterrupt(), OSError(28, "full")]
)
def test_a_failure_leaves_nothing(
    releases: Releases, origin: source.Source, step: str, error: BaseException
) -> None:
    expected = ClickException if isinstance(error, CommandFailed) else type(error)
    with pytest.raises(expected) as raised:
        add(releases, origin, FakeEnvironment(step, error))
    if isinstance(raised.value, ClickException):
        assert "the last words of pip" in raised.value.message
    assert left(releases) == []
    assert add(releases, origin, FakeEnvironment()).name == "one"


def test_until_it_is_finished_it_does_not_count(releases: Releases, origin: source.Source) -> None:
    environment = FakeEnvironment()
    seen: list[list[Release]] = []
    environment.between = lambda: seen.append(releases.all())
    add(releases, origin, environment)
    assert seen == [[], [], []]


def test_a_name_is_taken_once(releases: Releases, origin: source.Source) -> None:
    made = add(releases, origin, FakeEnvironment())
    with pytest.raises(ClickException, match="is there already"):
        add(releases, origin, FakeEnvironment("create"))
    assert releases.all() == [made]


def test_what_is_being_made_is_left_alone(releases: Releases, origin: source.Source) -> None:
    environment = FakeEnvironment()

    def come_along() -> None:
        with pytest.raises(ClickException, match="just being made"):
            add(releases, origin, FakeEnvironment())
        assert building.clear_abandoned(releases) == []

    environment.between = come_along
    add(releases, origin, environment)
    assert left(releases) == ["one"]


def test_two_can_be_made_at_once(releases: Releases, origin: source.Source) -> None:
    environment = FakeEnvironment()

    def other() -> None:
        environment.between = lambda: None
        add(releases, origin, FakeEnvironment(), "two")

    environment.between = other
    add(releases, origin, environment)
    assert left(releases) == ["one", "two"]


def test_what_a_killed_builder_left_is_removed(releases: Releases, origin: source.Source) -> None:
    (releases.path("one") / "lib").mkdir(parents=True)
    (releases.path("one") / "lib").chmod(0o500)
    (releases.path("old") / "bin").mkdir(parents=True)
    (releases.directory / "current").write_text("one\n")
    (releases.directory / ".mine").mkdir()
    add(releases, origin, FakeEnvironment())
    assert left(releases) == [".mine", "current", "one"]


def test_a_builder_that_lives_on_in_pip_keeps_its_place(
    releases: Releases, origin: source.Source
) -> None:
    releases.path("one").mkdir(parents=True)
    fd = os.open(releases.path("one"), os.O_RDONLY)
    try:
        assert try_lock(fd)
        with pytest.raises(ClickException, match="just being made"):
            add(releases, origin, FakeEnvironment())
    finally:
        os.close(fd)
    assert add(releases, origin, FakeEnvironment()).name == "one"


def test_sources_that_change_meanwhile_are_no_release(
    releases: Releases, origin: source.Source
) -> None:
    environment = FakeEnvironment()
    environment.between = lambda: (origin.path / "pyproject.toml").write_text("other") and None
    with pytest.raises(ClickException, match="changed while"):
        add(releases, origin, environment)
    assert left(releases) == []


def test_a_removed_release_is_gone(releases: Releases, origin: source.Source) -> None:
    add(releases, origin, FakeEnvironment())
    building.remove(releases, "one")
    assert left(releases) == []
