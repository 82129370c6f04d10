"""`relayctl swap --supervisor` through its command line, on fake relays: what is asked and said."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl.main import relayctl
from tests.unit.relay_supervisor.ctl.fake_relay import FakeRelay, golden_status, line, refusal

OK = golden_status("starting", health="ok")
WORKER = {"generation": 1, "pid": 1, "state": "active", "release": "0.1.0+aaaa", "in_flight": 0}
SUPERVISOR = {"pid": 1, "version": "0.1.0", "release": "r0"}
DONE = {
    "outcome": "committed",
    "kind": "supervisor",
    "seconds": 0.25,
    "from": {"build": "0.1.0", "release": "r0"},
    "to": {"build": "0.2.0", "release": "r1"},
    "serving": {"generation": 1, "release": "", "build": "0.1.0+aaaa"},
    "supervisor": {"build": "0.2.0", "release": "r1"},
    "tools": {"kept": 0, "added": [], "lost": []},
    "calls_at_cut_over": 3,
}
FAILED = {
    **DONE,
    "outcome": "failed",
    "reason": "No module named x",
    "supervisor": SUPERVISOR | {"build": "0.1.0"},
}
PHASES = [line({"phase": p, "seconds": 0.1}) for p in ("checking", "replacing", "committed")]


def run(*args: str) -> Result:
    return CliRunner().invoke(relayctl, ["swap", "--supervisor", *args])


def relay(runtime: Path, name: str = "a", *answer: Any) -> FakeRelay:
    status = {**OK, "id": name, "workers": [WORKER], "supervisor": SUPERVISOR}
    script = list(answer or [*PHASES, line(DONE, done=True)])
    return FakeRelay(runtime, name, status, reexec=script)


@pytest.fixture(autouse=True)
def no_config(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_CONFIG", str(state / "no.yaml"))


def test_the_relay_keeps_its_code_where_none_is_named(runtime: Path, state: Path) -> None:
    with relay(runtime) as fake:
        result = run()
    (request,) = fake.asked("reexec")
    assert request.args == {"python": "", "release": ""} and fake.asked("swap") == []
    assert result.exit_code == 0
    assert "asking for a new supervisor\n" in result.stdout and "replacing" in result.stdout
    assert result.stdout.endswith(
        "relay a: supervisor replaced after 0.25 s. 3 calls under way went on. Now serving: "
        "supervisor 0.2.0 (release r1), worker 0.1.0+aaaa (generation 1).\n"
    )


def test_installed_is_relayctls_own_environment(runtime: Path, state: Path) -> None:
    with relay(runtime) as fake:
        assert run("installed").exit_code == 0
    (request,) = fake.asked("reexec")
    assert str(request.args["python"]).startswith("/") and request.args["release"] == ""


def test_a_release_that_is_none_is_noticed_before_anybody_is_asked(
    runtime: Path, state: Path
) -> None:
    with relay(runtime) as fake:
        result = run("nosuch")
    assert result.exit_code == 1 and "there is no release nosuch" in result.stderr
    assert fake.asked("reexec") == []


def test_a_failure_says_why_and_what_serves(runtime: Path, state: Path) -> None:
    with relay(runtime, "a", line(FAILED, done=True)):
        result = run()
    assert result.exit_code == 1
    assert result.stdout.endswith(
        "relay a: supervisor not replaced after 0.25 s: No module named x. Now serving: "
        "supervisor 0.1.0 (release r0), worker 0.1.0+aaaa (generation 1).\n"
    )


def test_a_refusal_too_and_the_relays_after_it_are_left_alone(runtime: Path, state: Path) -> None:
    with relay(runtime, "a", refusal("busy", "a swap is under way")), relay(runtime, "b") as after:
        result = run()
    assert result.exit_code == 1 and after.asked("reexec") == []
    assert "a swap is under way. Now serving: supervisor 0.1.0 (release r0), w" in result.stdout
    assert "relay b: left as it was" in result.stdout


def test_a_relay_that_is_too_old_for_it_says_so(runtime: Path, state: Path) -> None:
    unknown = refusal("unknown_op", "this relay (version 0.1.0) knows no operation 'reexec'")
    with relay(runtime, "a", unknown):
        result = run()
    assert result.exit_code == 1 and "knows no operation 'reexec'" in result.stdout


def test_for_programs_there_is_one_object(runtime: Path, state: Path) -> None:
    with relay(runtime):
        result = run("--json")
    found = json.loads(result.stdout)
    assert found["ok"] and found["instances"][0]["result"]["supervisor"]["build"] == "0.2.0"


@pytest.mark.parametrize("option", ["--force", "--no-wait", "--watch"])
def test_what_has_no_meaning_for_it_is_refused(runtime: Path, state: Path, option: str) -> None:
    with relay(runtime) as fake:
        result = run(option)
    assert result.exit_code == 2 and "--supervisor takes neither" in result.stderr
    assert fake.asked("reexec") == []


def test_without_a_relay_there_is_nothing_to_replace(runtime: Path, state: Path) -> None:
    assert run().exit_code == 3
