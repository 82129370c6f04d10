"""What a candidate must bring: every tool and all health of the one before, but for what was
changed on purpose.
"""

import pytest

from relay_supervisor.core.gate import AWAITED, HEALTHY, PENDING, Verdict
from relay_supervisor.core.gate import judge as judge_served
from relay_supervisor.core.generation import Offer
from relay_supervisor.wire import cache, v1
from relay_worker.backends.base import State

TOOLS = {"files__read": "files", "files__write": "files", "slow__think": "slow"}


def offer(
    tools: dict[str, str] | None = None,
    *,
    prints: dict[str, str] | None = None,
    states: dict[str, str] | None = None,
    checks: list[v1.CheckResult] | None = None,
) -> Offer:
    """What a worker reports: tools with their backend, fingerprints and states of its backends."""
    prints = {"files": "f1", "slow": "s1"} if prints is None else prints
    states = dict.fromkeys(prints, "ready") | (states or {})
    entries = [cache.Entry(key, backend, b"{}") for key, backend in (tools or TOOLS).items()]
    return Offer(
        configured=True,
        backends=[v1.BackendInfo(name, "stdio", None, prints[name]) for name in prints],
        body=cache.encode_body(cache.Body(tools=entries)),
        states={name: v1.BackendState(name, state) for name, state in states.items()},
        checks=checks or [],
    )


def judge(old: Offer | None, new: Offer) -> Verdict:
    """The verdict where the client is served what the old one has reported."""
    served = cache.decode_body(old.body) if old is not None else None
    return judge_served(old, new, served)


def passes(verdict: Verdict) -> bool:
    return not verdict.refusals


def test_the_same_passes() -> None:
    verdict = judge(offer(), offer())
    assert passes(verdict) and verdict.waiting == []
    assert (verdict.difference.kept, verdict.difference.added, verdict.difference.lost) == (
        3,
        [],
        [],
    )


def test_with_nobody_before_all_is_well_but_failed_checks() -> None:
    assert passes(judge(None, offer({})))
    failed = v1.CheckResult("files__read", False, 0.1, "it said no")
    assert judge(None, offer(checks=[failed])).refusals == [
        "check of files__read failed: it said no"
    ]


def test_a_lost_tool_is_named_and_refused() -> None:
    verdict = judge(offer(), offer({"files__read": "files", "slow__new": "slow"}))
    assert verdict.refusals == ["tools would be lost: files__write, slow__think"]
    assert verdict.difference.kept == 1
    assert verdict.difference.added == ["slow__new"]
    assert verdict.difference.lost == ["files__write", "slow__think"]


def test_a_tool_that_moved_to_another_backend_is_not_lost() -> None:
    moved = {**TOOLS, "files__read": "slow"}
    assert passes(judge(offer(), offer(moved)))


@pytest.mark.parametrize(
    "prints",
    [{"files": "f2", "slow": "s1"}, {"slow": "s1"}, {"slow": "s1", "other": "o1"}],
    ids=["changed", "removed", "renamed"],
)
def test_tools_and_health_of_a_backend_that_was_changed_on_purpose_may_go(
    prints: dict[str, str],
) -> None:
    verdict = judge(
        offer(), offer({"slow__think": "slow"}, prints=prints, states={"files": "failed"})
    )
    assert passes(verdict)
    assert verdict.difference.lost == ["files__read", "files__write"], "it is still told"


def test_a_change_of_one_backend_excuses_no_other() -> None:
    prints = {"files": "f2", "slow": "s1"}
    verdict = judge(offer(), offer({"files__read": "files"}, prints=prints))
    assert verdict.refusals == ["tools would be lost: slow__think"]


@pytest.mark.parametrize("before", HEALTHY)
@pytest.mark.parametrize("after", [state.word for state in State])
def test_health_that_was_there_must_be_there_again(before: str, after: str) -> None:
    verdict = judge(offer(states={"files": before}), offer(states={"files": after}))
    well = after in (*HEALTHY, AWAITED)  # what is handed over will be as healthy as it was
    assert passes(verdict) == well
    if not well:
        assert verdict.refusals == [f"backend files is {after}, and was healthy before"]
    assert verdict.waiting == (["files"] if after in PENDING else [])


@pytest.mark.parametrize("after", [state.word for state in State])
@pytest.mark.parametrize("before", ["failed", "backing_off", "starting", "unheard of"])
def test_what_was_not_healthy_need_not_become_so(before: str, after: str) -> None:
    assert passes(judge(offer(states={"files": before}), offer(states={"files": after})))


def test_a_backend_that_has_not_been_heard_of_yet_is_waited_for() -> None:
    new = offer()
    del new.states["files"]
    verdict = judge(offer(), new)
    assert verdict.refusals and verdict.waiting == ["files"]


def test_the_backend_of_a_lost_tool_is_waited_for_even_if_it_was_not_healthy() -> None:
    new = offer({"files__read": "files", "files__write": "files"}, states={"slow": "starting"})
    verdict = judge(offer(states={"slow": "failed"}), new)
    assert verdict.refusals == ["tools would be lost: slow__think"]
    assert verdict.waiting == ["slow"]
    new.states["slow"] = v1.BackendState("slow", "failed")
    assert judge(offer(states={"slow": "failed"}), new).waiting == []


def test_every_word_of_a_worker_is_either_healthy_or_pending_or_ill() -> None:
    ill = {state.word for state in State} - {*HEALTHY, *PENDING, AWAITED}
    assert ill == {"failed"}
    assert len({*HEALTHY, *PENDING, AWAITED}) == len(HEALTHY) + len(PENDING) + 1


def test_an_added_tool_is_told() -> None:
    verdict = judge(offer(), offer({**TOOLS, "new__one": "slow"}))
    assert passes(verdict) and verdict.difference.added == ["new__one"]


def test_a_failed_check_is_refused_and_a_passed_one_is_not() -> None:
    good = v1.CheckResult("files__read", True, 0.1)
    bad = v1.CheckResult("slow__think", False, 0.1, "no text")
    assert passes(judge(offer(), offer(checks=[good])))
    assert judge(offer(), offer(checks=[good, bad])).refusals == [
        "check of slow__think failed: no text"
    ]


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81\xa5tools\x05"])
def test_a_catalogue_that_is_missing_or_broken_has_no_tools(body: bytes) -> None:
    new = offer()
    new.body = body
    assert judge(offer(), new).refusals == [
        "tools would be lost: files__read, files__write, slow__think"
    ]


def test_what_the_client_is_served_counts_and_not_what_the_old_one_knows_by_now() -> None:
    """A worker that was started again a moment ago may know nothing yet."""
    old, served = offer({"files__read": "files"}), cache.decode_body(offer().body)
    assert judge_served(old, offer({"files__read": "files"}), served).refusals == [
        "tools would be lost: files__write, slow__think"
    ]
    assert passes(judge_served(old, offer(), served))
    assert passes(judge_served(old, offer(), None)), "nothing is served, so nothing is lost"
