"""`relayctl history` on journals of all kinds."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl.main import relayctl
from tests.unit.relay_supervisor.ctl.journals import event, swap, write

pytestmark = pytest.mark.usefixtures("utc")


def run(*args: str) -> Result:
    result = CliRunner().invoke(relayctl, ["history", *args])
    assert result.exit_code == 0
    return result


CALLS = {"going_on": 3, "resent": 0, "unknown": 0, "half_lost": 1}


def test_every_event_is_a_line_the_last_one_last(state: Path) -> None:
    write(
        state,
        event("started", "10:00:00.123456", build="0.1.0+aaaa"),
        *swap(3),
        *swap(4, "rolled_back", reason="why"),
        *swap(5, op="rollback"),
        event("worker_died", "10:05:00", generation=2, how="signal 9", calls=CALLS),
        event("degraded", "10:06:00", condition="last good"),
        event("recovered", "10:07:00"),
        event("degraded", "10:07:30", condition="degraded"),
        event("drained", "10:08:00", generation=1, seconds=3.5, calls=2, cancelled=1),
        event("drained", "10:08:00", generation=2, seconds=0.0, calls=0, cancelled=0),
    )
    result = run()
    assert result.stderr == ""
    done = "worker of generation 1 was done"
    gone_on = "3 gone on at their backends, for the next worker to deliver"
    lost = f"of its calls {gone_on}, 1 half lost"
    versions = "0.1.0+aaaa (generation 1) to 0.2.0+bbbb (release two, generation 2)"
    assert result.stdout.splitlines() == [
        "2026-11-23 10:00:00  a1b2c3d4  relay started, version 0.1.0+aaaa",
        f"2026-11-23 10:03:39  a1b2c3d4  swap a1b2c3d4-3 committed after 11.4 s: {versions}",
        f"2026-11-23 10:04:39  a1b2c3d4  swap a1b2c3d4-4 rolled back after 11.4 s: {versions}: why",
        f"2026-11-23 10:05:39  a1b2c3d4  rollback a1b2c3d4-5 committed after 11.4 s: {versions}",
        f"2026-11-23 10:05:00  a1b2c3d4  worker of generation 2 ended (signal 9); {lost}",
        "2026-11-23 10:06:00  a1b2c3d4  crash loop: the last good version is started",
        "2026-11-23 10:07:00  a1b2c3d4  recovered",
        "2026-11-23 10:07:30  a1b2c3d4  degraded: no worker stays up; one is tried now and then",
        f"2026-11-23 10:08:00  a1b2c3d4  {done} after 3.50 s with 2 calls, 1 cancelled",
        "2026-11-23 10:08:00  a1b2c3d4  worker of generation 2 was done after 0.00 s",
    ]


def test_a_swap_without_an_end_is_told_by_its_last_phase(state: Path) -> None:
    write(state, *swap(3)[:3], event("recovered", "11:00:00"))
    lines = run().stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("swap a1b2c3d4-3 is warming, its end is not recorded")


def test_what_nobody_knows_is_shown_and_what_is_no_event_is_counted(state: Path) -> None:
    write(
        state,
        event("teleported", "10:00:00", to={"x": [1, None]}, by="a\x1b[2Jghost"),
        '{"at": "2026-11-23T10:00:00Z", "instance": "torn", "eve',
        "",
        "\x00\x00",
        "[1]",
        '{"event": 7}',
        "{}",
        "[" * 50_000,
        '{"event": "bare"}',
        '{"event": "odd", "at": {"a": 1}, "instance": 7}',
    )
    result = run()
    first, bare, odd = result.stdout.splitlines()
    assert first == '2026-11-23 10:00:00  a1b2c3d4  teleported: to {"x":[1,null]}, by aghost'
    assert bare.endswith("bare") and "odd" in odd
    assert result.stderr == "6 lines of the journal made no sense.\n"


def test_known_events_of_an_unknown_shape_do_no_harm(state: Path) -> None:
    write(
        state,
        event("swap_ended", "10:00:00"),
        event("swap_ended", "10:00:00", swap=[1], outcome=7, seconds="x", to=3, reason={}),
        event("swap_ended", "10:00:00", swap="b-7", outcome="vanished", to="0.2.0"),
        event("swap_phase", "10:00:00", swap=9),
        event("worker_died", "10:00:00", calls=[1], extra=True),
        event("drained", "10:00:00", seconds="x", calls="y", cancelled=None),
        event("degraded", "10:00:00", condition=["?"]),
    )
    lines = run().stdout.splitlines()
    assert len(lines) == 7
    assert "swap b-7 vanished after 0.00 s: nothing to 0.2.0" in lines[2]
    assert lines[4].endswith("worker of generation ? ended (for no known reason); extra true")


def test_a_rotated_journal_is_read_too_and_bytes_that_are_no_text_are_skipped(state: Path) -> None:
    write(state, event("second", "10:00:01"), rotated=(event("first", "10:00:00"),))
    with (state / "journal.jsonl").open("ab") as file:
        file.write(b'{"event": "\xff"}\n')
    result = run()
    assert [text.split()[-1] for text in result.stdout.splitlines()] == ["first", "second"]
    assert result.stderr.startswith("1 line ")


@pytest.mark.parametrize("args", [(), ("--json",)])
def test_the_last_events(state: Path, args: tuple[str, ...]) -> None:
    write(state, *(event(f"number{n}", "10:00:00") for n in range(30)))
    everything = run("-n", "99", *args).stdout
    assert all(f"number{n}" in everything for n in range(30))
    shown = run(*args).stdout
    assert "number10" in shown and "number9" not in shown
    nothing = run("-n", "0", *args).stdout
    assert "number29" not in nothing and "Nothing is recorded" not in nothing


def test_nothing_yet(state: Path) -> None:
    assert run().stdout == f"Nothing is recorded yet in {state}/journal.jsonl.\n"
    assert json.loads(run("--json").stdout) == {"entries": [], "skipped_lines": 0}


def test_programs_get_every_event_as_it_was_written(state: Path) -> None:
    lines = [*swap(3), event("future", "10:00:00", kept=[1.50, "ä"])]
    write(state, *lines, "torn")
    found = json.loads(run("--json").stdout)
    assert found == {"entries": [json.loads(text) for text in lines], "skipped_lines": 1}


def test_a_journal_that_cannot_be_read(state: Path) -> None:
    (state / "journal.jsonl").mkdir(parents=True)
    result = CliRunner().invoke(relayctl, ["history"])
    assert result.exit_code == 1 and "journal.jsonl cannot be read" in result.stderr


def test_of_a_huge_journal_only_the_end_is_read(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relay_supervisor.ctl import journal

    write(state, *(event(f"number{n}", "10:00:00") for n in range(100)))
    monkeypatch.setattr(journal, "FILE_BYTES_MAX", 1000)
    result = run("-n", "100")
    assert "number99" in result.stdout and "number50 " not in result.stdout
    assert result.stderr == ""
