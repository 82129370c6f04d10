"""The session with a server behind HTTP: lost, resumed, handed over; and servers that go."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.wire import v1
from tests.harness.http_mcp import Exchange, HttpMcp, text_result
from tests.harness.processes import wait_until
from tests.integration.fake_supervisor import WAIT_SECONDS, FakeSupervisor
from tests.integration.test_remote_calls import config, failed, hang


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with FakeSupervisor(tmp_path) as one:
        yield one


def state(supervisor: FakeSupervisor, word: str) -> v1.BackendState:
    """The next report of the backend in this state."""
    return supervisor.expect(v1.BackendState, lambda m: m.state == word)[0]


class TestExpired:
    def test_a_lost_session_is_replaced_and_nobody_notices(
        self, supervisor: FakeSupervisor
    ) -> None:
        """Also for a call too large to be kept by the router, and for several at a time."""
        with HttpMcp() as server:
            supervisor.ready(config(server))
            supervisor.send(v1.SetLevel("error"))
            server.await_asked("logging/setLevel")
            server.await_asked("GET")
            server.sessions.clear()
            large = "x" * 100_000
            supervisor.tool(1, "far__echo", text=large)
            supervisor.tool(2, "far__session")
            assert supervisor.text(1) == large
            assert supervisor.text(2) == "session-2"
            assert len(server.of("initialize")) == 2
            assert len(server.await_asked("logging/setLevel", 2)) == 2
            assert not [m for m, _ in supervisor.inbox if isinstance(m, v1.Catalogue) and m.settled]

    def test_a_server_that_loses_every_session_is_given_time(
        self, supervisor: FakeSupervisor
    ) -> None:
        with HttpMcp() as server:

            def forget(exchange: Exchange) -> bool:
                if exchange.asked.method != "initialize":
                    server.sessions.clear()
                return False

            server.before = forget
            supervisor.configure(config(server))
            supervisor.session()
            assert "lost the session" in (state(supervisor, "backing_off").last_error or "")
            server.before = lambda _exchange: False
            state(supervisor, "ready")

    def test_is_noticed_on_the_stream_of_what_it_says_by_itself(
        self, supervisor: FakeSupervisor
    ) -> None:
        with HttpMcp() as server:
            supervisor.ready(config(server))
            server.say({"method": "notifications/message", "params": {"level": "info", "data": 1}})
            supervisor.expect(v1.Notification)
            server.sessions.clear()
            server.ears.pop().hang_up()
            server.await_asked("initialize", 2)
            supervisor.tool(1, "far__session")
            assert supervisor.text(1) == "session-2"


class TestByItself:
    def test_changed_lists_and_questions(self, supervisor: FakeSupervisor) -> None:
        with HttpMcp() as server:
            supervisor.ready(config(server), sampling={})
            server.names.append("more")
            server.say({"method": "notifications/tools/list_changed"})
            catalogue = supervisor.expect(v1.Catalogue, lambda m: m.settled)[1]
            assert b"far__more" in catalogue
            server.say({"id": 5, "method": "sampling/createMessage", "params": {"messages": []}})
            asked, _ = supervisor.expect(v1.BackendRequest)
            supervisor.send(v1.ClientAnswer("far", asked.id, asked.pid), b'"result":{"role":"x"}}')

            def answers() -> list[Any]:
                posts = server.of("POST")
                return [post.message["result"] for post in posts if post.message.get("id") == 5]

            wait_until(answers, WAIT_SECONDS)
            assert answers() == [{"role": "x"}]

    @pytest.mark.parametrize("numbered", [True, False])
    def test_a_broken_stream_goes_on_where_it_was(
        self, supervisor: FakeSupervisor, *, numbered: bool
    ) -> None:
        """What it numbers comes again; else the lists are fetched anew, as changes are missed."""
        with HttpMcp() as server:
            supervisor.ready(config(server))
            message = {"method": "notifications/message", "params": {"level": "info", "data": 1}}
            server.say(message, id="event-7" if numbered else None, retry=10)
            supervisor.expect(v1.Notification)
            server.names.append("more")
            lists = len(server.of("tools/list"))
            server.ears.pop().hang_up()
            again = server.await_asked("GET", 2)[1]
            assert again.headers.get("last-event-id") == ("event-7" if numbered else None)
            if numbered:
                server.say(message)
                supervisor.expect(v1.Notification)
                assert len(server.of("tools/list")) == lists
            else:
                assert b"far__more" in supervisor.expect(v1.Catalogue, lambda m: m.settled)[1]

    def test_a_server_without_such_a_stream_is_not_asked_again(
        self, supervisor: FakeSupervisor
    ) -> None:
        with HttpMcp() as server:

            def refuse(exchange: Exchange) -> bool:
                if exchange.asked.verb != "GET":
                    return False
                exchange.reply(b"", "", 405)
                return True

            server.before = refuse
            supervisor.ready(config(server))
            for number in range(1, 5):
                supervisor.tool(number, "far__echo", text="x")
                assert supervisor.text(number) == "x"
            assert len(server.of("GET")) == 1


class TestResumption:
    def test_an_answer_is_fetched_on_another_stream(self, supervisor: FakeSupervisor) -> None:
        def polled(exchange: Exchange) -> None:
            exchange.stream()
            exchange.event(None, id="e-1", retry=10)

        with HttpMcp(polled=polled) as server:
            tries: list[Exchange] = []

            def resume(exchange: Exchange) -> bool:
                event = exchange.asked.headers.get("last-event-id")
                if event is None:
                    return False
                tries.append(exchange)
                if len(tries) == 1:
                    exchange.abort()
                    return True
                exchange.stream()
                if len(tries) == 2:
                    exchange.event(None, id="e-2")
                    return True
                assert event == "e-2"
                result = text_result("at last")
                exchange.event({"jsonrpc": "2.0", "id": 1, "result": result}, id="e-3")
                return True

            server.before = resume
            supervisor.ready(config(server))
            supervisor.tool(1, "far__polled")
            assert supervisor.text(1) == "at last"
            assert len(server.calls("polled")) == 1
            assert [one.asked.headers["last-event-id"] for one in tries] == ["e-1", "e-1", "e-2"]

    def test_that_fails_is_an_honest_error(self, supervisor: FakeSupervisor) -> None:
        def polled(exchange: Exchange) -> None:
            exchange.stream()
            exchange.event(None, id="e-1", retry=10)

        with HttpMcp(polled=polled) as server:

            def refuse(exchange: Exchange) -> bool:
                if "last-event-id" not in exchange.asked.headers:
                    return False
                exchange.reply(b"gone", "text/plain", 410)
                return True

            server.before = refuse
            supervisor.ready(config(server))
            supervisor.tool(1, "far__polled")
            text = failed(supervisor, 1)
            assert "may have run" in text
            assert "410" in text


class TestGone:
    def test_a_server_that_is_not_there_yet(self, supervisor: FakeSupervisor) -> None:
        """The call waits for it."""
        with HttpMcp() as other:
            port = other.server_address[1]
        supervisor.configure({**config(other), "checks": []})
        supervisor.session()
        report = state(supervisor, "backing_off")
        assert "cannot be reached" in (report.last_error or "")
        assert "refused" in (report.last_error or "")
        supervisor.tool(1, "far__echo", text="there")
        with HttpMcp(port=port):
            assert supervisor.text(1) == "there"

    def test_a_server_that_comes_back_still_knows_the_session(
        self, supervisor: FakeSupervisor
    ) -> None:
        with HttpMcp() as server:
            supervisor.ready(config(server))
            port = server.server_address[1]
        supervisor.tool(1, "far__session")
        state(supervisor, "backing_off")
        with HttpMcp(port=port) as again:
            again.sessions.append("session-1")
            assert supervisor.text(1) == "session-1"
            assert not again.of("initialize")

    def test_calls_under_way_are_told_when_it_dies(self, supervisor: FakeSupervisor) -> None:
        with HttpMcp(hang=hang) as server:
            supervisor.ready(config(server))
            supervisor.tool(1, "far__hang")
            server.await_asked("tools/call")
        assert "may have run" in failed(supervisor, 1)


class TestHandover:
    def test_the_next_worker_goes_on_with_the_session(
        self, supervisor: FakeSupervisor, tmp_path: Path
    ) -> None:
        with HttpMcp() as server:
            supervisor.ready(config(server))
            learned, payload = supervisor.expect(v1.LearnedSession)
            with FakeSupervisor(tmp_path, generation=4) as second:
                second.configure(config(server))
                second.send(v1.KnownSession(learned.backend, learned.spec_hash), payload)
                second.session()
                second.tool(1, "far__session")
                assert second.text(1) == "session-1"
                second.retire()
            supervisor.tool(1, "far__session")
            assert supervisor.text(1) == "session-1", "the worker that goes leaves it alone"
            assert len(server.of("initialize")) == 1
            assert not server.of("DELETE")

    def test_a_session_that_is_gone_is_begun_anew(self, supervisor: FakeSupervisor) -> None:
        with HttpMcp() as server:
            supervisor.ready(config(server))
            learned, payload = supervisor.expect(v1.LearnedSession)
            server.sessions.clear()
            with FakeSupervisor(supervisor.state_dir, generation=4) as second:
                second.configure(config(server))
                second.send(v1.KnownSession(learned.backend, learned.spec_hash), payload)
                second.session()
                second.tool(1, "far__session")
                assert second.text(1) == "session-2"

    @pytest.mark.parametrize("what", ["spec", "client", "broken"])
    def test_a_session_of_something_else_is_left_alone(
        self, supervisor: FakeSupervisor, what: str
    ) -> None:
        with HttpMcp() as server:
            supervisor.ready(config(server))
            learned, payload = supervisor.expect(v1.LearnedSession)
            spec_hash = "another" if what == "spec" else learned.spec_hash
            payload = b"broken" if what == "broken" else payload
            with FakeSupervisor(supervisor.state_dir, generation=4) as second:
                second.configure(config(server))
                second.send(v1.KnownSession(learned.backend, spec_hash), payload)
                second.session(**({"roots": {}} if what == "client" else {}))
                second.tool(1, "far__session")
                assert second.text(1) == "session-2"

    def test_is_never_written_to_a_file(self, supervisor: FakeSupervisor) -> None:
        with HttpMcp() as server:
            path = supervisor.state_dir / "cache" / "x"
            supervisor.ready(config(server), cache_path=str(path))
            supervisor.expect(v1.LearnedSession)
            supervisor.retire()
            written = [file for file in supervisor.state_dir.rglob("*") if file.is_file()]
            assert not [file for file in written if b"session-1" in file.read_bytes()]

    def test_at_the_end_the_server_may_forget_it(self, supervisor: FakeSupervisor) -> None:
        with HttpMcp() as server:
            supervisor.ready(config(server))
            supervisor.send(v1.Retire(for_good=True))
            assert supervisor.worker.wait(WAIT_SECONDS) == 0
            server.await_asked("DELETE")
            assert not server.sessions

    def test_only_one_worker_hears_what_the_server_says(self, supervisor: FakeSupervisor) -> None:
        with HttpMcp() as server:
            supervisor.configure(config(server))
            supervisor.send(v1.Attend(attend=False))
            supervisor.session()
            supervisor.tool(1, "far__echo", text="x")
            assert supervisor.text(1) == "x"
            assert not server.of("GET")
            server.names.append("more")
            supervisor.send(v1.Attend(attend=True))
            server.await_asked("GET")
            supervisor.expect(v1.Catalogue, lambda m: m.settled)
            assert b"far__more" in supervisor.expect(v1.Catalogue, lambda m: m.settled)[1]


def test_what_is_secret_is_not_told(supervisor: FakeSupervisor) -> None:
    """Not even where the server quotes it."""
    with HttpMcp() as server:

        def quote(exchange: Exchange) -> bool:
            secret = exchange.asked.headers["authorization"]
            exchange.reply(json.dumps({"got": secret}).encode(), status=401)
            return True

        server.before = quote
        headers = {"Authorization": "Bearer super-secret-value"}
        supervisor.configure(config(server, headers=headers))
        supervisor.session()
        report = state(supervisor, "failed")
        assert "401" in (report.last_error or "")
        assert "headers" in (report.last_error or "")
        assert "super-secret" not in str(report)
        supervisor.tool(1, "far__echo", text="x")
        assert server.await_asked("initialize", 2), "a call tries again"
