"""The limits of a drain: calls that do not end are cancelled and answered, and old workers do not
pile up.

Each swap changes the backend's specification, so that its calls stay where they are.
"""

import json
from pathlib import Path
from typing import Final

from tests.faults.ordeal import SECONDS_MAX, Ordeal, ordeal
from tests.harness import Frame, alive, side_effects, text_of, wait_until

SOFT_SECONDS: Final = 0.2
HARD_SECONDS: Final = 0.8


def change(one: Ordeal, mark: str) -> None:
    """Another environment for the backend."""
    path = one.relay.home.config_path
    config = json.loads(path.read_bytes())
    config["backends"]["fix"]["env"] = {"MARK": mark}
    one.relay.home.write_config(config)


def asked(one: Ordeal) -> tuple[int, Frame]:
    """A call that is not answered before its question is, and the question."""
    call = one.client.start_tool("fix__elicit", {"message": "name?"})
    return call, one.client.wait_request("elicitation/create")


def answer(one: Ordeal, call: int, question: Frame) -> None:
    """Answer the question, and see its call answered."""
    assert not one.client.answered(call)
    one.client.answer(question, {"action": "accept", "content": {"name": "Ann"}})
    assert "Ann" in text_of(one.client.response(call).result)


def test_calls_that_outlast_the_hard_limit(tmp_path: Path) -> None:
    """They are cancelled at the backend, the question is withdrawn, and each is answered once."""
    with ordeal(tmp_path, drain_seconds=SOFT_SECONDS, drain_max_seconds=HARD_SECONDS) as one:
        old = one.wait_worker("active", 1)
        hanging = one.client.start_tool("fix__counter", {"tag": "long", "seconds": 600})
        asking, question = asked(one)
        wait_until(lambda: side_effects(one.log), SECONDS_MAX, "both to run")
        change(one, "2")
        said = one.swap()
        assert (said.code, said.generation) == (0, 2), said.text
        for call in (hanging, asking):
            result = one.client.response(call).result
            assert result["isError"]
            assert f"{HARD_SECONDS:g} s (drain_max_seconds)" in text_of(result)
        withdrawn = one.client.wait_notification("notifications/cancelled")
        assert withdrawn["requestId"] == question.id
        warning = f"2 calls under way after {SOFT_SECONDS:g} s (drain_seconds)"
        one.client.child.wait_stderr(warning)
        wait_until(lambda: not alive(old), SECONDS_MAX, "the old worker's end")
        wait_until(
            lambda: (
                sorted(c["tool"] for c in side_effects(one.log, "cancelled"))
                == ["counter", "elicit"]
            ),
            SECONDS_MAX,
            "both to be cancelled at the backend",
        )
        one.assert_as_before()


def test_a_swap_waits_while_two_old_workers_are_not_done(tmp_path: Path) -> None:
    """It goes on by itself when one of them is, and nothing of the others' calls is lost."""
    with ordeal(tmp_path) as one:
        questions = []
        for generation in (2, 3):
            questions.append(asked(one))
            change(one, str(generation))
            said = one.swap()
            assert (said.code, said.generation) == (0, generation), said.text
        change(one, "4")
        third = one.begin_swap()
        journal = one.relay.home.state / "journal.jsonl"
        wait_until(lambda: b'"waiting"' in journal.read_bytes(), SECONDS_MAX, "the swap to wait")
        lives = [(w["generation"], w["state"]) for w in one.status()["workers"]]
        assert lives == [(1, "draining"), (2, "draining"), (3, "active")]
        assert not third.done()
        answer(one, *questions[0])
        said = one.said(third)
        assert (said.code, said.generation) == (0, 4), said.text
        assert "2 old workers are not done yet" in said.text
        answer(one, *questions[1])
        one.assert_as_before()
