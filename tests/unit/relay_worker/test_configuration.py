"""The configuration a worker was given, ready for use."""

from pathlib import Path

import pytest

from relay_supervisor.wire import v1
from relay_worker.configuration import read
from relay_worker.life import MARKER
from relay_worker.plans import plan_of, policy_of


def configure(path: Path | None, *, snapshot: bool = True) -> v1.Configure:
    return v1.Configure(
        config_path=str(path) if path else None,
        project="/project",
        state_dir="/state",
        instance="i-1",
        log_level="info",
        log_format="text",
        has_snapshot=snapshot,
    )


def test_the_snapshot_counts_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.write_text("backends: {new: {command: x}}")
    path.chmod(0o600)
    settings = read(configure(path), b"backends: {old: {command: sh, args: [-c, x], cwd: sub}}")
    assert list(settings.config.backends) == ["old"] and not settings.is_default
    plan = plan_of(
        "old",
        settings.config.backends["old"],
        settings.expanded["old"],
        project="/project",
        instance="i-1",
    )
    assert plan.argv == ("sh", "-c", "x") and plan.cwd == str(tmp_path / "sub")
    assert plan.env[MARKER] == "i-1"


def test_without_a_file_the_default_is_in_force() -> None:
    settings = read(configure(None, snapshot=False), b"")
    assert settings.is_default and settings.problems == []
    assert list(settings.config.backends) == ["demo"]


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    settings = read(configure(tmp_path / "missing.yaml", snapshot=False), b"")
    assert settings.config.backends == {}
    assert "no such file" in settings.problems[0]


def test_a_file_that_others_may_write_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.write_text("")
    path.chmod(0o666)
    settings = read(configure(path), b"backends: {a: {command: x}}")
    assert settings.config.backends == {}
    assert "everybody" in settings.problems[0] and f"chmod go-w {path}" in settings.problems[0]


def test_a_file_that_is_gone_meanwhile_does_not_matter(tmp_path: Path) -> None:
    settings = read(configure(tmp_path / "gone.yaml"), b"backends: {a: {command: x}}")
    assert list(settings.config.backends) == ["a"]


def test_what_cannot_run_is_left_out_with_its_reason(tmp_path: Path) -> None:
    text = b"""
backends:
  good: {command: x}
  unset: {command: "${NOT_SET_ANYWHERE}"}
  remote: {url: "https://example.com/mcp"}
  off: {url: "https://example.com/mcp", enabled: false}
  model: {llm: {base_url: "https://example.com/v1", model: m}}
"""
    settings = read(configure(tmp_path / "relay.yaml"), text)
    assert list(settings.config.backends) == ["good", "remote", "off"]
    assert list(settings.expanded) == ["good", "remote"]
    assert set(settings.unusable) == {"unset", "model"}
    assert "NOT_SET_ANYWHERE" in settings.unusable["unset"]
    assert "llm" in settings.unusable["model"]


def test_secrets_are_named_to_the_log_and_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "correct-horse")
    text = b'backends: {a: {command: x, env: {KEY: "${MY_KEY}"}}}'
    settings = read(configure(tmp_path / "relay.yaml"), text)
    assert "correct-horse" in settings.secrets
    plan = plan_of(
        "a", settings.config.backends["a"], settings.expanded["a"], project="/p", instance="i"
    )
    assert plan.env["KEY"] == "correct-horse" and "correct-horse" not in repr(plan)
    assert plan.cwd == "/p"


def test_variables_that_are_no_text_are_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD", b"\xff".decode(errors="surrogateescape"))
    monkeypatch.setenv("UMLAUT", "ü")
    settings = read(configure(tmp_path / "relay.yaml"), b"backends: {a: {command: x}}")
    plan = plan_of(
        "a", settings.config.backends["a"], settings.expanded["a"], project="", instance="i"
    )
    assert "ODD" not in plan.env and plan.env["UMLAUT"] == "ü"
    assert plan.cwd == str(Path.cwd())


def test_a_disabled_backend_has_a_plan_that_does_nothing(tmp_path: Path) -> None:
    text = b"backends: {a: {command: x, enabled: false, start: lazy}}"
    settings = read(configure(tmp_path / "relay.yaml"), text)
    plan = plan_of("a", settings.config.backends["a"], None, project="/p", instance="i")
    assert not plan.enabled and plan.lazy and plan.argv == ()


def test_settings_reach_the_backends(tmp_path: Path) -> None:
    text = b"relay: {list_pages_max: 7, restart_attempts_max: 8, frame_bytes_max: 100000}"
    policy = policy_of(read(configure(tmp_path / "relay.yaml"), text).config.relay)
    assert (policy.list_pages_max, policy.restart_attempts_max, policy.frame_bytes_max) == (
        7,
        8,
        100_000,
    )
