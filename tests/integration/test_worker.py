"""A real worker process between a fake supervisor and real backends: calls and messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.wire import cache, v1
from relay_worker import lists as raw_lists
from tests.harness.fixture import fixture_backend
from tests.integration.fake_supervisor import FakeSupervisor
from tests.integration.two_backends import no_complaints, two_backends


def test_a_call_reaches_the_backend_and_its_answer_comes_back(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(7, "fix__echo", text="hello")
    supervisor.tool(8, "two__plain_0001", text="hello")
    assert supervisor.text(7) == '{"text":"hello"}'
    assert "result" in supervisor.reply(8)
    no_complaints(supervisor)


def test_everything_but_name_and_token_arrives_as_it_was(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    arguments = b'{ "big": 12345678901234567890123, "float":1.50, "text":"\\u0041\\u2028" }'
    meta = b'{"claudecode/toolUseId":"x","progressToken":"theirs","more":[1,2]}'
    params = b'{"unknown":{},"name":"fix__meta","arguments":%b,"_meta":%b}' % (arguments, meta)
    supervisor.send(v1.Call(70, "tools/call", "fix__meta", v1.LEGACY), params)
    expected = {"claudecode/toolUseId": "x", "progressToken": 70, "more": [1, 2]}
    assert supervisor.structured(70) == expected
    params = params.replace(b"fix__meta", b"fix__echo").replace(b'"progressToken":"theirs",', b"")
    supervisor.send(v1.Call(71, "tools/call", "fix__echo", v1.LEGACY), params)
    payload = supervisor.expect(v1.Reply, lambda m: m.call == 71)[1]
    assert b"12345678901234567890123" in payload
    supervisor.tool(72, "fix__meta")
    assert supervisor.structured(72) == {}, "no token is added where the client sent none"


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("prompts/get", {"name": "fix__greet", "arguments": {"name": "Ada"}}, "Ada"),
        ("resources/read", {"uri": "fixture://text"}, "fixture://text"),
        ("resources/read", {"uri": "fixture://item/5"}, "fixture://item/5"),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "fix__greet"},
                "argument": {"name": "style", "value": "f"},
            },
            "friendly",
        ),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/resource", "uri": "fixture://item/{id}"},
                "argument": {"name": "id", "value": "1"},
            },
            "values",
        ),
    ],
)
def test_other_methods_find_their_backend(
    supervisor: FakeSupervisor, method: str, params: dict[str, Any], expected: str
) -> None:
    supervisor.ready(
        {"backends": {"fix": fixture_backend(), "two": fixture_backend("--plain-only")}}
    )
    supervisor.call(5, method, params)
    reply = supervisor.reply(5)
    assert "result" in reply and expected in json.dumps(reply)
    no_complaints(supervisor)


@pytest.mark.parametrize(
    ("method", "params", "era", "code"),
    [
        ("tools/call", {"name": "fix__nothing"}, v1.LEGACY, -32602),
        ("tools/call", {"name": "nothing"}, v1.MODERN, -32602),
        ("prompts/get", {"name": "fix__nothing"}, v1.LEGACY, -32602),
        ("resources/read", {"uri": "other://x"}, v1.LEGACY, -32002),
        ("resources/read", {"uri": "other://x"}, v1.MODERN, -32602),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}}, v1.LEGACY, -32602),
        ("completion/complete", {"ref": 5}, v1.LEGACY, -32602),
        ("tasks/list", {}, v1.LEGACY, -32601),
    ],
)
def test_what_nobody_has_gets_its_error(
    supervisor: FakeSupervisor, method: str, params: dict[str, Any], era: int, code: int
) -> None:
    supervisor.ready(two_backends())
    supervisor.call(5, method, params, era=era)
    error = supervisor.reply(5)["error"]
    assert error["code"] == code
    if method == "tools/call":
        assert error["message"] == f"Unknown tool: {params['name']}"


def test_an_error_of_the_backend_passes_as_it_is(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(5, "fix__error", code=-32123, message="grüße", data={"a": [1]})
    message, payload = supervisor.expect(v1.Reply)
    assert message.outcome == v1.OUTCOME_BACKEND_ERROR
    assert json.loads(b"{" + payload)["error"] == {
        "code": -32123,
        "message": "grüße",
        "data": {"a": [1]},
    }


def test_progress_names_the_call_and_loses_its_token(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    params = {"name": "fix__slow", "arguments": {"seconds": 0.05, "steps": 2}}
    supervisor.call(5, "tools/call", {**params, "_meta": {"progressToken": "t"}})
    for step in (1, 2):
        message, payload = supervisor.expect(v1.Progress)
        assert message.call == 5
        assert json.loads(payload) == {"progress": step, "total": 2, "message": f"step {step}"}
    assert supervisor.text(5) == "slow"


def test_stray_messages_of_a_backend_go_nowhere(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    for number, kind in enumerate(
        ["second_answer", "late_progress", "unknown_progress", "unknown_answer", "array", "number"]
    ):
        params = {"name": "fix__stray", "arguments": {"kind": kind}, "_meta": {"progressToken": 1}}
        supervisor.call(100 + number, "tools/call", params)
        assert supervisor.text(100 + number) == f"stray {kind}"
    no_complaints(supervisor)
    strays = [m for m, _ in supervisor.inbox if isinstance(m, v1.Progress | v1.Reply)]
    assert strays == []
    supervisor.tool(200, "fix__stray", kind="unknown_notification")
    assert supervisor.expect(v1.Notification)[0].method == "notifications/unheard_of"


def test_a_written_call_is_cancelled_at_the_backend(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(5, "fix__slow", seconds=0.05, steps=1, ignore_cancel=True)
    supervisor.tool(6, "fix__hang")
    for call in (5, 6):
        supervisor.send(v1.Cancel(call), b'{"requestId":"client-7","reason":"enough"}')
    supervisor.tool(7, "fix__seen")
    cancelled = supervisor.structured(7)["cancelled"]
    assert [(one["id"], one["reason"]) for one in cancelled] == [(5, "enough"), (6, "enough")]
    # The backend answers 5 all the same, before this one: the answer must have been dropped.
    supervisor.tool(8, "fix__slow", seconds=0.1, steps=1)
    assert supervisor.text(8) == "slow"
    assert not [m for m, _ in supervisor.inbox if isinstance(m, v1.Reply)]
    no_complaints(supervisor)


def test_a_waiting_call_is_cancelled_silently(supervisor: FakeSupervisor) -> None:
    supervisor.configure({"backends": {"fix": fixture_backend("--start-delay=0.3")}})
    supervisor.session()
    supervisor.tool(5, "fix__echo")
    supervisor.tool(6, "fix__seen")
    supervisor.send(v1.Cancel(5))
    seen = supervisor.structured(6)
    assert seen["methods"]["tools/call"] == 1 and seen["cancelled"] == []
    assert not [m for m, _ in supervisor.inbox if isinstance(m, v1.Reply)]


def test_a_call_before_any_list_is_known_waits_for_its_backend(supervisor: FakeSupervisor) -> None:
    supervisor.configure({"backends": {"fix": fixture_backend("--start-delay=0.3")}})
    supervisor.tool(5, "fix__echo", text="early")
    supervisor.call(6, "resources/read", {"uri": "fixture://text"})
    supervisor.tool(7, "fix__nothing")
    supervisor.session()
    assert supervisor.text(5) == '{"text":"early"}'
    assert "result" in supervisor.reply(6)
    assert supervisor.reply(7)["error"]["code"] == -32602


def test_known_lists_are_served_before_the_backend_is_up(tmp_path: Path) -> None:
    config = {"backends": {"fix": fixture_backend("--start-delay=0.3")}}
    path = tmp_path / "cache" / "file"
    with FakeSupervisor(tmp_path, generation=1) as first:
        first.ready(config, cache_path=str(path))
        learned, payload = first.expect(v1.LearnedLists)
        first.retire()
    snapshot = cache.load(path.read_bytes())
    assert snapshot is not None
    assert [one.payload for one in snapshot.lists] == [payload]
    assert "fix__echo" in [entry.key for entry in snapshot.body.tools]
    (tmp_path / "next").mkdir()
    with FakeSupervisor(tmp_path / "next") as second:
        second.configure(config)
        second.send(v1.KnownLists("fix", learned.spec_hash), payload)
        second.session()
        catalogue, body = second.expect(v1.Catalogue)
        assert catalogue.settled and catalogue.digest == snapshot.digest
        assert cache.decode_body(body) == snapshot.body
        assert not [m for m, _ in second.inbox if isinstance(m, v1.LearnedLists)]
        second.tool(5, "fix__echo", text="early")
        assert second.text(5) == '{"text":"early"}'


def test_lists_of_another_specification_do_not_count(supervisor: FakeSupervisor) -> None:
    supervisor.configure({"backends": {"fix": fixture_backend()}})
    old = raw_lists.RawLists(tools=[b'{"name":"old","inputSchema":{"type":"object"}}'])
    supervisor.send(v1.KnownLists("fix", "another"), raw_lists.encode(old))
    supervisor.session()
    _, body = supervisor.expect(v1.Catalogue, lambda m: m.settled)
    names = [entry.key for entry in cache.decode_body(body).tools]
    assert "fix__echo" in names and "fix__old" not in names


def test_the_worker_says_ready_with_generation_and_nonce(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    assert supervisor.expect(v1.Ready)[0] == v1.Ready(3, "nonce")


def test_a_changed_list_becomes_a_new_catalogue(supervisor: FakeSupervisor) -> None:
    supervisor.configure(two_backends("--page-size=5"))
    supervisor.session()
    first, _ = supervisor.expect(v1.Catalogue, lambda m: m.settled)
    supervisor.inbox.clear()
    supervisor.tool(5, "fix__add_tool", name="brand_new")
    second, body = supervisor.expect(v1.Catalogue)
    assert second.digest != first.digest
    assert "fix__brand_new" in [entry.key for entry in cache.decode_body(body).tools]
    supervisor.expect(v1.LearnedLists, lambda m: m.backend == "fix")
    supervisor.tool(6, "fix__brand_new", x=1)
    assert supervisor.structured(6) == {"called": "brand_new", "arguments": {"x": 1}}


def test_list_changed_without_a_change_tells_nobody(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(5, "fix__seen")
    before = supervisor.structured(5)["methods"]["tools/list"]
    supervisor.inbox.clear()
    supervisor.tool(6, "fix__list_changed", times=20)
    assert supervisor.text(6) == "sent"
    supervisor.tool(7, "fix__seen")
    asked = supervisor.structured(7)["methods"]["tools/list"] - before
    assert 1 <= asked <= 2, "twenty notices are one fetch, or two"
    news = (v1.Catalogue, v1.LearnedLists)
    assert not [m for m, _ in supervisor.inbox if isinstance(m, news)]
