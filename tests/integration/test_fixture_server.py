"""The fixture server and the harness, one against the other, without a relay between them.

What holds here holds behind the relay too: a test that fails there and not here found a fault of
the relay. And the harness has to notice what it is there to notice.
"""

import base64
import os
from pathlib import Path

import pytest

from tests.harness import (
    LEGACY,
    RawClient,
    RpcError,
    eventually,
    fixture_argv,
    json_of,
    modern_meta,
    side_effects,
    start_fixture,
    stopwatch,
    text_of,
)


def names(items: list[dict[str, object]]) -> list[object]:
    """The names of list items."""
    return [item["name"] for item in items]


class TestProtocol:
    @pytest.mark.parametrize(
        ("asked", "answered"),
        [("2024-11-05", "2024-11-05"), (LEGACY, LEGACY), ("2099-01-01", LEGACY)],
    )
    def test_version_is_negotiated(self, asked: str, answered: str) -> None:
        with RawClient(fixture_argv()) as client:
            assert client.initialize(asked)["protocolVersion"] == answered

    def test_ids_keep_their_type(self, client: RawClient) -> None:
        for request_id in ("7", 7, "listen:0", 2**53 - 1):
            assert client.response(client.start("ping", request_id=request_id)).id == request_id

    def test_discover_is_refused_and_initialize_still_works(self) -> None:
        with RawClient(fixture_argv()) as client:
            with pytest.raises(RpcError) as refused:
                client.modern("server/discover")
            assert refused.value.code == -32601
            assert client.initialize()["serverInfo"]["name"] == "fixture"

    def test_the_server_notes_what_its_client_does_wrong(self) -> None:
        with RawClient(fixture_argv()) as client:
            with pytest.raises(RpcError, match="not initialized"):
                client.request("tools/list")
            client.initialize()
            client.send_line("{")
            client.answer(client.frames[0], {})
            client.notify("notifications/cancelled", {"requestId": 99})
            client.start_tool("echo", progress_token="t")
            client.start_tool("echo", progress_token="t")
            with pytest.raises(RpcError, match="handshake era"):
                client.call_tool("echo", meta=modern_meta())
            noted = client.call_tool("violations")["structuredContent"]["violations"]
        expected = (
            "tools/list before",
            "not JSON",
            "answer to nothing",
            "never made",
            "used twice",
            "another era",
        )
        assert len(noted) == len(expected)
        for text, part in zip(noted, expected, strict=True):
            assert part in text

    def test_start_delay_holds_initialize_only(self) -> None:
        elapsed = stopwatch()
        with start_fixture("--start-delay", "0.3"):
            assert elapsed() > 0.3

    def test_init_error(self) -> None:
        with RawClient(fixture_argv("--init-error")) as client, pytest.raises(RpcError):
            client.initialize()

    def test_exit_at_start(self) -> None:
        with RawClient(fixture_argv("--exit-at-start", "7")) as client:
            assert client.wait_exit() == 7
            client.wait_end()
            with pytest.raises(ConnectionError):
                client.initialize()


class TestLists:
    def test_plain_tools(self) -> None:
        with start_fixture("--tools", "97", "--plain-only") as client:
            tools = client.list_all("tools")
            assert names(tools) == [f"plain_{n:04}" for n in range(97)]
            result = client.call_tool("plain_0096", {"query": "x"})
            assert json_of(result) == {"tool": "plain_0096", "arguments": {"query": "x"}}

    @pytest.mark.parametrize("what", ["tools", "prompts", "resources", "resources/templates"])
    @pytest.mark.parametrize("size", ["1", "7", "1000"])
    def test_pages_add_up(self, what: str, size: str) -> None:
        flags = ("--tools", "3", "--prompts", "20", "--resources", "20")
        with start_fixture(*flags) as whole, start_fixture(*flags, "--page-size", size) as paged:
            assert whole.list_all(what)
            assert paged.list_all(what) == whole.list_all(what)

    def test_an_unknown_cursor_is_refused(self, client: RawClient) -> None:
        with pytest.raises(RpcError) as refused:
            client.request("tools/list", {"cursor": "never given out"})
        assert refused.value.code == -32602

    def test_page_faults(self) -> None:
        with start_fixture("--page-size", "5", "--page-fault", "empty_cursor") as client:
            assert client.request("tools/list")["nextCursor"] == ""
            assert len(client.list_all("tools")) == len(set(names(client.list_all("tools")))) > 5
        with start_fixture("--page-size", "5", "--page-fault", "loop") as client:
            for cursor in ({}, {"cursor": "loop"}):
                assert client.request("tools/list", cursor)["nextCursor"] == "loop"
        with start_fixture("--page-size", "5", "--page-fault", "endless") as client:
            assert client.request("tools/list", {"cursor": "again-9"})["nextCursor"] == "again-10"

    def test_shuffle_and_bad_tools(self) -> None:
        with start_fixture("--tools", "50", "--plain-only", "--shuffle") as client:
            orders = {tuple(names(client.list_all("tools"))) for _ in range(5)}
            assert len(orders) > 1
        with start_fixture(
            "--plain-only", "--bad-tool", "not_object", "--bad-tool", "no_schema"
        ) as client:
            bad = client.list_all("tools")
            assert bad[0] == "bad_not_object"
            assert "inputSchema" not in bad[1]

    def test_tools_by_capability(self) -> None:
        with RawClient(fixture_argv("--tools-by-capability")) as client:
            client.initialize(capabilities={"roots": {}})
            listed = set(names(client.list_all("tools")))
            assert listed & {"sample", "elicit", "roots"} == {"roots"}

    def test_without_a_feature(self) -> None:
        with start_fixture("--without", "prompts") as client:
            assert "prompts" not in client.initialize_result["capabilities"]
            with pytest.raises(RpcError):
                client.list_all("prompts")

    def test_changes_are_announced(self, client: RawClient) -> None:
        client.call_tool("add_tool", {"name": "new", "description": "fresh"})
        client.wait_notification("notifications/tools/list_changed")
        assert "new" in names(client.list_all("tools"))
        assert json_of(client.call_tool("new", {"a": 1}))["arguments"] == {"a": 1}
        client.call_tool("remove_tool", {"name": "new"})
        client.wait_notification("notifications/tools/list_changed")
        assert "new" not in names(client.list_all("tools"))
        for tool, argument, what in (
            ("add_prompt", {"name": "p"}, "prompts"),
            ("add_resource", {"uri": "fixture://r"}, "resources"),
        ):
            before = len(client.list_all(what))
            client.call_tool(tool, argument)
            client.wait_notification(f"notifications/{what}/list_changed")
            assert len(client.list_all(what)) == before + 1


class TestCalls:
    def test_echo_meta_and_contents(self, client: RawClient) -> None:
        arguments = {"text": "grüße 🌍 \u2028", "nested": [1, None, {"x": 1.5}]}
        result = client.call_tool("echo", arguments)
        assert json_of(result) == result["structuredContent"] == arguments
        assert client.call_tool("meta", meta={"a/b": 1})["structuredContent"] == {"a/b": 1}
        kinds = [block["type"] for block in client.call_tool("contents")["content"]]
        assert kinds == ["text", "image", "audio", "resource_link", "resource"]
        odd = {"content": [{"type": "unheard_of", "x": 1}], "extra": True}
        assert client.call_tool("raw_result", {"result": odd}) == odd

    @pytest.mark.parametrize("size", [0, 65_537, 5_000_000])
    def test_big(self, client: RawClient, size: int) -> None:
        assert len(text_of(client.call_tool("big", {"bytes": size}))) == size
        sent = client.call_tool("echo", {"text": "y" * size})
        assert len(sent["structuredContent"]["text"]) == size

    def test_chunks_make_no_difference(self) -> None:
        with start_fixture("--chunk-bytes", "3") as client:
            assert client.call_tool("echo", {"text": "ü" * 500})["structuredContent"]

    def test_slow_reports_progress(self, client: RawClient) -> None:
        call = client.start_tool("slow", {"seconds": 0.2, "steps": 4, "tag": "s"}, progress_token=5)
        assert text_of(client.response(call).result) == "slow s"
        seen = client.notifications("notifications/progress")
        assert [(p["progressToken"], p["progress"], p["total"]) for p in seen] == [
            (5, n, 4) for n in (1, 2, 3, 4)
        ]

    def test_a_cancelled_call_is_remembered_and_not_answered(self, client: RawClient) -> None:
        call = client.start_tool("slow", {"seconds": 0.1, "steps": 1, "tag": "c"})
        client.cancel(call, "because")
        # Due after the cancelled one: had that been answered, its answer would be here before.
        client.call_tool("slow", {"seconds": 0.2, "steps": 1})
        assert not client.answered(call)
        cancelled = client.call_tool("seen")["structuredContent"]["cancelled"]
        assert cancelled == [{"id": call, "tool": "slow", "tag": "c", "reason": "because"}]

    def test_calls_overlap_and_are_answered_out_of_order(self, client: RawClient) -> None:
        elapsed = stopwatch()
        slow = [client.start_tool("slow", {"seconds": 0.3}) for _ in range(20)]
        assert client.call_tool("echo")
        assert not client.answered(slow[0])
        for call in slow:
            client.response(call)
        assert elapsed() < 3.0
        held = [
            client.start_tool("reply_out_of_order", {"group": "g", "size": 3, "n": n})
            for n in range(3)
        ]
        for call in held:
            client.response(call)
        order = [frame.id for frame in client.frames if frame.is_response and frame.id in held]
        assert order == held[::-1]

    def test_side_effects_are_logged_before_the_answer(self, tmp_path: Path) -> None:
        log = tmp_path / "effects"
        with start_fixture("--log", str(log)) as client:
            client.call_tool("counter", {"tag": "a"})
            late = client.start_tool("idempotent_counter", {"tag": "b", "seconds": 60})
            eventually(lambda: assert_equal([e["tag"] for e in side_effects(log)], ["a", "b"]))
            assert not client.answered(late)
            pid = client.pid
        assert [e["count"] for e in side_effects(log)] == [1, 2]
        assert [e["pid"] for e in side_effects(log, "start")] == [pid]
        assert [e["reason"] for e in side_effects(log, "end")] == ["eof"]

    def test_env_and_pid(self) -> None:
        env = {**os.environ, "FIXTURE_SEEN": "yes"}
        with RawClient(fixture_argv(), env=env, cwd="/") as client:
            client.initialize()
            seen = client.call_tool("env", {"names": ["FIXTURE_SEEN", "FIXTURE_NOT"]})
            assert json_of(seen) == {
                "env": {"FIXTURE_SEEN": "yes", "FIXTURE_NOT": None},
                "cwd": "/",
            }
            about = client.call_tool("pid")["structuredContent"]
            assert about["pid"] == about["sid"] == client.pid
            assert about["fds"] == [0, 1, 2]

    def test_errors(self, client: RawClient) -> None:
        with pytest.raises(RpcError) as error:
            client.call_tool("error", {"code": -32099, "message": "m", "data": {"d": 1}})
        assert (error.value.code, error.value.message, error.value.data) == (-32099, "m", {"d": 1})
        assert client.call_tool("tool_error", {"text": "t"})["isError"] is True
        with pytest.raises(RpcError, match="unknown tool"):
            client.call_tool("no_such_tool")
        with pytest.raises(RpcError) as unknown:
            client.request("no/such/method")
        assert unknown.value.code == -32601


class TestTowardsTheClient:
    def test_questions_during_a_call(self, client: RawClient) -> None:
        client.on_request("roots/list", lambda frame: {"roots": []})
        assert client.call_tool("roots")["structuredContent"] == {"roots": []}
        for tool, method in (
            ("sample", "sampling/createMessage"),
            ("elicit", "elicitation/create"),
            ("ping_client", "ping"),
        ):
            call = client.start_tool(tool)
            client.answer(client.wait_request(method), {"from": tool})
            assert client.response(call).result["structuredContent"] == {"from": tool}

    def test_a_refused_question(self, client: RawClient) -> None:
        def refuse(frame: object) -> None:
            raise RpcError(-32601, "not here")

        client.on_request("sampling/createMessage", refuse)
        error = client.call_tool("sample")["structuredContent"]["error"]
        assert error == {"code": -32601, "message": "not here"}

    def test_ask_and_cancel(self, client: RawClient) -> None:
        asked = client.call_tool("ask_and_cancel")["structuredContent"]["id"]
        assert client.wait_request("roots/list").id == asked
        cancelled = client.wait_notification("notifications/cancelled")
        assert cancelled["requestId"] == asked

    def test_log_level(self, client: RawClient) -> None:
        assert client.call_tool("log", {"level": "debug"})["structuredContent"] == {"sent": 1}
        client.wait_notification("notifications/message", lambda p: p["level"] == "debug")
        client.request("logging/setLevel", {"level": "error"})
        assert client.call_tool("log", {"level": "info"})["structuredContent"] == {"sent": 0}
        assert client.call_tool("seen")["structuredContent"]["level"] == "error"

    def test_prompts_and_completion(self, client: RawClient) -> None:
        prompt = client.request("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}})
        assert prompt["messages"][0]["content"]["text"] == "greet: name=Ada"
        with pytest.raises(RpcError, match="missing"):
            client.request("prompts/get", {"name": "greet"})
        for ref, argument, values in (
            (
                {"type": "ref/prompt", "name": "greet"},
                {"name": "style", "value": "fr"},
                ["friendly", "frank"],
            ),
            (
                {"type": "ref/resource", "uri": "fixture://item/{id}"},
                {"name": "id", "value": "b"},
                ["beta"],
            ),
        ):
            done = client.request("completion/complete", {"ref": ref, "argument": argument})
            assert done["completion"]["values"] == values

    def test_resources(self, client: RawClient) -> None:
        def text(uri: str) -> object:
            return client.request("resources/read", {"uri": uri})["contents"][0]["text"]

        blob = client.request("resources/read", {"uri": "fixture://blob"})["contents"][0]["blob"]
        assert base64.b64decode(blob) == bytes([0, 1, 2, 3])
        assert text("fixture://item/42") == "fixture://item/42 version 0"
        with pytest.raises(RpcError) as error:
            text("fixture://none")
        assert error.value.code == -32002
        uri = {"uri": "fixture://text"}
        assert client.call_tool("touch_resource", uri)["structuredContent"] == {"told": False}
        client.request("resources/subscribe", uri)
        client.call_tool("touch_resource", uri)
        assert client.wait_notification("notifications/resources/updated") == uri
        assert text("fixture://text") == "fixture://text version 2"
        client.request("resources/unsubscribe", uri)
        assert client.call_tool("touch_resource", uri)["structuredContent"] == {"told": False}


def assert_equal(seen: object, wanted: object) -> None:
    """An assertion for a lambda."""
    assert seen == wanted
