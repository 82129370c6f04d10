"""Backends that want a login: relayctl's part, and the worker's with the tokens it leaves."""

import json
import os
import re
import stat
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from relay_supervisor.wire import v1
from tests.harness.http_mcp import Exchange
from tests.harness.oauth_server import Guarded, visit
from tests.harness.processes import wait_until
from tests.harness.relay import RELAYCTL
from tests.integration.fake_supervisor import WAIT_SECONDS, FakeSupervisor

ROOT = Path(__file__).parents[2]


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with Guarded() as one:
        yield one


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with FakeSupervisor(tmp_path) as one:
        yield one


def config(guarded: Guarded, **more: Any) -> dict[str, Any]:
    """A configuration with the guarded server as backend `far`."""
    relay = {"restart_delay_seconds": 0.1, "restart_delay_max_seconds": 0.2}
    return {"backends": {"far": {"url": guarded.url, **more}}, "relay": relay}


class Login:
    """`relayctl backend login` as a process; `address` is what it shows."""

    def __init__(self, state_dir: Path, guarded: Guarded, *args: str, **more: Any) -> None:
        file = state_dir / "relay.yaml"
        file.write_text(json.dumps(config(guarded, **more)))
        file.chmod(0o600)
        argv = [sys.executable, "-c", RELAYCTL, "backend", "login", "far", "--config", str(file)]
        self.process = subprocess.Popen(
            [*argv, "--no-browser", *args],
            cwd=ROOT,
            env={**os.environ, "RELAY_STATE_DIR": str(state_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def address(self) -> str:
        """The address to open."""
        assert self.process.stdout is not None
        self.output += self.process.stdout.readline()
        found = re.search(r"http\S+", self.output)
        assert found, self.output + self.process.stdout.read()
        return found[0]

    def end(self) -> int:
        """Wait for its end; `output` has all it said."""
        assert self.process.stdout is not None
        with self.process:
            self.output += self.process.stdout.read()
            return self.process.wait(WAIT_SECONDS)


def log_in(state_dir: Path, guarded: Guarded, *args: str) -> Path:
    """Log in, and return the file of tokens."""
    login = Login(state_dir, guarded, *args)
    assert "logged in" in visit(login.address())
    assert login.end() == 0, login.output
    (file,) = (state_dir / "tokens").iterdir()
    return file


def unless_modern(before: Callable[[Exchange], bool]) -> Callable[[Exchange], bool]:
    """What a server answers that does not know initialize, and otherwise does as *before*."""

    def answer(exchange: Exchange) -> bool:
        if exchange.asked.method != "initialize":
            return before(exchange)
        exchange.reply(b"{}", status=400)
        return True

    return answer


def change(file: Path, **values: Any) -> None:
    """Change what a file of tokens says."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


class TestRelayctl:
    def test_keeps_tokens_that_only_the_user_can_read(
        self, guarded: Guarded, tmp_path: Path
    ) -> None:
        file = log_in(tmp_path, guarded)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert json.loads(file.read_text())["tokens"]["access_token"] == "access-token-1"
        assert guarded.forms[0]["code_verifier"]
        assert not guarded.mcp.sessions, "the session it began to be asked is ended"

    def test_never_shows_them(self, guarded: Guarded, tmp_path: Path) -> None:
        login = Login(tmp_path, guarded)
        visit(login.address())
        assert login.end() == 0
        assert "token-1" not in login.output
        assert "Logged in" in login.output

    def test_a_user_who_says_no(self, guarded: Guarded, tmp_path: Path) -> None:
        guarded.refuse = True
        login = Login(tmp_path, guarded)
        assert "no login" in visit(login.address())
        assert login.end() == 1
        assert "access_denied" in login.output
        assert not (tmp_path / "tokens").exists()

    def test_a_client_registered_before(self, guarded: Guarded, tmp_path: Path) -> None:
        log_in(tmp_path, guarded, "--client-id", "mine", "--scope", "all")
        assert "/register" not in guarded.asked
        assert guarded.forms[0]["client_id"] == "mine"

    def test_its_secret_goes_into_a_header(
        self, guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("THE_SECRET", "hush")
        log_in(tmp_path, guarded, "--client-id", "mine", "--client-secret-env", "THE_SECRET")
        assert "client_secret" not in guarded.forms[0]
        assert guarded.basic[0] == "Basic " + b64encode(b"mine:hush").decode()

    def test_a_client_described_at_an_address(self, guarded: Guarded, tmp_path: Path) -> None:
        guarded.described = True
        place = "https://relay.invalid/client.json"
        log_in(tmp_path, guarded, "--client-metadata-url", place)
        assert "/register" not in guarded.asked
        assert guarded.forms[0]["client_id"] == place

    def test_more_scopes_than_the_server_names(self, guarded: Guarded, tmp_path: Path) -> None:
        guarded.scope = "read list"
        login = Login(tmp_path, guarded, "--scope", "write read")
        address = login.address()
        assert parse_qs(urlsplit(address).query)["scope"] == ["read list write"]
        visit(address)
        assert login.end() == 0

    @pytest.mark.parametrize("late", ["tools/list", "initialize"])
    def test_a_server_that_wants_it_later(
        self, guarded: Guarded, tmp_path: Path, late: str
    ) -> None:
        """For its tools only; or only from a client that speaks of this year's protocol."""
        guarded.free = {"initialize", "notifications/initialized", "DELETE"}
        if late == "initialize":
            guarded.mcp.before = unless_modern(guarded.mcp.before)
        log_in(tmp_path, guarded)
        assert guarded.issued == 1

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            ({"headers": {"Authorization": "Bearer x"}}, "Authorization"),
            ({"url": None, "command": "true"}, "nothing to log in to"),
            ({"url": "http://127.0.0.1:1/mcp"}, "127.0.0.1:1"),
            ({"url": "${NO_SUCH_VARIABLE}"}, "NO_SUCH_VARIABLE"),
        ],
    )
    def test_what_cannot_be(
        self, guarded: Guarded, tmp_path: Path, more: dict[str, Any], says: str
    ) -> None:
        login = Login(tmp_path, guarded, **more)
        assert login.end() == 1
        assert says in login.output

    def test_a_server_that_wants_no_login(self, guarded: Guarded, tmp_path: Path) -> None:
        guarded.mcp.before = lambda _exchange: False
        login = Login(tmp_path, guarded)
        assert login.end() == 1
        assert "did not ask" in login.output


class TestWorker:
    def test_says_that_a_login_is_missing_and_goes_on_after_it(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        """Nothing has to be restarted, nor called."""
        supervisor.configure(config(guarded))
        supervisor.session()
        state, _ = supervisor.expect(v1.BackendState, lambda m: m.state == "failed")
        assert "relayctl backend login far" in (state.last_error or "")
        supervisor.tool(1, "far__echo", text="x")
        assert "relayctl backend login far" in supervisor.text(1)
        log_in(supervisor.state_dir, guarded)
        supervisor.expect(v1.BackendState, lambda m: m.state == "ready")
        supervisor.tool(2, "far__echo", text="in")
        assert supervisor.text(2) == "in"

    def test_says_which_scope_a_call_lacks(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        log_in(supervisor.state_dir, guarded)
        guarded.lacking = "write all"
        supervisor.ready(config(guarded))
        supervisor.tool(1, "far__echo", text="x")
        assert "relayctl backend login NAME --scope 'write all'" in supervisor.text(1)

    def test_refreshes_a_token_that_is_refused(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        """Once for all calls that find out at a time, and within the same session."""
        file = log_in(supervisor.state_dir, guarded)
        supervisor.ready(config(guarded))
        guarded.good.clear()
        for number in range(1, 9):
            supervisor.tool(number, "far__echo", text=f"{number}")
        for number in range(1, 9):
            assert supervisor.text(number) == f"{number}"
        assert guarded.issued == 2
        assert json.loads(file.read_text())["tokens"]["access_token"] == "access-token-2"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(guarded.mcp.sessions) == 1

    def test_refreshes_a_token_before_it_expires(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        file = log_in(supervisor.state_dir, guarded)
        change(file, expires_at=0.0)
        supervisor.ready(config(guarded))
        tokens = {a.headers.get("authorization") for a in guarded.mcp.of("initialize")[1:]}
        assert tokens >= {"Bearer access-token-2"}
        assert "Bearer access-token-1" not in {
            asked.headers.get("authorization") for asked in guarded.mcp.of("tools/list")
        }

    def test_two_workers_do_not_use_a_refresh_token_twice(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        log_in(supervisor.state_dir, guarded)
        supervisor.ready(config(guarded))
        with FakeSupervisor(supervisor.state_dir, generation=4) as second:
            second.ready(config(guarded))
            guarded.good.clear()
            for number in range(1, 5):
                supervisor.tool(number, "far__echo", text="x")
                second.tool(number, "far__echo", text="y")
            for number in range(1, 5):
                assert supervisor.text(number) == "x"
                assert second.text(number) == "y"
        assert guarded.issued == 2

    def test_waits_for_an_authorization_server_that_is_down(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        log_in(supervisor.state_dir, guarded)
        supervisor.ready(config(guarded))
        guarded.good.clear()
        guarded.down = True
        supervisor.tool(1, "far__echo", text="late")
        state, _ = supervisor.expect(v1.BackendState, lambda m: m.state == "backing_off")
        assert "503" in (state.last_error or "")
        guarded.down = False
        assert supervisor.text(1) == "late"

    def test_wants_another_login_where_refreshing_is_refused(
        self, guarded: Guarded, supervisor: FakeSupervisor
    ) -> None:
        log_in(supervisor.state_dir, guarded)
        supervisor.ready(config(guarded))
        guarded.good.clear()
        guarded.refresh = "another"
        supervisor.tool(1, "far__echo", text="x")
        text = supervisor.text(1)
        assert "has not run" in text
        supervisor.expect(v1.BackendState, lambda m: m.state == "failed")
        assert "/register" not in guarded.asked[4:], "a worker registers nothing"

    def test_logs_no_token(self, guarded: Guarded, supervisor: FakeSupervisor) -> None:
        """Not even one that the server quotes."""
        log_in(supervisor.state_dir, guarded)
        supervisor.ready(config(guarded))

        def quote(exchange: Any) -> bool:
            text = f"no: {exchange.asked.headers['authorization']}"
            exchange.reply(text.encode(), "text/plain", 403)
            return True

        guarded.mcp.before = quote
        supervisor.tool(1, "far__echo", text="x")
        assert "token-1" not in supervisor.text(1)
        wait_until(lambda: "ready" in supervisor.log(), WAIT_SECONDS)
        assert "token-1" not in supervisor.log()
