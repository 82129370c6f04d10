"""Logins that somebody or something stands in the way of, and tokens that are hard to come by."""

import json
import signal
import socket
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from relay_supervisor.wire import v1
from tests.harness.http_mcp import WAIT_SECONDS, Exchange
from tests.harness.oauth_server import Guarded, visit
from tests.harness.processes import wait_until
from tests.integration.fake_supervisor import FakeSupervisor
from tests.integration.test_remote_login import Login, config, log_in


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with Guarded() as one:
        yield one


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with FakeSupervisor(tmp_path) as one:
        yield one


def way_back(address: str, **answer: str) -> str:
    """Where the browser is sent to, with this answer."""
    query = parse_qs(urlsplit(address).query)
    return f"{query['redirect_uri'][0]}?{urlencode(answer)}"


class TestRelayctl:
    @pytest.mark.parametrize(
        "answer",
        [{"code": "x"}, {"code": "x", "state": "another"}, {"error": "no", "state": "another"}],
    )
    def test_pages_that_only_pretend_are_not_listened_to(
        self, guarded: Guarded, tmp_path: Path, answer: dict[str, str]
    ) -> None:
        """Any page in the browser may try; the login goes on."""
        login = Login(tmp_path, guarded)
        address = login.address()
        assert "no login" in visit(way_back(address, **answer))
        visit(address)
        assert login.end() == 0, login.output
        assert guarded.forms[0]["code"] == "the-code"

    def test_tokens_in_an_answer_that_makes_no_sense_are_not_shown(
        self, guarded: Guarded, tmp_path: Path
    ) -> None:
        guarded.garbled = b"access_token=very-secret&token_type=bearer"
        login = Login(tmp_path, guarded)
        visit(login.address())
        assert login.end() == 1
        assert "very-secret" not in login.output
        assert "Invalid token response" in login.output
        assert "Traceback" not in login.output

    def test_what_the_configuration_takes_from_the_environment_is_not_shown(
        self, guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_KEY", "correct-horse")
        login = Login(tmp_path, guarded, url="http://127.0.0.1:1/${MY_KEY}/mcp")
        assert login.end() == 1
        assert "127.0.0.1:1/***/mcp" in login.output

    def test_a_server_that_moves_the_request(self, guarded: Guarded, tmp_path: Path) -> None:
        """To the same path with a slash, as many do."""
        before = guarded.mcp.before

        def move(exchange: Exchange) -> bool:
            if exchange.asked.path != "/mcp":
                exchange.asked.path = exchange.asked.path.replace("/mcp/", "/mcp")
                return before(exchange)
            exchange.reply(b"", "", 307, location="/mcp/")
            return True

        guarded.mcp.before = move
        log_in(tmp_path, guarded)

    def test_a_server_that_takes_the_tokens_but_not_for_a_farewell(
        self, guarded: Guarded, tmp_path: Path
    ) -> None:
        """Nobody is sent to the browser again for that."""
        before = guarded.mcp.before
        refused: list[str] = []

        def answer(exchange: Exchange) -> bool:
            if exchange.asked.verb != "DELETE":
                return before(exchange)
            refused.append(exchange.asked.verb)
            exchange.reply(b"", "", 401)
            return True

        guarded.mcp.before = answer
        login = Login(tmp_path, guarded)
        visit(login.address())
        assert login.end() == 0, login.output
        assert refused and guarded.issued == 1
        assert "Log in here" not in login.output.partition("\n")[2]

    def test_a_server_of_the_old_kind(self, guarded: Guarded, tmp_path: Path) -> None:
        """There is no POST before its stream is open, and the stream does not end."""
        before = guarded.mcp.before

        def streams(exchange: Exchange) -> bool:
            if exchange.asked.verb == "POST" and exchange.asked.path == "/mcp":
                exchange.reply(b"", "", 405)
                return True
            if before(exchange):
                return True
            exchange.stream()
            exchange.wfile.write(b"event: endpoint\ndata: /post\n\n")
            exchange.server.ended.wait()
            return True

        guarded.mcp.before = streams
        login = Login(tmp_path, guarded, type="sse")
        visit(login.address())
        assert login.end() == 0, login.output

    @pytest.mark.parametrize("place", ["http://relay.invalid/client.json", "https://relay.invalid"])
    def test_a_description_at_no_such_address(
        self, guarded: Guarded, tmp_path: Path, place: str
    ) -> None:
        login = Login(tmp_path, guarded, "--client-metadata-url", place)
        assert login.end() == 1
        assert "no login at far: client_metadata_url must be" in login.output
        assert "Traceback" not in login.output

    def test_a_port_that_is_taken(self, guarded: Guarded, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            login = Login(tmp_path, guarded, "--port", str(port))
            assert login.end() == 1
        assert f"port {port} of this machine" in login.output

    def test_two_at_once_do_not_get_in_each_others_way(
        self, guarded: Guarded, tmp_path: Path
    ) -> None:
        logins = [Login(tmp_path, guarded) for _ in range(2)]
        addresses = [login.address() for login in logins]
        for address in addresses:
            visit(address)
        assert [login.end() for login in logins] == [0, 0]
        assert len(list((tmp_path / "tokens").iterdir())) == 1

    def test_a_user_who_gives_up(self, guarded: Guarded, tmp_path: Path) -> None:
        login = Login(tmp_path, guarded)
        address = login.address()
        login.process.send_signal(signal.SIGINT)
        assert login.end() == 1
        assert "Traceback" not in login.output
        with pytest.raises(urllib.error.URLError):
            visit(way_back(address, code="x"))


class TestWorker:
    def test_who_gives_up_a_call_does_not_lose_the_login(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        """The refresh token is used up by then."""
        file = log_in(supervisor.state_dir, guarded)
        supervisor.ready(config(guarded))
        guarded.good.clear()
        guarded.gate.clear()
        supervisor.tool(1, "far__echo", text="x")
        wait_until(lambda: len(guarded.forms) == 2, WAIT_SECONDS)
        supervisor.send(v1.Cancel(1), b'{"requestId":1}')
        supervisor.tool(2, "far__echo", text="y")
        guarded.gate.set()
        assert supervisor.text(2) == "y"
        assert json.loads(file.read_text())["tokens"]["refresh_token"] == guarded.refresh

    def test_what_a_server_says_of_scopes_is_harmless_in_a_shell(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        log_in(supervisor.state_dir, guarded)
        guarded.lacking = "a $(touch x)`id`"
        supervisor.ready(config(guarded))
        supervisor.tool(1, "far__echo", text="x")
        assert "--scope 'a $(touch x)`id`'" in supervisor.text(1)

    def test_an_address_with_a_user_in_it(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        settings: dict[str, Any] = config(guarded, url=guarded.url.replace("//", "//me:secret@"))
        supervisor.configure(settings)
        supervisor.session()
        asked = guarded.mcp.await_asked("initialize")[0]
        assert asked.headers["authorization"].startswith("Basic ")
        state, _ = supervisor.expect(v1.BackendState, lambda m: m.last_error is not None)
        assert "backend login" not in (state.last_error or "")
