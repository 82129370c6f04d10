"""A fingerprint changes with whatever the configuration says of a backend, and with that alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay_worker.config.expand import expand
from relay_worker.config.load import load_bytes
from relay_worker.fingerprints import fingerprints

ENVIRON = {"PATH": "/bin", "TOKEN": "first"}
BACKEND: dict[str, Any] = {"command": "x", "env": {"KEY": "${TOKEN}"}}


def prints(config: Mapping[str, Any], environ: Mapping[str, str] = ENVIRON) -> dict[str, str]:
    loaded = load_bytes(msgspec.json.encode(config), Path("/c/relay.yaml"), environ)
    assert not loaded.problems
    expanded = {
        name: expand(spec, environ, loaded.directory)
        for name, spec in loaded.config.backends.items()
        if spec.enabled
    }
    return fingerprints(loaded.config, expanded, {})


def one(**changes: Any) -> dict[str, str]:
    return prints({"backends": {"a": {**BACKEND, **changes}, "b": {"command": "y"}}})


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "z"},
        {"args": ["1"]},
        {"env": {"KEY": "other"}},
        {"cwd": "sub"},
        {"enabled": False},
        {"start": "lazy"},
        {"start_timeout_seconds": 5},
        {"idle_stop_seconds": 5},
        {"call_timeout_seconds": 5},
        {"trust_hints": True},
        {"tools": {"allow": ["x"]}},
        {"tools": {"deny": ["x"]}},
        {"tools": {"rename": {"x": "y"}}},
        {"tools": {"describe": {"x": "y"}}},
    ],
    ids=str,
)
def test_it_covers_all_that_is_said_of_a_backend(changes: dict[str, Any]) -> None:
    before, after = one(), one(**changes)
    assert before["a"] != after["a"]
    assert before["b"] == after["b"] and before["relay"] == after["relay"]


def test_it_covers_what_a_variable_stands_for() -> None:
    config = {"backends": {"a": BACKEND}}
    changed = {**ENVIRON, "TOKEN": "second"}
    assert prints(config)["a"] != prints(config, changed)["a"]
    assert prints(config)["a"] == prints(config, {**ENVIRON, "OTHER": "x"})["a"]


@pytest.mark.parametrize(
    "setting", [{"separator": "-"}, {"prefix": False}, {"tool_name_chars_max": 40}], ids=str
)
def test_it_covers_what_shapes_the_names(setting: dict[str, Any]) -> None:
    config = {"backends": {"a": BACKEND}}
    before, after = prints(config), prints({**config, "relay": setting})
    assert before["a"] != after["a"] and before["relay"] != after["relay"]


def test_other_settings_do_not_count() -> None:
    config = {"backends": {"a": BACKEND}}
    assert prints(config) == prints({**config, "relay": {"drain_seconds": 1}})


def test_the_order_in_the_file_does_not_count() -> None:
    there = {"command": "x", "env": {"A": "1", "B": "2"}, "tools": {"rename": {"p": "q", "r": "s"}}}
    back = {"tools": {"rename": {"r": "s", "p": "q"}}, "env": {"B": "2", "A": "1"}, "command": "x"}
    assert prints({"backends": {"a": there}}) == prints({"backends": {"a": back}})


def test_a_backend_that_cannot_run_has_one_too() -> None:
    config = load_bytes(b"backends: {a: {command: x}}", Path("/c/relay.yaml"), ENVIRON).config
    first = fingerprints(config, {}, {"a": "not supported", "lost": "line 3"})
    assert first["a"] == fingerprints(config, {}, {"a": "something else"})["a"]
    assert first["lost"] != fingerprints(config, {}, {"lost": "line 4"})["lost"]


def test_no_secret_can_be_read_off_it() -> None:
    assert all(len(found) == 16 and "first" not in found for found in one().values())
