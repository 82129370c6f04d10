"""Where a tool's call went before is remembered, and never in the way of where it is to go now."""

from collections.abc import Iterator

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.base import State
from tests.unit.relay_worker.router_stage import LISTS, Stage


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(monkeypatch)
    yield one
    one.loop.close()


def test_a_tool_goes_where_the_catalogue_of_the_moment_says(stage: Stage) -> None:
    """Though it went somewhere else before, and was found to."""
    for call in (1, 2):
        stage.tool(call)
    stage.router.backends = {"two": stage.two}
    stage.known = {"two": LISTS}
    stage.adopt()
    stage.tool(3)
    assert [told[0] for told in stage.one.told] == [1, 2]
    assert stage.answers()[3]["error"]["message"] == "Unknown tool: one__echo"
    stage.tool(4, "two__echo")
    stage.two.state = State.BACKING_OFF
    stage.tool(5, "two__echo")
    assert [told[0] for told in stage.two.told if told != "want"] == [4]
    assert stage.router.waits(5)


def test_what_has_the_name_of_a_tool_is_not_taken_for_it(stage: Stage) -> None:
    stage.tool(1)
    stage.call(2, "prompts/get", {"name": "one__echo"})
    assert stage.answers()[2]["error"]["message"] == "Unknown prompt: one__echo"


def test_the_supervisor_hears_where_a_call_goes_whenever_it_asks(stage: Stage) -> None:
    for call in (1, 2):
        stage.router.call(
            v1.Call(call, "tools/call", "one__echo", v1.LEGACY, tell=True), b'{"name":"one__echo"}'
        )
    assert [message for message, _ in stage.sent] == [v1.Routed(1, "one"), v1.Routed(2, "one")]
    assert [told[0] for told in stage.one.told] == [1, 2]


def test_links_are_learned_where_there_is_a_choice(stage: Stage) -> None:
    result = b'{"content":[{"type":"resource_link","uri":"new://x","name":"x"}]}'
    for call, known in enumerate(({"one": LISTS}, {"one": LISTS, "two": LISTS}), 1):
        stage.known = known
        stage.adopt()
        stage.tool(call)
        stage.router.resulted(stage.one, call, msgspec.Raw(result), b'"result":%b}' % result)
    learned = [message for message, _ in stage.sent if isinstance(message, v1.LearnedLinks)]
    assert learned == [v1.LearnedLinks("one", ["new://x"])]
    assert len(stage.sent) == 3 and stage.sent[1][0] == learned[0], "before the answer names it"
