"""The faults the fixture server can commit: the harness has to see each of them.

The relay has to survive them; whether it does is tested in tests/faults.
"""

import signal
from pathlib import Path

import pytest

from tests.harness import (
    RawClient,
    alive,
    kill_marked,
    marked,
    side_effects,
    start_fixture,
    text_of,
    wait_until,
)


class TestFaults:
    """Each is a fault the relay has to survive; here the harness has to see it."""

    @pytest.mark.parametrize("where", ["line", "before", "after", "both", "blank"])
    def test_pollution_is_seen(self, where: str) -> None:
        client = start_fixture()
        call = client.start_tool("pollute", {"where": where})
        client.call_tool("echo")
        assert client.violations
        assert client.answered(call) == (where in ("line", "blank"))
        client.kill()

    def test_crlf_is_tolerated(self, client: RawClient) -> None:
        client.call_tool("pollute", {"where": "crlf"})

    @pytest.mark.parametrize("tool", ["bad_utf8", "lone_surrogate"])
    def test_bad_text_is_seen_and_still_read(self, tool: str) -> None:
        client = start_fixture()
        assert text_of(client.call_tool(tool)).startswith("before ")
        assert "not strict JSON" in client.violations[0]
        client.kill()

    @pytest.mark.parametrize(
        ("kind", "part"),
        [
            ("second_answer", "answered twice"),
            ("late_progress", "progress for no request"),
            ("unknown_progress", "progress for no request"),
            ("unknown_answer", "nothing we asked"),
            ("number", "not a JSON-RPC message"),
        ],
    )
    def test_strays_are_seen(self, kind: str, part: str) -> None:
        client = start_fixture()
        client.call_tool("stray", {"kind": kind}, progress_token="tok")
        client.call_tool("echo")
        assert part in client.violations[0]
        with pytest.raises(AssertionError, match="broke the protocol"):
            client.close()

    def test_strays_that_are_legal(self) -> None:
        with start_fixture() as client:
            client.call_tool("stray", {"kind": "unknown_notification"})
            client.wait_notification("notifications/unheard_of")
            client.call_tool("stray", {"kind": "unknown_request"})
            request = client.wait_request("unheard/of")
            client.answer(request, error={"code": -32601, "message": "no method"})
            noted = client.call_tool("violations")["structuredContent"]["violations"]
            assert len(noted) == 1, "the fixture never waits for an answer to its stray"

    def test_deep(self, client: RawClient) -> None:
        nested = client.call_tool("deep", {"levels": 50})["structuredContent"]["nested"]
        for _ in range(49):
            (nested,) = nested
        assert nested == []

    @pytest.mark.parametrize("torn", [False, True])
    def test_die(self, torn: bool) -> None:
        client = start_fixture()
        call = client.start_tool("die", {"code": 3, "torn": torn})
        with pytest.raises(ConnectionError):
            client.response(call)
        assert client.wait_exit() == 3
        assert bool(client.violations) == torn
        client.kill()

    def test_die_by_signal_and_after_the_answer(self) -> None:
        client = start_fixture()
        client.start_tool("die", {"signal": signal.SIGKILL})
        assert client.wait_exit() == -signal.SIGKILL
        with start_fixture() as other:
            assert text_of(other.call_tool("die_after", {"code": 4})) == "last words"
            assert other.wait_exit() == 4
        client.kill()

    def test_hang(self, client: RawClient) -> None:
        call = client.start_tool("hang")
        with pytest.raises(TimeoutError):
            client.response(call, seconds=0.1)
        client.cancel(call)

    def test_stderr_flood_blocks_on_an_unread_stderr(self) -> None:
        with start_fixture() as client:
            client.child.pause_reading_stderr()
            call = client.start_tool("stderr_flood", {"bytes": 4_000_000})
            with pytest.raises(TimeoutError):
                client.response(call, seconds=0.3)
            client.child.resume_reading_stderr()
            client.response(call)
            client.child.wait_stderr("fixture stderr")

    def test_a_server_that_stops_reading_blocks_flush_only(self) -> None:
        with start_fixture() as client:
            client.call_tool("stop_reading", {"seconds": 0.5})
            call = client.start_tool("big", {"bytes": 1, "unused": "z" * 4_000_000})
            with pytest.raises(TimeoutError):
                client.child.flush(0.1)
            client.response(call)
            client.child.flush()

    def test_a_client_that_stops_reading_blocks_the_server(self) -> None:
        with start_fixture() as client:
            client.child.pause_reading()
            client.start_tool("echo")
            call = client.start_tool("big", {"bytes": 8_000_000})
            with pytest.raises(TimeoutError):
                client.response(call, seconds=0.3)
            client.child.resume_reading()
            client.response(call)


class TestEnds:
    def test_eof_ends_it(self) -> None:
        with start_fixture() as client:
            client.close_stdin()
            assert client.wait_exit() == 0

    def test_sigterm_ends_it_and_is_logged(self, tmp_path: Path) -> None:
        log = tmp_path / "effects"
        with start_fixture("--log", str(log)) as client:
            client.child.send_signal(signal.SIGTERM)
            assert client.wait_exit() == 128 + signal.SIGTERM
        assert [e["reason"] for e in side_effects(log, "end")] == ["sigterm"]

    def test_stubborn_servers_are_reported_and_killed(self) -> None:
        client = start_fixture("--ignore-stdin-eof", "--ignore-sigterm")
        client.child.send_signal(signal.SIGTERM)
        client.child.send_signal(signal.SIGINT)
        client.call_tool("echo")
        with pytest.raises(TimeoutError, match="still runs"):
            client.close(seconds=0.3)
        assert not alive(client.pid)

    def test_deaf(self) -> None:
        client = start_fixture("--deaf")
        call = client.start_tool("echo")
        with pytest.raises(TimeoutError):
            client.response(call, seconds=0.2)
        client.kill()

    @pytest.mark.parametrize("flags", [(), ("--grandchild-session",)])
    def test_a_grandchild_left_behind_is_found(self, tmp_path: Path, flags: tuple[str]) -> None:
        pid_file = tmp_path / "pid"
        client = start_fixture("--spawn-grandchild", str(pid_file), *flags)
        grandchild = int(pid_file.read_text())
        assert alive(grandchild)
        with pytest.raises(AssertionError, match=f"left behind(.|\n)*{grandchild}"):
            client.close(seconds=1.0)
        wait_until(lambda: not alive(grandchild), 5.0)

    def test_kill_marked_spares_others(self) -> None:
        one, two = start_fixture(), start_fixture()
        kill_marked(one.child.mark)
        assert one.wait_exit() == -signal.SIGKILL
        assert [process.pid for process in marked(two.child.mark)] == [two.pid]
        two.close()
        one.kill()
