"""What is read at the start is read from regular files of bounded size, and from nothing else."""

import os
from pathlib import Path

from relay_supervisor.adapters.start_files import (
    CONFIG_BYTES_MAX,
    SNAPSHOTS_MAX,
    read_config,
    read_current_release,
    read_snapshots,
)
from tests.unit.relay_supervisor.adapters.descriptors import open_fds


def test_a_configuration_is_read_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.write_bytes(b"\xff\r\nbackends: {}\0")
    assert read_config(str(path)) == b"\xff\r\nbackends: {}\0"
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read_config(str(link)) == path.read_bytes()


def test_what_cannot_be_read_is_absent_and_leaves_no_descriptor(tmp_path: Path) -> None:
    pipe, large, loop = tmp_path / "pipe", tmp_path / "large", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    with large.open("wb") as file:
        file.truncate(CONFIG_BYTES_MAX + 1)
    before = open_fds()
    for path in (pipe, large, loop, tmp_path, tmp_path / "missing", Path(os.devnull)):
        assert read_config(str(path)) is None, path
    assert open_fds() == before


def test_a_configuration_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.write_bytes(b"#" * CONFIG_BYTES_MAX)
    data = read_config(str(path))
    assert data is not None and len(data) == CONFIG_BYTES_MAX


def test_caches_are_found_by_their_configuration_and_named_by_their_variant(
    tmp_path: Path,
) -> None:
    for name in ("b-1.v-1.cache", "b-1.v-2.cache", "b-2.v-3.cache", "b-11.v-4.cache", "b-1"):
        (tmp_path / name).write_bytes(name.encode())
    assert read_snapshots(str(tmp_path), "b-1") == {
        "v-1": b"b-1.v-1.cache",
        "v-2": b"b-1.v-2.cache",
    }
    assert read_snapshots(str(tmp_path / "missing"), "b-1") == {}


def test_one_bad_cache_file_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "b.v1.cache").mkdir()
    os.mkfifo(tmp_path / "b.v2.cache")
    (tmp_path / "b.v3.cache").write_bytes(b"good")
    assert read_snapshots(str(tmp_path), "b") == {"v3": b"good"}


def test_so_many_caches_are_looked_at(tmp_path: Path) -> None:
    for number in range(SNAPSHOTS_MAX + 3):
        (tmp_path / f"b.v{number:02}.cache").write_bytes(b"x")
    assert len(read_snapshots(str(tmp_path), "b")) == SNAPSHOTS_MAX


def test_what_a_crash_left_half_written_does_not_take_the_place_of_a_cache(tmp_path: Path) -> None:
    (tmp_path / "b.v1.cache").write_bytes(b"good")
    (tmp_path / ".b.v1.cache.4711.tmp").write_bytes(b"half")  # as the worker names them
    assert read_snapshots(str(tmp_path), "b") == {"v1": b"good"}


def test_the_current_release_counts_if_it_is_there_whole(tmp_path: Path) -> None:
    assert read_current_release(str(tmp_path)) == ("", "")
    current, release = tmp_path / "current", tmp_path / "one"
    current.write_text("one\n")
    assert read_current_release(str(tmp_path)) == ("", "one")
    release.mkdir()
    assert read_current_release(str(tmp_path)) == ("", "one"), "it was never finished"
    (release / "release.json").write_text("{}")
    assert read_current_release(str(tmp_path)) == (str(release / "bin" / "python"), "one")
    current.write_text("../one\n")
    assert read_current_release(str(tmp_path))[0] == "", "it may not be anywhere else"
