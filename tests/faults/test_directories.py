"""Directories the relay cannot use, and files in them that are damaged: it serves all the same.

What it could not do is said once, on stderr, with the path and what to do about it.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.damage import DAMAGES
from tests.faults.ends import all_ready, small_disk
from tests.harness import Relay, RelayHome, fixture_backend, json_of, text_of, wait_until

CONFIG = {"backends": {"fix": fixture_backend("--tools", "20")}}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, mounted on a directory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, kib=64):
        yield folder


def serves(relay: Relay) -> None:
    """Lists and calls work, and a backend that writes much to its stderr goes on."""
    all_ready(relay)
    assert len(relay.client.list_all("tools")) > 20
    relay.client.call_tool("fix__stderr_flood", {"bytes": 300_000})
    assert json_of(relay.client.call_tool("fix__echo", {"n": 1})) == {"n": 1}


def complaints(relay: Relay, *words: str) -> list[str]:
    """Wait for a line on stderr with all of these words; all such lines."""

    def found() -> list[str]:
        lines = relay.client.child.stderr_text().splitlines()
        return [line for line in lines if all(word in line for word in words)]

    wait_until(found, 10.0, f"a line on stderr with {words}")
    return found()


def test_a_read_only_state_directory(disk: Path, home: RelayHome) -> None:
    """No cache, no log, no complaint beyond one per directory: everything is served."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with Relay(CONFIG, home=home, env={"RELAY_STATE_DIR": str(disk)}) as relay:
        serves(relay)
        for folder in ("cache", "backends"):
            assert len(complaints(relay, "cannot write", str(disk), f"{folder}/")) == 1
        assert "free some space" in complaints(relay, "cannot write")[0]
    assert list(disk.iterdir()) == []


def test_a_full_disk_and_room_again(disk: Path, home: RelayHome) -> None:
    """The state directory's disk is full from the start: everything is served, no half file is
    left. When there is room again, the log goes on by itself.
    """
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * (1 << 20))
    with Relay(CONFIG, home=home, env={"RELAY_STATE_DIR": str(disk)}) as relay:
        serves(relay)
        assert len(complaints(relay, "cannot write", "cache/")) == 1
        left = [path.name for path in disk.rglob("*") if path.is_file() and path.stat().st_size]
        assert left == ["filler"]
        filler.unlink()
        log = disk / "logs" / "backends" / "fix.log"

        def logged() -> bool:
            relay.client.call_tool("fix__stderr_flood", {"bytes": 1000})
            return log.exists() and log.stat().st_size > 0

        wait_until(logged, 10.0, "the backend's log")
        serves(relay)


def test_a_state_directory_that_is_a_file(home: RelayHome) -> None:
    """Somebody put a file where the directory should be."""
    (home.root / "file").write_text("not yours")
    with Relay(CONFIG, home=home, env={"RELAY_STATE_DIR": str(home.root / "file")}) as relay:
        serves(relay)
        assert complaints(relay, "cannot write", str(home.root / "file"))
    assert (home.root / "file").read_text() == "not yours"


@pytest.mark.parametrize("value", [None, "", "/dev/null"], ids=["unset", "empty", "no directory"])
def test_home_unset_or_useless(value: str | None, home: RelayHome) -> None:
    """HOME says nothing useful; configuration and state are named by other variables."""
    home.write_config(CONFIG)
    with Relay(home=home, env={"HOME": value, "RELAY_CONFIG": str(home.config_path)}) as relay:
        serves(relay)


def test_nothing_at_all_is_where_it_could_be_kept(home: RelayHome) -> None:
    """HOME is no directory and no variable names another place: it still serves."""
    nowhere = {"HOME": "/dev/null", "RELAY_STATE_DIR": None, "XDG_STATE_HOME": None}
    with Relay(CONFIG, home=home, env={**nowhere, "XDG_CONFIG_HOME": None}) as relay:
        serves(relay)
        assert complaints(relay, "cannot write", "/dev/null")


def as_file(path: Path) -> str:
    path.write_text("not a directory")
    return "cannot be made"


def as_link(path: Path) -> str:
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")
    return "no directory"


def open_to_others(path: Path) -> str:
    path.mkdir()
    path.chmod(0o755)
    return "chmod 0700"


def of_somebody_else(path: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    return "belongs to uid 65534"


def below_a_file(path: Path) -> str:
    path.parent.rmdir()
    path.parent.write_text("not a directory")
    return "cannot be made"


@pytest.mark.parametrize(
    "spoil",
    [as_file, as_link, open_to_others, of_somebody_else, below_a_file],
    ids=lambda spoil: spoil.__name__,
)
def test_a_runtime_directory_that_cannot_be_trusted(
    spoil: Callable[[Path], str], home: RelayHome
) -> None:
    """The client is served, relayctl reaches no relay, and both say why and what to do."""
    path = home.root / "spoilt" / "runtime"
    path.parent.mkdir()
    said = spoil(path)
    before = sorted(home.root.rglob("*.sock"))
    with Relay(CONFIG, home=home, env={"RELAY_RUNTIME_DIR": str(path)}) as relay:
        serves(relay)
        (line,) = complaints(relay, "relayctl cannot reach this relay", said)
        assert str(path) in line
        assert "RELAY_RUNTIME_DIR" in line
        done = relay.relayctl("status")
        # 1: the directory is refused; 3: there is none, so no relay either.
        assert done.returncode == (1 if os.path.lexists(path) else 3)
        assert "Traceback" not in done.stderr
        assert str(path) in done.stdout + done.stderr
    assert sorted(home.root.rglob("*.sock")) == before


def test_a_runtime_directory_whose_path_is_too_long(home: RelayHome) -> None:
    """A socket's path may have 107 bytes: said in so many words, and served all the same."""
    path = home.root / ("d" * 120)
    with Relay(CONFIG, home=home, env={"RELAY_RUNTIME_DIR": str(path)}) as relay:
        serves(relay)
        assert complaints(relay, "relayctl cannot reach this relay", "shorter directory")


@pytest.mark.parametrize("spoil", DAMAGES, ids=lambda spoil: spoil.__name__)
def test_a_damaged_cache_counts_as_none(spoil: Callable[[Path], None], home: RelayHome) -> None:
    """The lists are learned anew: the same bytes as before the damage; the next start has a cache
    again wherever a file can be put in place of the damage.
    """
    caches = home.state / "cache"
    with Relay(CONFIG, home=home) as relay:
        all_ready(relay)
        page = tools_page(relay)
        wait_until(lambda: list(caches.glob("*.cache")), 10.0, "the cache to be written")
    (cache,) = caches.glob("*.cache")
    sound = cache.read_bytes()
    spoil(cache)
    with Relay(CONFIG, home=home) as relay:
        all_ready(relay)
        assert tools_page(relay) == page
        assert text_of(relay.client.call_tool("fix__echo", {"n": 1})) == '{"n":1}'
        if not cache.is_dir():
            wait_until(lambda: is_file_with(cache, sound), 10.0, "a new cache")
        else:
            assert complaints(relay, "cannot write", str(cache))


def is_file_with(path: Path, content: bytes) -> bool:
    """Whether the file is there and holds this; one of another size is not read."""
    return path.exists() and path.stat().st_size == len(content) and path.read_bytes() == content


def tools_page(relay: Relay) -> bytes:
    """The result of tools/list as it came over the wire."""
    return relay.client.response(relay.client.start("tools/list")).raw.partition(b'"result"')[2]
