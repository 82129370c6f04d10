"""Recorded conversations of released versions, with a worker of today in the place of theirs."""

import os
from pathlib import Path

import msgspec
import pytest

from tests.integration.replay import WorkerReplay
from tests.versions import archive, golden, transcript
from tests.versions.record import SURROUNDINGS
from tests.versions.relied import SHAPES

CANNOT_BE_PROVOKED = ("SpawnRefused", "Refuse")
"""Messages that no conversation of one version with itself has in it."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the relay of a conversation lives, with everything in it that there was then."""
    for name, value in SURROUNDINGS.items():
        monkeypatch.setenv(name, value)
    for name in ("project", "state"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("version", archive.RELEASED)
def test_a_worker_of_today_does_what_that_version_relied_on(
    folder: Path, version: str, generation: int
) -> None:
    entries = transcript.read(version, str(folder))
    config = next(one for one in entries if one.by == transcript.SUPERVISOR and one.payload)
    path = folder / "relay.yaml"
    path.write_bytes(transcript.payload_of(config.payload))
    os.chmod(path, 0o600)
    with WorkerReplay(folder, entries, generation) as replay:
        replay.play()


@pytest.mark.parametrize("version", archive.RELEASED)
def test_every_message_of_that_version_is_in_it(version: str) -> None:
    said = [one.said for one in transcript.read(version, "") if isinstance(one.said, list)]
    tags = {
        name: msgspec.msgpack.decode(header)[0]
        for name, header in golden.released(version).items()
        if name not in CANNOT_BE_PROVOKED
    }
    assert set(tags.values()) == {one[0] for one in said}
    assert set(tags.values()) <= SHAPES.keys()
