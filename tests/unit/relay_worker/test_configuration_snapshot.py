"""A generation is made of a snapshot: handed over by the supervisor, or taken by the worker."""

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_worker.configuration import DEFAULT_DIGEST, Settings, read
from relay_worker.plans import limits_of

TEXT = b"backends: {a: {command: x}}"


def configured(path: Path | None, snapshot: bytes | None = None, **more: Any) -> Settings:
    message = v1.Configure(
        config_path=str(path) if path else None,
        project="/project",
        state_dir="/state",
        instance="i-1",
        log_level="info",
        log_format="text",
        has_snapshot=snapshot is not None,
        **more,
    )
    return read(message, snapshot or b"")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "relay.yaml"
    path.write_bytes(TEXT)
    path.chmod(0o600)
    return path


def test_a_file_the_worker_reads_becomes_the_snapshot(path: Path) -> None:
    settings = configured(path)
    assert list(settings.config.backends) == ["a"] and settings.broken is None
    assert settings.snapshot == TEXT
    assert settings.digest == hashlib.sha256(TEXT).hexdigest()[:16]


def test_a_snapshot_is_not_given_back(path: Path) -> None:
    given = configured(path, b"backends: {b: {command: x}}")
    assert list(given.config.backends) == ["b"] and given.snapshot is None
    assert configured(path, TEXT).digest == configured(path).digest != given.digest


@pytest.mark.parametrize("path", [None, Path("/nowhere/relay.yaml")])
def test_without_a_file_the_default_is_meant(path: Path | None) -> None:
    settings = configured(path, default_if_missing=True)
    assert settings.is_default and list(settings.config.backends) == ["demo"]
    assert settings.digest == DEFAULT_DIGEST and settings.problems == []
    assert settings.snapshot == b""


def test_the_default_stays_what_it_was_when_a_file_is_made(path: Path) -> None:
    again = configured(path, b"", default_if_missing=True)
    assert again.is_default and again.digest == DEFAULT_DIGEST


def test_an_empty_file_is_the_default_where_none_would_be(path: Path) -> None:
    path.write_bytes(b"")
    assert configured(path, default_if_missing=True).is_default
    explicit = configured(path)
    assert not explicit.is_default and explicit.config.backends == {}
    assert explicit.digest == configured(path, b"").digest != DEFAULT_DIGEST


@pytest.mark.parametrize("default", [True, False])
def test_a_file_that_cannot_be_parsed_is_broken_and_still_a_snapshot(
    path: Path, default: bool
) -> None:
    path.write_bytes(b"backends: [")
    settings = configured(path, default_if_missing=default)
    assert settings.config.backends == {} and not settings.is_default
    assert settings.broken is not None and "relay.yaml" in settings.broken
    assert settings.snapshot == b"backends: [" and len(settings.digest) == 16
    assert configured(path, b"backends: [", default_if_missing=default).broken


def test_a_file_that_is_named_and_missing_is_broken_and_no_snapshot(tmp_path: Path) -> None:
    settings = configured(tmp_path / "missing.yaml")
    assert settings.broken is not None and "no such file" in settings.broken
    assert settings.snapshot is None and settings.digest == ""


@pytest.mark.parametrize("kind", ["directory", "pipe", "link to nowhere", "writable by others"])
def test_what_must_not_be_read_is_never_taken_for_missing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "relay.yaml"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to nowhere":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.write_bytes(TEXT)
        path.chmod(0o666)
    settings = configured(path, default_if_missing=True)
    assert settings.broken and settings.config.backends == {}
    assert not settings.is_default and settings.snapshot is None


def test_one_bad_backend_does_not_break_the_file(path: Path) -> None:
    path.write_bytes(b'backends: {a: {command: x}, b: {command: "${NOT_SET_ANYWHERE}"}}')
    settings = configured(path)
    assert settings.broken is None and list(settings.unusable) == ["b"]
    assert set(settings.fingerprints) == {"relay", "a", "b"}


def test_every_limit_comes_from_the_settings(path: Path) -> None:
    expected = {name: 90_000 + n for n, name in enumerate(v1.Limits.__struct_fields__)}
    settings = {
        {"queue_requests_max": "queue_max_requests"}.get(name, name): value
        for name, value in expected.items()
    }
    text = "relay:\n" + "".join(f"  {name}: {value}\n" for name, value in settings.items())
    limits = limits_of(configured(path, text.encode()).config.relay)
    assert msgspec.structs.asdict(limits) == expected
