"""Backups of the configuration: when one is made, which is put back, and what stays as it was."""

import os
import stat
import threading
from pathlib import Path

import pytest

from relay_supervisor.ctl import backups as module
from relay_supervisor.ctl import locking
from relay_supervisor.ctl.backups import Backups


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "relay.yaml"
    path.parent.mkdir()
    path.write_text("one\n")
    return path


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path / "state")


def contents(backups: Backups, config: Path) -> list[str]:
    return [path.read_text() for path in backups.of(config)]


def write_and_back_up(backups: Backups, config: Path, *texts: str) -> None:
    for text in texts:
        config.write_text(text)
        assert backups.make(config) is not None


def test_a_backup_is_byte_for_byte_and_private(backups: Backups, config: Path) -> None:
    config.write_bytes(b"\xff\r\n\0")
    config.chmod(0o644)
    backup = backups.make(config)
    assert backup is not None and backup.read_bytes() == b"\xff\r\n\0"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backups.directory.stat().st_mode) == 0o700
    assert [path.name for path in backups.directory.iterdir()] == [backup.name]


def test_what_is_as_in_the_newest_backup_is_not_backed_up_again(
    backups: Backups, config: Path
) -> None:
    write_and_back_up(backups, config, "one", "one", "two", "one")
    assert contents(backups, config) == ["one", "two", "one"]
    assert backups.make(config) == backups.of(config)[-1]


def test_what_is_in_force_is_what_is_gone_back_to(backups: Backups, config: Path) -> None:
    config.write_text("edited")
    made = backups.make(config, b"in force")
    assert made is not None and made.read_text() == "in force"
    assert contents(backups, config) == ["in force", "edited"]
    backups.restore(config)
    assert config.read_text() == "in force"
    backups.restore(config)
    assert config.read_text() == "edited"


def test_it_is_backed_up_once_however_often_the_edited_file_is_refused(
    backups: Backups, config: Path
) -> None:
    for text in ("first", "second", "second", "second"):
        config.write_text(text)
        backups.make(config, b"in force")
    assert contents(backups, config) == ["in force", "first", "in force", "second"]


def test_what_is_in_force_and_in_the_file_is_backed_up_once(backups: Backups, config: Path) -> None:
    backups.make(config, config.read_bytes())
    assert contents(backups, config) == ["one\n"]


def test_what_is_in_force_is_kept_even_if_the_file_is_gone(backups: Backups, config: Path) -> None:
    config.unlink()
    assert backups.make(config, b"") is None
    assert backups.make(config, b"in force") is not None
    backups.restore(config)
    assert config.read_text() == "in force"


def test_what_was_backed_up_comes_back_with_its_directory(backups: Backups, config: Path) -> None:
    backups.make(config)
    config.unlink()
    config.parent.rmdir()
    backups.restore(config)
    assert config.read_text() == "one\n"


def test_no_file_no_backup(backups: Backups, config: Path) -> None:
    config.unlink()
    assert backups.make(config) is None
    assert not backups.directory.exists()


def test_configurations_do_not_get_one_anothers_backups(backups: Backups, config: Path) -> None:
    other = config.with_name("other.yaml")
    write_and_back_up(backups, config, "one", "two")
    write_and_back_up(backups, other, "three")
    assert contents(backups, other) == ["three"]
    with pytest.raises(FileNotFoundError, match="no backup"):
        backups.restore(other)
    assert backups.restore(config).read_text() == config.read_text() == "one"


def test_their_number_is_bounded(
    backups: Backups, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKUPS_MAX", 3)
    (backups.directory / "sub").mkdir(parents=True)
    (backups.directory / "somebody's.yaml").write_text("")
    write_and_back_up(backups, config, "1", "2", "3", "4", "5")
    assert contents(backups, config) == ["3", "4", "5"]
    assert len(list(backups.directory.iterdir())) == 5


def test_restoring_twice_takes_it_back(backups: Backups, config: Path) -> None:
    write_and_back_up(backups, config, "one", "two")
    config.chmod(0o640)
    backups.restore(config)
    assert config.read_text() == "one"
    backups.restore(config)
    assert config.read_text() == "two"
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    assert [path.name for path in config.parent.iterdir()] == ["relay.yaml"]


def test_what_was_never_backed_up_is_before_it_is_replaced(backups: Backups, config: Path) -> None:
    write_and_back_up(backups, config, "one")
    config.write_text("edited")
    backups.restore(config)
    assert contents(backups, config) == ["one", "edited"]


def test_a_file_that_is_gone_comes_back_private(backups: Backups, config: Path) -> None:
    write_and_back_up(backups, config, "one")
    config.unlink()
    backups.restore(config)
    assert config.read_text() == "one" and stat.S_IMODE(config.stat().st_mode) == 0o600


def test_a_link_stays_a_link(backups: Backups, config: Path, tmp_path: Path) -> None:
    write_and_back_up(backups, config, "one", "two")
    link = tmp_path / "link.yaml"
    link.symlink_to(config)
    backups.restore(link)
    assert link.is_symlink() and config.read_text() == "one"


def test_a_full_disk_leaves_everything_as_it_was(
    backups: Backups, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_and_back_up(backups, config, "one", "two")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        backups.restore(config)
    assert config.read_text() == "two" and len(list(config.parent.iterdir())) == 1
    config.write_text("three")
    with pytest.raises(OSError, match="No space"):
        backups.make(config)
    assert contents(backups, config) == ["one", "two"]
    assert len(list(backups.directory.iterdir())) == 2


@pytest.mark.parametrize("kind", ["directory", "pipe", "large"])
def test_what_is_no_configuration_is_not_backed_up(
    backups: Backups, config: Path, kind: str
) -> None:
    config.unlink()
    if kind == "directory":
        config.mkdir()
    elif kind == "pipe":
        os.mkfifo(config)
    else:
        config.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(OSError, match=r"relay\.yaml"):
        backups.make(config)


def test_who_restores_waits_for_who_edits_but_not_for_ever(
    backups: Backups, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_and_back_up(backups, config, "one", "two")
    with locking.locked(config.parent):
        monkeypatch.setattr(locking, "LOCK_SECONDS_MAX", 0.05)
        with pytest.raises(BlockingIOError, match="another program"):
            backups.restore(config)
        assert config.read_text() == "two"
        monkeypatch.setattr(locking, "LOCK_SECONDS_MAX", 5.0)
        waiting = threading.Thread(target=backups.restore, args=(config,))
        waiting.start()
    waiting.join(5)
    assert not waiting.is_alive() and config.read_text() == "one"


def test_many_at_once_lose_nothing(backups: Backups, config: Path) -> None:
    def work(number: int) -> None:
        own = config.with_name(f"{number}.yaml")
        for turn in range(5):
            own.write_text(f"{number} {turn}")
            backups.make(own)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for number in range(6):
        expected = [f"{number} {turn}" for turn in range(5)]
        assert contents(backups, config.with_name(f"{number}.yaml")) == expected


def test_what_cannot_be_locked_is_said_to_be(tmp_path: Path) -> None:
    """File systems exist that have no locks: that is an error like others of theirs."""
    fd = os.open(tmp_path, os.O_RDONLY)
    os.close(fd)
    with pytest.raises(OSError, match="descriptor"):
        locking.try_lock(fd)
