"""Where a tool's call went before is remembered, and never in the way of where it is to go now."""

from collections.abc import Iterator

import pytest

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
