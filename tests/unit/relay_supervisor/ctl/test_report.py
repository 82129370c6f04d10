"""`relayctl report`: the post-mortem against a golden text, and of whatever a journal may hold."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl.main import relayctl
from relay_supervisor.ctl.releases import Release, Releases
from tests.unit.relay_supervisor.ctl.journals import event, swap, write
from tests.unit.relay_supervisor.ctl.test_releases import write_release

GOLDEN = Path(__file__).parent / "rolled_back.md"

pytestmark = pytest.mark.usefixtures("utc")

CHECKS = [
    {"tool": "lazy", "ok": True, "seconds": 0, "detail": "skipped: not yet", "when": "ready"},
    {"tool": "files__list", "ok": True, "seconds": 0.02, "detail": "", "when": "ready"},
    {
        "tool": "a|b`c",
        "ok": False,
        "seconds": 5,
        "detail": "no answer\n# within 5 s",
        "when": "probation",
    },
]


def run(*args: str) -> Result:
    return CliRunner().invoke(relayctl, ["report", *args])


def report(*args: str) -> str:
    result = run(*args)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n\n", 1)[1].split("\n\n## ", 1)[0]


def rolled_back(state: Path, **changes: Any) -> list[str]:
    fields: dict[str, Any] = {
        "reason": "check of a|b`c failed: <b>no answer</b>",
        "checks": CHECKS,
        "backup": str(state / "backups" / "x.yaml"),
        "problems": ["relay.yaml:3:1: *odd*"],
        "tools": {"kept": 2, "added": ["new_tool"], "lost": ["old"]},
        "refused": True,
        "invented": {"later": True},
    }
    lines = swap(3, "rolled_back", **{**fields, **changes})
    calls = {"resent": 2, "unknown": 1, "given_up": 0}
    other = event("worker_died", "10:03:35", "another1", generation=9)
    earlier = event("worker_died", "10:03:35", generation=0, how="it exited with status 1")
    drained = event("drained", "10:03:36", generation=0, seconds=3.5, cancelled=1)
    died = event("worker_died", "10:03:39", generation=2, how="signal 9", calls=calls)
    later = event("drained", "10:04:00", generation=1, seconds=9.5, cancelled=9)
    return [*lines[:-1], other, earlier, drained, lines[-1], died, later]


def test_a_rolled_back_swap_is_told_in_full(state: Path) -> None:
    write_release(Releases(state), Release(name="two"))
    write(state, *rolled_back(state))
    text = report().replace(str(state), "STATE")
    assert text == GOLDEN.read_text()


def test_of_a_supervisor_there_are_only_calls_that_went_on(state: Path) -> None:
    phases = [["checking", 0.0], ["replacing", 0.2], ["committed", 0.3]]
    write(state, *swap(3, kind="supervisor", tools=None, phases=phases))
    text = report()
    assert section(text, "Calls in flight") == "- 4 under way, and they went on."
    write(state, *swap(3, kind="supervisor", tools=None, phases=phases, calls={"at_cut_over": 0}))
    assert section(report(), "Calls in flight") == "None."


def test_what_became_of_the_calls_of_a_worker_that_was_replaced(state: Path) -> None:
    calls = {"seconds": 3.5, "calls": 2, "cancelled": 1}
    later = event("worker_died", "12:00:00", generation=2, how="signal 9", calls={"unknown": 9})
    write(state, *swap(3), event("drained", "10:04:00", generation=1, **calls), later)
    assert section(report(), "Calls in flight").splitlines() == [
        "- under way at the cut-over: 4",
        "- finished by the old worker during the probation: 1",
        "- answered by the new worker during the probation: 3",
        "- of these failed in the relay: 0",
        "- worker of generation 1 was done after 3.50 s with 2 calls, 1 cancelled",
    ]
    assert '"event": "drained"' in section(report(), "Journal")


def test_a_swap_that_never_came_to_serve_says_so(state: Path) -> None:
    fields = {"phases": [["spawning", 0.0], ["failed", 0.1]], "reason": "no module"}
    died = event("worker_died", "10:04:00", generation=2, how="no module", calls={"resent": 0})
    write(state, *swap(3, "failed", tools=None, **fields), died)
    text = report()
    assert section(text, "Tools").startswith("Not compared")
    assert section(text, "Calls in flight").startswith("- The new worker never got a call.\n")
    assert section(text, "Rollback") == "None."
    write(state, *swap(3, "failed", tools={"kept": 1, "lost": ["a"]}, **fields))
    assert section(report(), "Tools").startswith("This is what the new worker offered; it never")


@pytest.mark.parametrize("served", [True, False])
def test_going_back_by_hand_refuses_nothing(state: Path, *, served: bool) -> None:
    changes: dict[str, Any] = {} if served else {"phases": [["warming", 0.0]]}
    write(state, *swap(3, "rolled_back", reason="asked for", **changes))
    text = section(report(), "Rollback")
    assert ("The calls went back" in text) == served and "asked for" in text
    assert "refused" not in text


def test_a_rollback_long_after_is_called_so(state: Path) -> None:
    write(state, *swap(3, op="rollback", force=True))
    text = report()
    assert text.startswith("# Rollback a1b2c3d4-3: committed\n")
    assert "relayctl rollback" in section(text, "Rollback") and "Forced" not in text


def test_force_is_told(state: Path) -> None:
    write(state, *swap(3, force=True))
    assert "- Forced: yes\n" in report()


def test_by_default_it_is_the_last_one_and_the_beginning_of_an_id_is_enough(state: Path) -> None:
    write(state, *swap(3), *swap(4, "failed", reason="why"), event("recovered", "11:00:00"))
    assert report().startswith("# Swap a1b2c3d4-4: failed\n")
    assert report("a1b2c3d4-3").startswith("# Swap a1b2c3d4-3: committed\n")
    ambiguous, missing = run("a1"), run("x")
    assert (ambiguous.exit_code, missing.exit_code) == (2, 1)
    assert "a1b2c3d4-3, a1b2c3d4-4" in ambiguous.stderr and "a1b2c3d4-4" in missing.stderr


def test_an_exact_id_is_not_ambiguous(state: Path) -> None:
    write(state, *swap(1), *swap(11), *swap(12))
    assert report("a1b2c3d4-1").startswith("# Swap a1b2c3d4-1: ")


def test_no_swap_yet(state: Path) -> None:
    assert run().exit_code == 1
    write(state, event("started", "10:00:00"))
    result = run()
    assert result.exit_code == 1 and "no swap is recorded" in result.stderr


def test_phases_last_until_the_next_one_begins(state: Path) -> None:
    write(state, *swap())
    rows = section(report(), "Timeline").splitlines()[2:]
    assert rows == [
        "| spawning | 0.00 s | 0.20 s |",
        "| handshaking | 0.20 s | 0.10 s |",
        "| warming | 0.30 s | 1.00 s |",
        "| ready | 1.30 s | 0.10 s |",
        "| active | 1.40 s | 10.0 s |",
        "| committed | 11.4 s | |",
    ]


def test_a_swap_without_an_end_is_told_as_far_as_it_is_known(state: Path) -> None:
    write(state, *swap(3)[:3], event("worker_died", "10:03:31", generation=2, how="signal 9"))
    text = report()
    assert text.startswith("# Swap a1b2c3d4-3: its end is not recorded\n")
    assert "| warming | 0.30 s | |" in section(text, "Timeline")
    problems = section(text, "Problems")
    assert "the relay ended, or was killed" in problems and "signal 9" in problems


def test_two_swaps_of_one_relay_that_overlap(state: Path) -> None:
    first, second = swap(3, "failed", reason="superseded by swap 4"), swap(4)
    died = event("worker_died", "10:04:35", generation=3)
    write(state, *first[:-1], *second[:2], first[-1], died, *second[2:])
    assert "generation 3" not in section(report("a1b2c3d4-3"), "Problems")
    assert "worker of generation 3 ended" in section(report("a1b2c3d4-4"), "Problems")


@pytest.mark.parametrize(
    "fields",
    [
        {"phases": "x", "tools": [], "calls": 3, "checks": {}, "backup": 7, "problems": "y"},
        {"phases": [["a"]], "checks": [1, ["files__list", True, 0.1, ""]], "from": None, "to": []},
        {"seconds": "long", "outcome": None, "reason": ["a"], "from": "0.1.0", "to": {"x": 1}},
    ],
)
def test_fields_of_another_shape_do_no_harm(state: Path, fields: dict[str, Any]) -> None:
    write(state, *swap(3, **fields))
    assert section(report(), "Artefacts").endswith("journal.jsonl`")


def test_nothing_in_it_can_break_out_of_its_place(state: Path) -> None:
    evil = "x\n\n# owned | ``` <script>\x1b[2J"
    fields = {"reason": evil, "problems": [evil], "backup": evil, evil: evil}
    write(state, *swap(3, tools={"kept": 0, "added": [evil], "lost": []}, **fields))
    text = report()
    quoted = text.index("## Journal")
    before, journal = text[:quoted], text[quoted:]
    assert "\x1b" not in text and "\n# owned" not in text
    assert "<script>" in before and "<script>" not in re.sub(r"(`+) ?.*?\1", "", before)
    assert "````json\n" in journal and journal.endswith("\n````\n")
    assert "\\<script\\>" in section(text, "Problems")


def test_the_journal_is_quoted_within_bounds(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relay_supervisor.ctl import postmortem

    monkeypatch.setattr(postmortem, "LINES_MAX", 3)
    lines = swap(3)
    write(state, *lines)
    quoted = section(report(), "Journal").splitlines()
    assert quoted[0] == f"{len(lines) - 3} more lines are in the file."
    assert [json.loads(text) for text in quoted[3:-1]] == [json.loads(text) for text in lines[:3]]


def test_it_can_be_written_to_a_file(state: Path, tmp_path: Path) -> None:
    write(state, *swap(3))
    file = tmp_path / "report.md"
    assert report("--output", str(file)) == f"The report of swap a1b2c3d4-3 is in {file}.\n"
    assert file.read_text() == report()
    failed = run("--output", str(tmp_path / "missing" / "report.md"))
    assert failed.exit_code == 1 and "cannot be written" in failed.stderr
