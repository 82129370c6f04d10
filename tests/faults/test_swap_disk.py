"""Swaps while the state directory is full or read-only, and while that of the sockets is spoilt."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.faults.ends import small_disk
from tests.faults.ordeal import SECONDS_MAX, Ordeal, on_call, ordeal
from tests.harness import RelayHome, wait_until
from tests.integration.quick_release import quick_release

DISK_KIB: Final = 8 << 10
LONG: Final = {"probation_seconds": 60, "probation_calls": 1000}


@pytest.fixture
def home() -> Iterator[RelayHome]:
    """Directories of which the one for the state is a small disk."""
    home = RelayHome.make()
    try:
        with small_disk(home.state, DISK_KIB):
            yield home
    finally:
        home.remove()


def fill(folder: Path) -> Path:
    """Take all the room there is; return the file that has it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            assert file.write(b"x" * 4096)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (folder / "one more").write_bytes(b"x" * 4096)
    (folder / "one more").unlink()
    return filler


def remount(folder: Path, mode: str) -> None:
    """Make the disk read-only (ro) or writable (rw)."""
    command = ["mount", "-o", f"remount,{mode}", str(folder)]

    def done() -> bool:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    wait_until(done, SECONDS_MAX, "nobody to be writing")


def swap_without_a_disk(one: Ordeal) -> None:
    """Nothing is begun without a backup; by force everything goes on but the records."""
    one.ask()
    one.relay.home.config_path.write_bytes(one.relay.home.config_path.read_bytes() + b"\n")
    said = one.swap()
    assert (said.code, said.generation) == (1, 1), said.text
    assert "cannot be backed up" in said.text and "--force goes on without" in said.text
    said = one.swap("--force")
    assert (said.code, said.generation) == (0, 2), said.text
    one.client.call_tool("fix__stderr_flood", {"bytes": 300_000})  # more than a last block holds
    one.answer()
    one.assert_as_before()


def swap_with_a_disk(one: Ordeal) -> None:
    """All is as ever, and the records go on."""
    said = one.swap()
    assert (said.code, said.generation) == (0, 3), said.text
    name = f"{one.status()['id']}-2"
    wait_until(
        lambda: f"swap {name} committed" in one.relay.relayctl("history").stdout, SECONDS_MAX
    )
    journal = (one.relay.home.state / "journal.jsonl").read_text()
    assert '"swap":2,"phase":"spawning"' in journal, "what the worker before had to write"
    one.assert_as_before()


def test_a_full_disk_and_room_again(tmp_path: Path, home: RelayHome) -> None:
    with ordeal(tmp_path, home=home) as one:
        filler = fill(home.state)
        swap_without_a_disk(one)
        filler.unlink()
        swap_with_a_disk(one)


def test_a_read_only_disk_and_a_writable_one_again(tmp_path: Path, home: RelayHome) -> None:
    with ordeal(tmp_path, home=home) as one:
        remount(home.state, "ro")
        swap_without_a_disk(one)
        remount(home.state, "rw")
        swap_with_a_disk(one)


def test_a_rollback_with_a_full_disk(tmp_path: Path, home: RelayHome) -> None:
    """What failed is refused by this relay, though nobody can write that down."""
    with ordeal(tmp_path, home=home, **LONG) as one:
        quick_release(home, "bad", main=on_call("os._exit(1)"))
        filler = fill(home.state)
        one.ask()
        swap = one.begin_swap("bad", "--force")
        one.wait_worker("active", 2)
        one.start()
        said = one.said(swap)
        assert (said.code, said.generation) == (1, 1), said.text
        assert "swap rolled back" in said.text
        one.settle()
        filler.unlink()
        said = one.swap("bad")
        assert (said.code, said.generation) == (1, 1), said.text
        assert "failed before" in said.text
        one.answer()
        one.assert_as_before()


def given_away(path: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    os.chown(path, 65534, 65534)
    return "belongs to uid 65534"


def opened_to_others(path: Path) -> str:
    path.chmod(0o755)
    return "is open to others"


@pytest.mark.parametrize("spoil", [given_away, opened_to_others], ids=lambda f: f.__name__)
def test_a_runtime_directory_that_is_spoilt_in_a_session(
    tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    """No relay is asked for anything, the client is served; once it is put right all is well."""
    with ordeal(tmp_path) as one:
        one.ask()
        runtime = one.relay.home.runtime
        said = spoil(runtime)
        for command in ("swap", "rollback"):
            done = one.relay.relayctl(command)
            assert done.returncode == 1, done.stdout + done.stderr
            assert said in done.stderr and str(runtime) in done.stderr
            assert "Traceback" not in done.stderr
        one.call()
        one.settle()
        os.chown(runtime, os.getuid(), os.getgid())
        runtime.chmod(0o700)
        assert one.status()["last_swap"] is None
        assert one.swap().generation == 2
        one.answer()
        one.assert_as_before()
