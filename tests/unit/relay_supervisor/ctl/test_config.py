"""`relayctl config check` and `config path` through their command line."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl.main import relayctl

VALID = """\
backends:
  files: {command: npx}
  search: {command: uvx, enabled: false}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without any configuration."""
    monkeypatch.delenv("RELAY_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def run(*args: str) -> Result:
    return CliRunner().invoke(relayctl, ["config", *args])


def test_a_valid_file_says_what_it_enables(home: Path) -> None:
    file = write(home / "relay.yaml", VALID)
    result = run("check", str(file))
    assert result.exit_code == 0
    assert result.stdout == f"{file} is valid; 1 backend enabled: files\n"


def test_a_problem_names_line_column_key_and_what_was_expected(home: Path) -> None:
    file = write(home / "relay.yaml", VALID + "relay:\n  prefix: often\n")
    result = run("check", "relay.yaml")
    assert result.exit_code == 1
    problem, verdict = result.stdout.splitlines()
    assert problem.startswith(f"{file}:5:11: error: relay.prefix: expected true or false")
    assert verdict.startswith(f"{file} has 1 error;") and verdict.endswith(": files")


def test_an_unset_variable_is_named_and_never_its_neighbours_values(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RELAY_TEST_UNSET", raising=False)
    text = "backends: {a: {command: x, env: {K: 'hunter2 ${RELAY_TEST_UNSET}'}}}\n"
    result = run("check", str(write(home / "relay.yaml", text)))
    assert result.exit_code == 1
    assert "RELAY_TEST_UNSET" in result.stdout and "hunter2" not in result.stdout
    monkeypatch.setenv("RELAY_TEST_UNSET", "set")
    assert run("check", "relay.yaml").exit_code == 0


def test_a_file_that_cannot_be_parsed(home: Path) -> None:
    file = write(home / "relay.yaml", "backends: [\n")
    result = run("check", "relay.yaml")
    assert result.exit_code == 1
    assert f"{file}:2:1: error: found a YAML syntax error" in result.stdout
    assert "cannot be used" in result.stdout


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read(name: str) -> None:
    assert run("check", name).exit_code == 1


def test_a_file_everybody_may_write_is_not_trusted(home: Path) -> None:
    write(home / "relay.yaml", VALID).chmod(0o666)
    result = run("check", "relay.yaml")
    assert result.exit_code == 1 and "chmod go-w" in result.stdout


def test_warnings_alone_are_no_failure(home: Path) -> None:
    write(home / "relay.yaml", "")
    result = run("check", "relay.yaml")
    assert result.exit_code == 0 and "warning" in result.stdout


def test_claudes_own_json_is_accepted(home: Path) -> None:
    write(home / "mcp.json", '{"mcpServers": {"time": {"command": "uvx", "args": ["t"]}}}')
    result = run("check", "mcp.json")
    assert result.exit_code == 0 and "1 backend enabled: time" in result.stdout


def test_keys_of_a_file_are_harmless_to_a_terminal(home: Path) -> None:
    write(home / "relay.yaml", '"\\u001b[31mx": 1\n')
    result = run("check", "relay.yaml")
    assert result.exit_code == 1 and "\x1b" not in result.stdout


def test_without_a_file_the_demonstration_is_named(home: Path) -> None:
    result = run("check")
    assert result.exit_code == 0
    assert str(home / "xdg" / "relay" / "relay.yaml") in result.stdout
    assert "demonstration" in result.stdout


def test_without_an_argument_the_relays_own_file_is_checked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = write(home / "xdg" / "relay" / "relay.yaml", VALID)
    assert run("check").stdout.startswith(f"{default} is valid")
    other = write(home / "other.yaml", VALID)
    monkeypatch.setenv("RELAY_CONFIG", "other.yaml")
    assert run("check").stdout.startswith(f"{other} is valid")


def test_a_named_file_has_to_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_CONFIG", "missing.yaml")
    result = run("check")
    assert result.exit_code == 1 and "no such file" in result.stdout


def test_the_path_alone_is_on_stdout(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = home / "xdg" / "relay" / "relay.yaml"
    result = run("path")
    assert (result.exit_code, result.stdout) == (0, f"{default}\n")
    assert "no such file" in result.stderr
    write(default, VALID)
    result = run("path")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{default}\n", "")
    monkeypatch.setenv("RELAY_CONFIG", str(home / "named.yaml"))
    assert run("path").stdout == f"{home / 'named.yaml'}\n"


@pytest.mark.parametrize("args", [("check", "a", "b"), ("path", "x"), ("nonsense",), ()])
def test_a_wrong_command_line(args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2
