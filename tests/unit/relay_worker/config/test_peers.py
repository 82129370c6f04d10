"""Entries as other clients write them."""

import pytest

from relay_worker.config.peers import HIDING, HTTP_NAMES, IGNORED, SLIPS
from relay_worker.config.problems import Severity


@pytest.mark.parametrize(
    ("text", "enabled"), [("true", False), ("false", True), ("yes", False), ("null", True)]
)
def test_disabled_is_enabled_the_other_way_round(loaded, text: str, enabled: bool) -> None:
    got = loaded(f"backends: {{a: {{command: x, disabled: {text}}}}}")
    assert got.problems == ()
    assert got.config.backends["a"].enabled is enabled


def test_disabled_has_to_be_a_truth_value(loaded) -> None:
    got = loaded("backends:\n  a: {command: x, disabled: maybe}")
    (problem,) = got.problems
    assert (problem.line, problem.column, problem.key) == (2, 29, "backends.a.disabled")
    assert problem.expected == "true or false"
    assert got.config.backends == {}


def test_enabled_and_disabled_together_are_one_key_too_many(loaded) -> None:
    got = loaded("backends:\n  a: {command: x, disabled: true,\n    enabled: true}")
    (problem,) = got.problems
    assert (problem.line, problem.key) == (3, "backends.a.enabled")
    assert got.config.backends == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60000", 60.0), ("1500", 1.5), ("1000", 1.0), ("604800000", 604800.0), ("null", None)],
)
def test_timeout_is_in_milliseconds(loaded, text: str, seconds: float | None) -> None:
    got = loaded(f"backends: {{a: {{command: x, timeout: {text}}}}}")
    assert got.problems == ()
    assert got.config.backends["a"].call_timeout_seconds == seconds


@pytest.mark.parametrize("text", ["60", "1", "999"])
def test_a_timeout_that_must_be_seconds_is_not_used(loaded, text: str) -> None:
    got = loaded(f"backends: {{a: {{command: x, timeout: {text}}}}}")
    (problem,) = got.problems
    assert problem.severity is Severity.WARNING
    assert "call_timeout_seconds" in problem.advice
    assert got.config.backends["a"].call_timeout_seconds is None


@pytest.mark.parametrize(
    "text", ["0", "-5", "1.5", "'60000'", "soon", "[1]", "604800001", "9" * 40]
)
def test_a_timeout_has_to_be_a_number_in_range(loaded, text: str) -> None:
    got = loaded(f"backends: {{a: {{command: x, timeout: {text}}}}}")
    (problem,) = got.problems
    assert (problem.severity, problem.key) == (Severity.ERROR, "backends.a.timeout")
    assert "1000 to 604800000" in problem.expected
    assert got.config.backends == {}


@pytest.mark.parametrize("name", HTTP_NAMES)
def test_other_names_of_http(loaded, name: str) -> None:
    got = loaded(f"backends: {{a: {{url: 'http://x/sse', type: {name}}}}}")
    assert got.problems == ()
    assert got.config.backends["a"].kind == "http"


@pytest.mark.parametrize("key", IGNORED)
def test_known_keys_of_others_give_a_warning(loaded, key: str) -> None:
    got = loaded(f"backends:\n  a: {{command: x,\n    {key}: {{y: [z]}}}}")
    (problem,) = got.problems
    assert (problem.severity, problem.line, problem.key) == (
        Severity.WARNING,
        3,
        f"backends.a.{key}",
    )
    assert problem.advice
    assert problem.effect == ""
    assert "a" in got.config.backends


@pytest.mark.parametrize("key", [*HIDING, *SLIPS, "disable", "timeouts", "typ", "Command"])
def test_keys_whose_loss_could_do_harm_are_errors(loaded, key: str) -> None:
    got = loaded(f"backends:\n  a: {{command: x,\n    {key}: y}}")
    (problem,) = got.problems
    assert (problem.severity, problem.line, problem.key) == (Severity.ERROR, 3, f"backends.a.{key}")
    assert problem.advice
    assert got.config.backends == {}


@pytest.mark.parametrize(("key", "guess"), [("disable", "disabled"), ("cmd", "command")])
def test_slips_are_guessed(loaded, key: str, guess: str) -> None:
    (problem,) = loaded(f"backends: {{a: {{command: x, {key}: y}}}}").problems
    assert problem.advice == f"Did you mean {guess}?"


def test_other_unknown_keys_are_ignored_with_a_warning(loaded) -> None:
    got = loaded("backends: {a: {command: x, xyzzy: 1}}")
    (problem,) = got.problems
    assert (problem.severity, problem.key) == (Severity.WARNING, "backends.a.xyzzy")
    assert "a" in got.config.backends


def test_a_clients_own_settings_file_gives_one_warning(loaded) -> None:
    got = loaded('{"numStartups": 3, "theme": "x", "mcpServers": {"a": {"command": "x"}}, "y": []}')
    (problem,) = got.problems
    assert (problem.severity, problem.key) == (Severity.WARNING, "numStartups")
    assert "2 more" in problem.found
    assert list(got.config.backends) == ["a"]


def test_vs_codes_inputs_are_explained(loaded) -> None:
    got = loaded(
        '{"inputs": [], "servers": {"a": {"command": "x", "args": ["${input:t}"]},'
        ' "b": {"command": "x"}}}'
    )
    warning, error = got.problems
    assert (warning.severity, warning.key) == (Severity.WARNING, "inputs")
    assert (error.severity, error.key) == (Severity.ERROR, "servers.a.args[0]")
    assert list(got.config.backends) == ["b"]


def test_schema_and_x_keys_are_silent(loaded) -> None:
    assert (
        loaded('{"$schema": "s", "x-any": 1, "backends": {"a": {"command": "x"}}}').problems == ()
    )
