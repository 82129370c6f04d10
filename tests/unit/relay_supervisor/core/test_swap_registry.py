"""What the client sees over a swap: the same bytes, or one word that they have changed."""

import pytest

from relay_supervisor.core import effects
from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core.driver import BODY, call, request
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver

LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
NEW = cache.Entry("files__new", "files", b'{"name":"files__new","inputSchema":{}}')
MORE = cache.Body(
    tools=[NEW, *BODY.tools],
    prompts=BODY.prompts,
    resources=BODY.resources,
    templates=BODY.templates,
    capabilities=BODY.capabilities,
)
ONE = cache.Body(tools=BODY.tools[:1], capabilities=BODY.capabilities)
CHANGED = ["notifications/tools/list_changed"]


@pytest.fixture
def relay() -> SwapDriver:
    driver = SwapDriver()
    driver.serve()
    return driver


def pages(relay: SwapDriver) -> list[bytes]:
    """All lists, byte for byte."""
    for key, method in enumerate(LISTS):
        relay.line(request(key, method))
    return relay.raw()


def tools(relay: SwapDriver) -> list[str]:
    listed = relay.ask(request("t", "tools/list"))["result"]["tools"]
    return [tool["name"] for tool in listed]


def told(relay: SwapDriver) -> list[str]:
    """Let a moment pass; the methods of what the client is told."""
    relay.wait(0.2)
    return [message["method"] for message in relay.client()]


@pytest.mark.parametrize("end", ["commit", "rollback", "death", "crash"])
def test_the_lists_are_the_same_bytes_and_nobody_hears_of_a_change(
    relay: SwapDriver, end: str
) -> None:
    before = pages(relay)
    ends = {
        "commit": lambda: relay.wait(FAST.probation_seconds),
        "rollback": lambda: relay.control("rollback"),
        "death": lambda: relay.die(2),
        "crash": lambda: (relay.die(2), relay.die(1)),
    }
    relay.swap()
    for step in (lambda: relay.warm(2), lambda: relay.ready(2), ends[end]):
        step()
        assert pages(relay) == before
        assert told(relay) == []
    if end == "crash":
        relay.revive(3)
        relay.catalogue(generation=3, settled=False)
        relay.catalogue(generation=3)
        assert pages(relay) == before and told(relay) == []


def test_with_another_digest_and_the_same_bytes_nobody_hears_of_it_either(
    relay: SwapDriver,
) -> None:
    before = pages(relay)
    relay.swap()
    relay.hatch(2)
    relay.configure(2, limits=FAST)
    relay.healthy(2)
    relay.catalogue(digest="another", generation=2)
    relay.ready(2)
    assert relay.active == 2
    assert pages(relay) == before and told(relay) == []


def test_a_new_tool_is_there_at_the_cut_over_and_told_once(relay: SwapDriver) -> None:
    assert tools(relay) == ["files__read", "slow__think"]
    relay.swap()
    relay.warm(2, body=MORE)
    assert tools(relay) == ["files__read", "slow__think"] and told(relay) == []
    relay.ready(2)
    assert told(relay) == CHANGED
    assert tools(relay) == ["files__new", "files__read", "slow__think"]
    relay.wait(FAST.probation_seconds)
    assert told(relay) == []


def test_going_back_takes_the_new_tool_away_and_is_told_once(relay: SwapDriver) -> None:
    before = pages(relay)
    relay.swap()
    relay.candidate(2, body=MORE)
    told(relay)
    pages(relay)
    relay.die(2)
    assert told(relay) == CHANGED
    assert pages(relay) == before


def test_a_tool_that_comes_and_goes_within_a_moment_is_no_news(relay: SwapDriver) -> None:
    before = pages(relay)
    relay.swap()
    relay.candidate(2, body=MORE)
    relay.die(2)
    assert told(relay) == [] and pages(relay) == before


def test_what_the_one_that_stands_by_says_of_its_lists_counts_when_it_is_gone_back_to(
    relay: SwapDriver,
) -> None:
    pages(relay)
    relay.swap()
    relay.candidate(2)
    relay.catalogue(MORE, "more", generation=1)
    assert told(relay) == [] and len(tools(relay)) == 2
    relay.control("rollback")
    assert told(relay) == CHANGED and len(tools(relay)) == 3


def test_a_call_goes_by_the_owner_and_limit_of_the_worker_that_serves(relay: SwapDriver) -> None:
    relay.swap()
    backends = [v1.BackendInfo("files", "stdio", 3.0), v1.BackendInfo("slow", "stdio", 30.0)]
    relay.candidate(2, backends=backends)
    relay.line(call(1))
    relay.wait(3.0)
    assert [a["id"] for a in relay.client()] == [1]
    relay.control("rollback")
    relay.line(call(2))
    relay.wait(60.0)
    assert relay.client() == []


def test_limits_and_instructions_are_those_of_the_worker_that_serves(relay: SwapDriver) -> None:
    relay.swap()
    relay.hatch(2)
    smaller = v1.Limits(frame_bytes_max=1 << 20, probation_calls=100)
    relay.configure(2, limits=smaller, instructions=b"The new ones.")
    assert relay.take(effects.LimitLines) == []
    relay.healthy(2)
    relay.catalogue(generation=2)
    relay.ready(2)
    assert relay.take(effects.LimitLines) == [effects.LimitLines(1 << 20)]
    assert relay.relay.shared.registry.instructions == "The new ones."
    relay.control("rollback")
    assert relay.take(effects.LimitLines) == [effects.LimitLines(FAST.frame_bytes_max)]
    assert relay.relay.shared.registry.instructions == "Use it."


def test_a_candidate_promoted_in_need_takes_no_tool_away_that_it_may_yet_learn(
    relay: SwapDriver,
) -> None:
    before = pages(relay)
    relay.swap()
    relay.hatch(2)
    relay.configure(2, limits=FAST)
    relay.catalogue(ONE, "one", settled=False, generation=2)
    relay.die(1)
    assert relay.active == 2
    assert pages(relay) == before and told(relay) == []
    relay.catalogue(generation=2)
    assert pages(relay) == before and told(relay) == []


def test_lists_learned_while_it_warmed_are_known_to_the_one_after_it(relay: SwapDriver) -> None:
    relay.swap()
    relay.warm(2)
    relay.frame(v1.LearnedLists("files", "old"), b"first", 2)
    relay.frame(v1.LearnedLists("files", "new"), b"second", 2)
    relay.ready(2)
    relay.swap()
    relay.hatch(3)
    relay.configure(3)
    known = [(m.backend, m.spec_hash, p) for g, m, p in relay.frames(v1.KnownLists) if g == 3]
    assert known == [("files", "new", b"second")]
