"""`relayctl swap` through its command line, on fake relays: what is asked, said and left behind."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl import changing, client, conversation
from relay_supervisor.ctl.backups import Backups
from relay_supervisor.ctl.main import relayctl
from relay_supervisor.ctl.relays import NotReached
from relay_supervisor.wire.control_v1 import Request
from tests.unit.relay_supervisor.ctl.fake_relay import (
    PHASES,
    FakeRelay,
    golden_status,
    hung_relay,
    line,
    refusal,
    swapped,
)

OK = golden_status("starting", health="ok")
WORKER = {"generation": 1, "pid": 1, "state": "active", "release": "0.1.0+aaaa", "in_flight": 0}


def run(*args: str) -> Result:
    return CliRunner().invoke(relayctl, ["swap", *args])


def printed(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def relay(runtime: Path, name: str, *answer: Any, **status: Any) -> FakeRelay:
    status = {**OK, "id": name, "workers": [WORKER], **status}
    return FakeRelay(runtime, name, status, swap=list(answer or [*PHASES, swapped()]))


def args_of(fake: FakeRelay) -> dict[str, Any]:
    (request,) = fake.asked("swap")
    return dict(request.args)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hung relays are given less time than in real life."""
    monkeypatch.setattr(client, "ANSWER_SECONDS_MAX", 0.3)
    monkeypatch.setattr(conversation, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(conversation, "PROBE_SECONDS", 0.02)


@pytest.fixture
def config(state: Path) -> Path:
    path = state.parent / "relay.yaml"
    path.write_text("backends: {}\n")
    return path


@pytest.fixture
def three(runtime: Path, state: Path) -> Iterator[list[FakeRelay]]:
    """Three relays; the second one's swap fails."""
    failed = swapped("failed", reason="tools would be lost: x")
    with ExitStack() as stack:
        yield [
            stack.enter_context(relay(runtime, name, *answer))
            for name, answer in (("a", ()), ("b", (*PHASES[:4], failed)), ("c", ()))
        ]


def test_a_committed_swap_tells_its_phases_and_what_serves_now(runtime: Path, state: Path) -> None:
    with relay(runtime, "a"):
        result = run()
    assert result.exit_code == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert [text.split()[0] for text in lines[1:-1]] == [
        *("spawning", "handshaking", "warming", "ready", "active")
    ]
    assert lines[-1] == (
        "relay a: swap committed after 1.50 s. 3 tools kept. "
        "Now serving: 0.2.0+bbbb (generation 2)."
    )


def test_without_an_argument_the_relay_keeps_its_release(runtime: Path, config: Path) -> None:
    with relay(runtime, "a") as fake:
        assert run().exit_code == 0
    args = args_of(fake)
    (backup,) = (config.parent / "state" / "backups").iterdir()
    assert args == {
        "python": "",
        "release": "",
        "force": False,
        "no_wait": False,
        "backup": str(backup),
        "refused": "[]",
    }
    assert backup.read_bytes() == config.read_bytes()


@pytest.mark.parametrize("outcome", ["failed", "rolled_back"])
def test_a_swap_that_fails_says_why_and_that_the_old_version_serves(
    runtime: Path, state: Path, outcome: str
) -> None:
    with relay(runtime, "a", *PHASES, swapped(outcome, reason="it crashed")):
        result = run()
    assert result.exit_code == 1
    tools = " 3 tools kept." if outcome == "rolled_back" else ""
    assert result.stdout.endswith(
        f"swap {outcome.replace('_', ' ')} after 1.50 s: it crashed.{tools} "
        "Now serving: 0.1.0+aaaa (generation 1).\n"
    )


def test_the_tools_of_one_that_failed_are_not_told_as_if_it_served(
    runtime: Path, state: Path
) -> None:
    """And of very many only the first are named."""
    tools = {"kept": 1, "added": [], "lost": [f"tool{number}" for number in range(10)]}
    with relay(runtime, "a", *PHASES, swapped("failed", reason="why", tools=tools)):
        result = run()
    named = ", ".join(f"tool{number}" for number in range(8))
    assert f"why. With it: 1 tool kept, 10 lost ({named}, and 2 more). Now " in result.stdout


@pytest.mark.parametrize("code", ["busy", "refused", "bad_request", "ending", "unknown_op"])
def test_a_refusal_is_a_failure_and_the_status_says_what_serves(
    runtime: Path, state: Path, code: str
) -> None:
    with relay(runtime, "a", refusal(code, "not now\x1b[2J")):
        result = run()
        as_json = run("--json")
    assert result.exit_code == as_json.exit_code == 1
    last = result.stdout.splitlines()[-1]
    assert last == "relay a: not now. Now serving: 0.1.0+aaaa (generation 1)."
    (instance,) = printed(as_json)["instances"]
    assert instance["error"]["code"] == code and instance["result"] is None


def test_options_reach_the_relay(runtime: Path, state: Path) -> None:
    state.mkdir()
    refused = {"0.1.0+x y1": {"reason": "r" * 900, "at": "2026-11-23T00:00:00Z"}, "odd": {}}
    (state / "refused.json").write_text(json.dumps(refused))
    with relay(runtime, "a", swapped("probation")) as fake:
        result = run("--force", "--no-wait")
    assert result.exit_code == 0 and "on probation" in result.stdout
    args = args_of(fake)
    assert (args["force"], args["no_wait"]) == (True, True)
    first, odd = json.loads(args["refused"])
    assert first == {"build": "0.1.0+x", "config_digest": "y1", "reason": "r" * 200}
    assert odd["config_digest"] == "odd"


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"a": 1}', "[" * 100_000])
def test_a_corrupt_list_of_refusals_is_none(runtime: Path, state: Path, content: str) -> None:
    state.mkdir()
    (state / "refused.json").write_text(content)
    with relay(runtime, "a") as fake:
        assert run().exit_code == 0
    assert args_of(fake)["refused"] == "[]"


@pytest.mark.parametrize("reason", ['"\\' * 400, "\0" * 400, "\U0001f600" * 400])
def test_the_largest_list_of_refusals_fits_into_a_request(
    runtime: Path, state: Path, reason: str
) -> None:
    state.mkdir()
    worst = {f"{'b' * 60}{n} {'d' * 16}": {"reason": reason} for n in range(200)}
    (state / "refused.json").write_text(json.dumps(worst))
    with relay(runtime, "a") as fake:
        assert run().exit_code == 0
    assert len(json.loads(args_of(fake)["refused"])) == 64


def test_the_first_failure_ends_it(three: list[FakeRelay]) -> None:
    result = run()
    assert result.exit_code == 1
    assert [len(fake.asked("swap")) for fake in three] == [1, 1, 0]
    lines = [text for text in result.stdout.splitlines() if text.startswith("relay")]
    assert [text.split(":")[0] for text in lines] == ["relay a", "relay b", "relay c"]
    assert lines[-1].endswith("left as it was. Still serving: 0.1.0+aaaa (generation 1).")


def test_the_first_failure_for_programs(three: list[FakeRelay]) -> None:
    found = printed(run("--json"))
    assert (found["ok"], found["left"], found["unreachable"]) == (False, ["c"], [])
    assert [one["ok"] for one in found["instances"]] == [True, False]
    assert found["instances"][1]["result"]["reason"] == "tools would be lost: x"


def test_one_instance_is_taken_alone(three: list[FakeRelay]) -> None:
    assert run("--instance", "c").exit_code == 0
    assert [len(fake.asked("swap")) for fake in three] == [0, 0, 1]


def test_a_silent_relay_does_not_stop_the_others_but_counts(runtime: Path, state: Path) -> None:
    with hung_relay(runtime, "0"), relay(runtime, "a") as fake:
        result = run()
    assert result.exit_code == 1 and len(fake.asked("swap")) == 1
    assert "relay 0: left as it was. It does not answer" in result.stdout


@pytest.mark.parametrize("args", [(), ("--json",), ("--watch",), ("--instance", "x")])
def test_without_a_relay_nothing_is_done(
    runtime: Path, config: Path, args: tuple[str, ...]
) -> None:
    result = run(*args)
    assert result.exit_code == 3 and "No relay is running" in result.stderr
    assert not (config.parent / "state").exists()


def test_an_answer_of_another_shape_is_a_failure(runtime: Path, state: Path) -> None:
    with relay(runtime, "a", PHASES[0], line("no result of a swap", done=True)):
        result = run()
    assert result.exit_code == 1 and "has not the shape agreed on" in result.stdout


def test_a_relay_that_ends_says_so_itself(runtime: Path, state: Path) -> None:
    with relay(runtime, "a", swapped("failed", reason="the relay ends", ending=True)):
        result = run()
    assert result.exit_code == 1
    assert result.stdout.endswith("It has ended, so nothing serves there any more.\n")


def test_a_relay_that_is_being_killed_has_ended_a_moment_later(
    runtime: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has hung up on us, and its socket is still there."""
    still = iter((None, None))

    def again(relay: object) -> None:
        for one in still:
            return one
        raise NotReached("it has ended")

    monkeypatch.setattr(changing, "again", again)
    with relay(runtime, "a", refusal("lost", "it fell")):
        result = run()
    assert result.stdout.endswith("It has ended, so nothing serves there any more.\n")


def test_a_relay_that_ends_meanwhile(runtime: Path, state: Path) -> None:
    def end(request: Request) -> list[Any]:
        ending.start()  # stops the relay's loop, which this runs on
        return PHASES[:2]

    fake = FakeRelay(runtime, "a", {**OK, "id": "a", "workers": [WORKER]}, swap=end)
    ending = threading.Thread(target=fake.stop)
    result = run()
    ending.join(5)
    assert result.exit_code == 1
    assert "relay a: it closed the connection without a final answer" in result.stdout
    assert result.stdout.endswith("It has ended, so nothing serves there any more.\n")


def test_a_relay_that_falls_silent_is_asked_whether_it_lives(
    runtime: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "CONVERSATION_SECONDS_MAX", 0.2)
    with relay(runtime, "a", *PHASES) as fake:
        result = run()
    assert len(fake.asked("status")) > 3
    assert result.exit_code == 1
    assert "relay a: it gave no final answer within 0.2 s. Now serving: 0.1.0" in result.stdout


def test_what_is_in_force_is_backed_up_before_what_is_in_the_file(
    runtime: Path, config: Path
) -> None:
    """The file has been edited since the relay read it, and was never backed up before."""
    told = line({"path": str(config), "content": base64.b64encode(b"before").decode()}, done=True)
    status = {**OK, "id": "a", "config_path": str(config), "workers": [WORKER]}
    with FakeRelay(runtime, "a", status, swap=[swapped()], configuration=[told]) as fake:
        assert run().exit_code == 0
    state = config.parent / "state"
    assert Path(args_of(fake)["backup"]).read_bytes() == b"before"
    Backups(state).restore(config)
    assert config.read_bytes() == b"before"


@pytest.mark.parametrize("answer", [{"content": 7}, {"content": "?"}, [], None, {}])
def test_a_relay_that_does_not_tell_what_is_in_force_is_swapped_all_the_same(
    runtime: Path, config: Path, answer: object
) -> None:
    status = {**OK, "id": "a", "config_path": str(config), "workers": [WORKER]}
    script = [line(answer, done=True)]
    with FakeRelay(runtime, "a", status, swap=[swapped()], configuration=script) as fake:
        assert run().exit_code == 0
    assert Path(args_of(fake)["backup"]).read_bytes() == config.read_bytes()


def interrupted(*args: object, **kwargs: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("when", ["release", "swap"])
def test_ctrl_c_says_what_goes_on_and_what_serves(
    runtime: Path, state: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    if when == "release":
        monkeypatch.setattr("relay_supervisor.ctl.target.resolve", interrupted)
    else:
        monkeypatch.setattr("relay_supervisor.ctl.swap.change_all", interrupted)
    with relay(runtime, "a"):
        result = run()
    assert result.exit_code == 1
    assert ("no swap was begun" in result.stderr) == (when == "release")
    assert ("goes on in its relay" in result.stderr) == (when == "swap")
    assert result.stderr.endswith("Now serving: 0.1.0+aaaa (generation 1).\n")


def test_no_id_is_no_relay(runtime: Path, state: Path) -> None:
    """Such as of a variable of a script that is not set."""
    with relay(runtime, "a") as fake:
        result = run("--instance", "")
    assert result.exit_code == 2 and not fake.requests


def test_a_failing_backup_is_a_reason_not_to_begin(runtime: Path, config: Path) -> None:
    state = config.parent / "state"
    state.mkdir()
    (state / "backups").write_text("in the way")
    with relay(runtime, "a") as fake:
        result = run()
        assert result.exit_code == 1 and not fake.asked("swap")
        assert "cannot be backed up" in result.stderr
        assert result.stderr.rstrip().endswith("Now serving: 0.1.0+aaaa (generation 1).")
        forced = run("--force")
    assert forced.exit_code == 0 and "Going on without a backup" in forced.stderr
    assert args_of(fake)["backup"] == ""


def test_each_relays_own_configuration_is_backed_up(runtime: Path, config: Path) -> None:
    other = config.with_name("other.yaml")
    other.write_text("relay: {}\n")
    with (
        relay(runtime, "a") as one,
        relay(runtime, "b", config_path=str(other)) as two,
        relay(runtime, "c", config_path=None) as none,
    ):
        found = printed(run("--json"))
    assert Path(args_of(one)["backup"]).read_text() == "backends: {}\n"
    assert Path(args_of(two)["backup"]).read_text() == "relay: {}\n"
    assert args_of(none)["backup"] == ""
    assert found["backups"] == sorted([args_of(one)["backup"], args_of(two)["backup"]])
