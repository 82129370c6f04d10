"""The conversation with one backend: every phase, in whatever order and shape answers come."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.backends.effects import (
    Broken,
    Listed,
    Problem,
)
from relay_worker.backends.session import Phase
from tests.unit.relay_worker.backends.conversation import ALL, Backend


def test_a_start_from_initialize_to_ready() -> None:
    backend = Backend(roots={})
    backend.take(backend.session.start())
    (request,) = backend.asked
    assert request["id"] == "relay-3-init-1" and request["method"] == "initialize"
    assert request["params"]["capabilities"] == {"roots": {}}
    backend.answer(
        "initialize",
        result={
            "protocolVersion": "2024-11-05",
            "capabilities": ALL,
            "serverInfo": {"name": "s"},
            "instructions": "i",
        },
    )
    assert backend.methods() == [
        "notifications/initialized",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    ]
    assert backend.session.lists is None and backend.session.phase is Phase.LISTING
    backend.answer_lists(tools=[{"name": "t"}], prompts=[1], resources=[2], resourceTemplates=[3])
    (listed,) = backend.effects
    assert isinstance(listed, Listed)
    lists = listed.lists
    assert (lists.protocol, lists.instructions, lists.server_info) == (
        "2024-11-05",
        "i",
        b'{"name": "s"}',
    )
    assert (lists.tools, lists.prompts, lists.resources, lists.templates) == (
        [b'{"name": "t"}'],
        [b"1"],
        [b"2"],
        [b"3"],
    )
    assert backend.session.lists is lists and backend.session.phase is Phase.READY


def test_a_backend_with_nothing_to_list_is_ready_at_once() -> None:
    backend = Backend()
    backend.connect({})
    assert [type(effect) for effect in backend.effects] == [Listed]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"error": {"code": -1, "message": "no"}}, "refused initialize: no"),
        ({"result": 7}, "without a result"),
        ({"result": {"capabilities": {}}}, "speaks MCP None"),
        ({"result": {"protocolVersion": "2099-01-01"}}, "speaks MCP 2099-01-01"),
        ({}, "without a result"),
    ],
)
def test_a_bad_answer_to_initialize_is_the_end(members: dict[str, Any], reason: str) -> None:
    backend = Backend()
    backend.take(backend.session.start())
    backend.answer("initialize", **members)
    (broken,) = backend.effects
    assert isinstance(broken, Broken) and reason in broken.reason
    assert backend.session.phase is Phase.BROKEN
    backend.say(id=1, method="ping")
    backend.say(method="notifications/message", params={})
    assert len(backend.effects) == 1 and not backend.asked, "nothing is done for it any more"


def test_pages_are_followed() -> None:
    backend = Backend()
    backend.connect({"tools": {}})
    backend.answer("tools/list", result={"tools": [1], "nextCursor": "c"})
    request = backend.asked[-1]
    assert request["params"] == {"cursor": "c"}
    backend.answer("tools/list", result={"tools": [2]})
    assert backend.session.lists is not None and backend.session.lists.tools == [b"1", b"2"]


def test_a_list_that_is_not_served_is_empty() -> None:
    backend = Backend()
    backend.connect()
    backend.answer("resources/templates/list", error={"code": -32601, "message": "no"})
    backend.answer_lists(tools=[1])
    assert [type(effect) for effect in backend.effects] == [Listed]


def test_without_tools_a_start_fails_but_without_prompts_it_goes_on() -> None:
    backend = Backend()
    backend.connect()
    backend.answer("prompts/list", error={"code": -5, "message": "no prompts"})
    backend.answer_lists(tools=[1])
    problem, listed = backend.effects
    assert isinstance(problem, Problem) and "no prompts" in problem.text
    assert isinstance(listed, Listed) and listed.lists.prompts == []
    other = Backend()
    other.connect()
    other.answer("tools/list", error={"code": -5, "message": "no tools"})
    assert [type(effect) for effect in other.effects] == [Problem, Broken]


def test_notices_are_coalesced_and_fetch_only_what_changed() -> None:
    backend = Backend()
    backend.ready()
    for _ in range(5):
        backend.say(method="notifications/tools/list_changed")
    assert backend.methods() == ["tools/list"]
    backend.say(method="notifications/resources/list_changed")
    backend.answer("tools/list", result={"tools": [1]})
    assert sorted(backend.methods()) == [
        "resources/list",
        "resources/templates/list",
        "tools/list",
    ], "once more, as the list may have changed while it was fetched"
    backend.answer_lists(tools=[1])
    listed = [effect for effect in backend.effects if isinstance(effect, Listed)]
    assert [one.lists.tools for one in listed] == [[b"1"]], "the second fetch brought nothing new"


def test_a_notice_during_the_first_listing_is_followed_up_after_it() -> None:
    backend = Backend()
    backend.connect({"tools": {}})
    backend.say(method="notifications/tools/list_changed")
    assert backend.methods().count("tools/list") == 1
    backend.answer("tools/list", result={"tools": [1]})
    assert backend.session.phase is Phase.READY
    assert backend.methods().count("tools/list") == 1
    backend.answer("tools/list", result={"tools": [2]})
    assert backend.session.lists is not None and backend.session.lists.tools == [b"2"]


def test_a_notice_for_an_undeclared_list_is_ignored() -> None:
    backend = Backend()
    backend.ready({"tools": {}})
    backend.say(method="notifications/prompts/list_changed")
    assert backend.asked == [] and backend.effects == []


def test_a_failed_fetch_keeps_what_was_known() -> None:
    backend = Backend()
    backend.connect({"tools": {}})
    backend.answer("tools/list", result={"tools": [1]})
    backend.effects.clear()
    backend.say(method="notifications/tools/list_changed")
    backend.answer("tools/list", error={"code": -5, "message": "busy"})
    assert [type(effect) for effect in backend.effects] == [Problem]
    assert backend.session.lists is not None and backend.session.lists.tools == [b"1"]
    assert backend.session.phase is Phase.READY


def test_a_fetch_that_is_never_answered_can_be_given_up() -> None:
    backend = Backend()
    backend.ready()
    backend.say(method="notifications/tools/list_changed")
    backend.say(method="notifications/tools/list_changed")
    assert backend.session.listing
    late = backend.asked[0]
    backend.take(backend.session.give_up_listing())
    assert isinstance(backend.effects[0], Problem) and "tools/list" in backend.effects[0].text
    assert backend.methods().count("tools/list") == 2, "the second notice is followed up"
    backend.say(id=late["id"], result={"tools": ["late"]})
    assert backend.session.lists is not None and backend.session.lists.tools == []


def test_the_level_is_set_where_the_backend_logs() -> None:
    backend = Backend()
    assert backend.session.set_level("info") == []
    backend.ready()
    backend.take(backend.session.set_level("info"))
    assert backend.asked[0]["params"] == {"level": "info"}
    backend.answer("logging/setLevel", error={"code": -1, "message": "bad level"})
    assert isinstance(backend.effects[0], Problem)
    other = Backend()
    other.ready({"tools": {}})
    assert other.session.set_level("info") == []


def test_subscriptions_are_changed_by_the_difference() -> None:
    backend = Backend()
    backend.ready()
    session = backend.session
    backend.take(session.subscribe({"b", "a"}))
    session.note_subscription("c", subscribed=True)
    session.note_subscription("a", subscribed=False)
    backend.take(session.subscribe({"a", "d"}))
    backend.take(session.subscribe({"a", "d"}))
    asked = [
        (one["method"].removeprefix("resources/"), one["params"]["uri"]) for one in backend.asked
    ]
    assert asked == [
        ("subscribe", "a"),
        ("subscribe", "b"),
        ("subscribe", "a"),
        ("subscribe", "d"),
        ("unsubscribe", "b"),
        ("unsubscribe", "c"),
    ]
    other = Backend()
    other.ready({"resources": {}})
    assert other.session.subscribe({"a"}) == []


SCRIPTS = {
    Phase.NEW: lambda backend: None,
    Phase.INITIALIZING: lambda backend: backend.take(backend.session.start()),
    Phase.LISTING: lambda backend: backend.connect(),
    Phase.READY: lambda backend: backend.ready(),
    Phase.BROKEN: lambda backend: (
        backend.take(backend.session.start()),
        backend.answer("initialize", result=None),
    ),
}
MESSAGES: list[dict[str, Any]] = [
    {"id": 1, "method": "ping"},
    {"id": 1, "method": "roots/list"},
    {"id": 1, "method": 7},
    {"id": {}, "result": {}},
    {"id": "relay-3-none-9", "result": {}},
    {"id": "relay-3-none-9", "error": 7},
    {"method": "notifications/tools/list_changed"},
    {"method": "notifications/progress", "params": {"progressToken": 1}},
    {"method": "notifications/progress", "params": [1]},
    {"method": "notifications/cancelled", "params": "x"},
    {"method": "notifications/message", "params": {}},
    {"method": None},
    {"result": {}},
    {},
]


@pytest.mark.parametrize("message", MESSAGES, ids=str)
@pytest.mark.parametrize("phase", Phase)
def test_every_message_in_every_phase(phase: Phase, message: dict[str, Any]) -> None:
    backend = Backend()
    SCRIPTS[phase](backend)
    assert backend.session.phase is phase
    backend.effects.clear()
    backend.say(**message)
    assert backend.session.phase is phase
    if phase is Phase.BROKEN:
        assert backend.effects == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
words = st.sampled_from(
    ["ping", "initialize", "tools/list", "roots/list", *(m["method"] for m in MESSAGES[6:11])]
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "id": st.sampled_from([1, None, "relay-3-init-1", "relay-3-tools-2"]),
                "method": words | json_values,
                "params": json_values,
                "result": json_values
                | st.fixed_dictionaries(
                    {"protocolVersion": st.just("2025-11-25"), "capabilities": st.just(ALL)}
                ),
                "error": json_values,
            },
        ),
        max_size=12,
    )
)
def test_no_conversation_raises(messages: list[dict[str, Any]]) -> None:
    backend = Backend(roots={})
    backend.take(backend.session.start())
    for message in messages:
        backend.say(**message)
