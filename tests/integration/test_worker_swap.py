"""A real worker as one generation of several: what it is made of, if it is ready, how it ends."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.wire import cache, v1
from relay_supervisor.wire.ledger import Stage
from relay_worker.build import build
from relay_worker.checks import SKIPPED
from tests.harness.fixture import fixture_backend, side_effects
from tests.integration.fake_supervisor import FakeSupervisor

CALLS = 64


def fix(*checks: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"backends": {"fix": fixture_backend(**settings)}, "checks": list(checks)}


def check(tool: str, **fields: Any) -> dict[str, Any]:
    return {"tool": tool, **fields}


def results(supervisor: FakeSupervisor, token: int = 0) -> list[tuple[str, bool, str]]:
    checked = supervisor.expect(v1.Checked, lambda message: message.token == token)[0]
    return [(result.tool, result.ok, result.detail) for result in checked.results]


# ---- what it is made of -------------------------------------------------------------------------


def test_it_says_what_it_is_built_from(supervisor: FakeSupervisor) -> None:
    welcome = supervisor.welcome()
    assert welcome.build == build() and re.fullmatch(r"[\d.]+\+[0-9a-f]{8}", welcome.build)


def test_it_takes_the_snapshot_itself_and_hands_it_over(
    supervisor: FakeSupervisor, tmp_path: Path
) -> None:
    path = tmp_path / "relay.yaml"
    text = json.dumps(fix()).encode()
    path.write_bytes(text)
    path.chmod(0o600)
    supervisor.welcome()
    supervisor.send_configure(None, config_path=str(path))
    configured, _ = supervisor.expect(v1.Configured)
    (_, snapshot), *_ = [one for one in supervisor.inbox if isinstance(one[0], v1.ConfigRead)]
    assert snapshot == text and configured.problems == []
    path.unlink()
    with FakeSupervisor(tmp_path, generation=4) as second:
        second.welcome()
        second.send_configure(snapshot, config_path=str(path))
        again, _ = second.expect(v1.Configured)
        assert again == configured and again.config_digest
        assert not [one for one, _ in second.inbox if isinstance(one, v1.ConfigRead)]


def test_without_a_file_it_serves_the_default(supervisor: FakeSupervisor, tmp_path: Path) -> None:
    supervisor.welcome()
    missing = str(tmp_path / "missing.yaml")
    supervisor.send_configure(None, config_path=missing, default_if_missing=True)
    configured, instructions = supervisor.expect(v1.Configured)
    assert [info.name for info in configured.backends] == ["demo", "relay"]
    assert configured.config_digest == "default" and b"no configuration file" in instructions
    assert supervisor.expect(v1.ConfigRead)[1] == b""


def test_a_file_of_which_nothing_can_be_read_is_a_failed_check(supervisor: FakeSupervisor) -> None:
    supervisor.welcome()
    supervisor.send_configure(b"backends: [")
    configured, _ = supervisor.expect(v1.Configured)
    assert configured.problems and [info.name for info in configured.backends] == ["relay"]
    supervisor.session()
    ((tool, ok, detail),) = results(supervisor)
    assert (tool, ok) == ("configuration", False) and "relay.yaml" in detail
    assert supervisor.expect(v1.Ready)


def test_fingerprints_follow_the_configuration(supervisor: FakeSupervisor, tmp_path: Path) -> None:
    def prints(configured: v1.Configured) -> dict[str, str]:
        return {info.name: info.fingerprint for info in configured.backends}

    two = {**fix()["backends"], "two": fixture_backend()}
    first = prints(supervisor.configure({"backends": two}))
    two["two"] = fixture_backend(trust_hints=True)
    with FakeSupervisor(tmp_path, generation=4) as second:
        other = prints(second.configure({"backends": two}))
    changed = {name for name in first if first[name] != other[name]}
    assert changed == {"two"} and all(first.values())


def test_the_limits_of_the_configuration_reach_the_supervisor(supervisor: FakeSupervisor) -> None:
    relay = {"drain_seconds": 1, "probation_calls": 3, "ready_seconds_max": 7}
    limits = supervisor.configure({"relay": relay}).limits
    assert (limits.drain_seconds, limits.probation_calls, limits.ready_seconds_max) == (1, 3, 7)
    assert limits.requests_in_flight_max == 10_000 and limits.probation_seconds == 10


def test_tools_are_repeatable_where_their_hints_are_trusted(supervisor: FakeSupervisor) -> None:
    supervisor.configure(fix(trust_hints=True))
    supervisor.session()
    _, body = supervisor.expect(v1.Catalogue, lambda m: m.settled)
    repeatable = {entry.key: entry.repeatable for entry in cache.decode_body(body).tools}
    assert repeatable["fix__read_counter"] and repeatable["fix__idempotent_counter"]
    assert not repeatable["fix__counter"]


# ---- ready --------------------------------------------------------------------------------------


def test_checks_run_before_it_is_ready(supervisor: FakeSupervisor) -> None:
    good = check("fix__echo", arguments={"a": "b"}, expect={"text_contains": '"a":"b"'})
    wrong = check("fix__echo", expect={"text_contains": "something else"})
    supervisor.configure(fix(good, wrong, check("fix__error"), check("fix__nothing")))
    supervisor.session()
    (first, second, third, fourth) = results(supervisor)
    assert first == ("fix__echo", True, "")
    assert not second[1] and "does not contain 'something else'" in second[2]
    assert not third[1] and third[2]
    assert not fourth[1] and "Unknown tool" in fourth[2]
    assert supervisor.expect(v1.Ready)[0] == v1.Ready(3, "nonce")
    assert not [one for one, _ in supervisor.inbox if isinstance(one, v1.Reply)]
    assert supervisor.stages() == {}, "checks are no calls of the supervisor's"


def test_a_check_that_hangs_is_cancelled_at_the_backend(supervisor: FakeSupervisor) -> None:
    config = fix(check("fix__hang"))
    supervisor.configure({**config, "relay": {"check_seconds_max": 0.2}})
    supervisor.session()
    ((_, ok, detail),) = results(supervisor)
    assert not ok and "no answer within 0.2" in detail
    supervisor.expect(v1.Ready)
    supervisor.tool(5, "fix__seen")
    (cancelled,) = supervisor.structured(5)["cancelled"]
    assert cancelled["id"].startswith("relay-call-")
    supervisor.tool(6, "fix__violations")
    assert supervisor.structured(6) == {"violations": []}


def test_a_slow_start_is_not_held_against_a_check(supervisor: FakeSupervisor) -> None:
    config = {
        "backends": {"fix": fixture_backend("--start-delay=0.5")},
        "checks": [check("fix__echo")],
        "relay": {"check_seconds_max": 0.1},
    }
    supervisor.configure(config)
    supervisor.session()
    learned, payload = supervisor.expect(v1.LearnedLists)
    assert results(supervisor)[0][1]
    with FakeSupervisor(supervisor.state_dir, generation=4) as second:
        second.configure(config)
        second.send(v1.KnownLists("fix", learned.spec_hash), payload)
        second.session()
        assert second.expect(v1.Catalogue)[0].settled, "its lists are known before it is up"
        assert results(second)[0][1]


def test_checks_on_sleeping_backends_run_once_it_serves(supervisor: FakeSupervisor) -> None:
    config = fix(check("fix__echo"), check("relay__status"), start="lazy")
    supervisor.configure(config)
    supervisor.session()
    learned, payload = supervisor.expect(v1.LearnedLists)
    with FakeSupervisor(supervisor.state_dir, generation=4) as second:
        second.configure(config)
        second.send(v1.KnownLists("fix", learned.spec_hash), payload)
        second.session()
        request, _ = second.expect(v1.StatusRequest)
        second.send(v1.StatusReply(request.token), b'{"health":"ok"}')
        (echo, status) = results(second)
        assert echo[1] and echo[2].startswith(SKIPPED) and status == ("relay__status", True, "")
        second.expect(v1.Ready)
        assert second.spawned == []
        second.send(v1.RunChecks(7))
        assert results(second, 7) == [("fix__echo", True, "")]
        assert len(second.spawned) == 1


def test_it_is_ready_in_time_though_lists_are_missing(supervisor: FakeSupervisor) -> None:
    config = {
        "backends": {"fix": fixture_backend("--start-delay=60")},
        "checks": [check("fix__echo")],
        "relay": {"ready_seconds_max": 1},
    }
    supervisor.configure(config)
    supervisor.session()
    ((_, ok, _),) = results(supervisor)
    assert not ok and supervisor.expect(v1.Ready)
    catalogues = [one for one, _ in supervisor.inbox if isinstance(one, v1.Catalogue)]
    assert [one.settled for one in catalogues] == [False]


# ---- records ------------------------------------------------------------------------------------


def test_it_keeps_the_journal_and_refusals(supervisor: FakeSupervisor, tmp_path: Path) -> None:
    supervisor.configure(fix())
    supervisor.send(v1.Journal(), b'{"event":"one"}\n{"event":"two"}\n')
    supervisor.send(v1.Refuse("1.0+abcdef01", "0123456789abcdef", "it crashed"))
    assert supervisor.retire() == 0
    assert (tmp_path / "journal.jsonl").read_text().splitlines() == [
        '{"event":"one"}',
        '{"event":"two"}',
    ]
    refused = json.loads((tmp_path / "refused.json").read_bytes())
    assert refused["1.0+abcdef01 0123456789abcdef"]["reason"] == "it crashed"


def test_a_candidate_leaves_the_cache_of_the_next_start_alone(
    supervisor: FakeSupervisor, tmp_path: Path
) -> None:
    path = tmp_path / "cache" / "file"
    supervisor.ready(fix(), cache_path=str(path))
    supervisor.expect(v1.Ready)
    supervisor.tool(5, "fix__echo")
    supervisor.text(5)
    assert supervisor.retire() == 0
    assert not path.exists()


def test_a_worker_that_has_outlived_its_swap_keeps_the_cache(
    supervisor: FakeSupervisor, tmp_path: Path
) -> None:
    path = tmp_path / "cache" / "file"
    relay = {"ready_seconds_max": 0.3, "probation_seconds": 0.1}
    supervisor.ready({**fix(), "relay": relay}, cache_path=str(path))
    supervisor.until(path.exists)
    assert cache.load(path.read_bytes()) is not None


def test_its_log_names_its_generation(supervisor: FakeSupervisor) -> None:
    config = fix()
    config["backends"]["bad name"] = {"comand": "x"}
    supervisor.ready(config)
    assert supervisor.retire() == 0
    assert "worker 3: " in supervisor.log() and "worker 0: " not in supervisor.log()


# ---- the ledger, and the end --------------------------------------------------------------------


def test_the_ledger_follows_a_call(supervisor: FakeSupervisor) -> None:
    supervisor.configure({"backends": {"fix": fixture_backend("--start-delay=0.3")}})
    supervisor.session()
    supervisor.tool(5, "fix__hang")
    supervisor.tool(6, "fix__echo")
    supervisor.tool(7, "fix__hang")
    supervisor.until(lambda: len(supervisor.stages()) == 3)
    assert set(supervisor.stages().values()) == {Stage.RECEIVED}, "its backend is starting"
    supervisor.text(6)
    supervisor.until(lambda: 6 not in supervisor.stages())
    assert supervisor.stages() == {5: Stage.WRITTEN, 7: Stage.WRITTEN}
    supervisor.send(v1.Cancel(5))
    supervisor.until(lambda: supervisor.stages() == {7: Stage.WRITTEN})
    supervisor.tool(8, "relay__status")
    supervisor.expect(v1.StatusRequest)
    assert supervisor.stages()[8] is Stage.RECEIVED, "no backend has it"


def test_a_call_that_cannot_be_written_stays_received(supervisor: FakeSupervisor) -> None:
    supervisor.ready(fix())
    os.kill(supervisor.spawned[0][1], signal.SIGSTOP)
    for call in range(5, 10):
        supervisor.tool(call, "fix__echo", text="x" * 100_000)
    # The first is in the pipe in part, as the mailbox says; the others wait behind it.
    expected = dict.fromkeys(range(5, 10), Stage.RECEIVED)
    supervisor.until(lambda: supervisor.stages() == expected)
    os.kill(supervisor.spawned[0][1], signal.SIGCONT)
    for call in range(5, 10):
        supervisor.reply(call)
    supervisor.until(lambda: supervisor.stages() == {})


@pytest.mark.parametrize("size", [10, 50_000])
def test_what_the_ledger_of_a_killed_worker_says_is_true(
    supervisor: FakeSupervisor, tmp_path: Path, size: int
) -> None:
    log = tmp_path / "effects"
    supervisor.ready({"backends": {"fix": fixture_backend(f"--log={log}")}})
    for call in range(1, CALLS + 1):
        supervisor.tool(call, "fix__counter", tag=f"{call} {'x' * size}")
    supervisor.expect(v1.Reply)
    supervisor.worker.kill()
    supervisor.worker.wait()
    answered = {1, *supervisor.last_replies()}
    backend = supervisor.children[supervisor.spawned[0][1]]
    assert backend.stdin
    backend.stdin.close()
    backend.wait(20)
    ran = {int(entry["tag"].split()[0]) for entry in side_effects(log)}
    stages = supervisor.stages()
    left = set(range(1, CALLS + 1)) - answered
    again = {call for call in left if stages.get(call, Stage.RECEIVED) is Stage.RECEIVED}
    assert not again & ran, "these would run twice"
    assert answered <= ran
    assert {call for call, stage in stages.items() if stage is Stage.WRITTEN} <= ran


def test_told_to_retire_it_ends_at_once_and_answers_nothing_more(
    supervisor: FakeSupervisor,
) -> None:
    supervisor.ready(fix())
    supervisor.tool(5, "fix__hang")
    supervisor.tool(6, "fix__echo")
    supervisor.text(6)
    assert supervisor.retire() == 0
    assert supervisor.last_replies() == []
    assert supervisor.children[supervisor.spawned[0][1]].poll() is None, "not its to end"


def test_it_retires_though_nobody_reads_its_pipe(supervisor: FakeSupervisor) -> None:
    supervisor.ready(fix())
    for call in range(5, 10):
        supervisor.tool(call, "fix__big", bytes=1 << 20)
    supervisor.until(lambda: set(supervisor.stages().values()) == {Stage.WRITTEN})
    assert supervisor.retire() == 0
