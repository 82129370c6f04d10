"""Files of tokens: who may read them, and which are not believed."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from relay_worker.oauth import files
from relay_worker.oauth.files import Stored

LOGIN = Stored(url="http://far.invalid/mcp", tokens=msgspec.Raw(b'{"access_token":"secret"}'))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tokens" / "t.json"


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_only_the_user_can_read_them(path: Path) -> None:
    files.save(path, LOGIN)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]
    assert files.load(path) == LOGIN


def test_a_repr_shows_nothing() -> None:
    assert "secret" not in repr(LOGIN)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"url":1}', b"\xff", b"[" * 100_000])
def test_one_that_is_broken_is_none(path: Path, text: bytes) -> None:
    files.save(path, LOGIN)
    path.write_bytes(text)
    assert files.load(path) is None


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_one_that_others_can_write_is_none(path: Path, mode: int) -> None:
    files.save(path, LOGIN)
    path.chmod(mode)
    assert files.load(path) is None


def test_one_of_somebody_else_is_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.save(path, LOGIN)
    another = SimpleNamespace(st_uid=os.geteuid() + 1, st_mode=stat.S_IFREG | 0o600)

    def fstat(_fd: int) -> Any:
        return another

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fstat", fstat)
        assert files.load(path) is None
    assert files.load(path) == LOGIN
