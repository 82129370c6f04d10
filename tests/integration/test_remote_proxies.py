"""Proxies and certificates in the way: nothing was sent, and whose fault it is, is said."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.remote import client
from relay_worker.backends.remote.client import Failed, Trace
from relay_worker.backends.remote.messages import Failure, Fault
from tests.harness.http_mcp import Exchange, HttpMcp
from tests.integration.fake_supervisor import FakeSupervisor
from tests.integration.test_remote_calls import config
from tests.integration.test_remote_network import PROXIES, call, trouble

REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
RELAY = {"restart_delay_seconds": 0.1, "restart_delay_max_seconds": 0.2}


class Proxy:
    """Says the same to everybody, or nothing, until it is closed. `heard` is what came."""

    def __init__(self, answer: bytes | None) -> None:
        self.heard: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._kept: list[socket.socket] = []
        self.url = f"http://me:correct-horse@127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for one in self._kept:
            one.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                self.heard.append(one.recv(65536))
                if self._answer is None:
                    self._kept.append(one)
                    continue
                one.sendall(self._answer)
                one.close()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[HttpMcp]:
    with HttpMcp() as one:
        yield one


def far(url: str) -> dict[str, Any]:
    return {"backends": {"far": {"url": url}}, "relay": RELAY}


@pytest.mark.parametrize("answer", [REFUSED, b"", b"nonsense\r\n\r\n"])
def test_one_that_makes_no_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    with Proxy(answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        text = trouble(tmp_path, far("https://far.invalid/mcp"))
        assert "cannot be reached" in text
        assert ("through the proxy (407" in text) is (answer == REFUSED)
        assert "correct-horse" not in text
        assert proxy.heard[0].startswith(b"CONNECT far.invalid:443 ")


def test_a_request_that_gets_no_further_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it waits for another time, and the ledger does not say that the server has it."""
    sent: list[int] = []
    with Proxy(REFUSED) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert exchange(Trace(lambda: sent.append(1))).fault is Fault.UNREACHED
    assert not sent


def exchange(trace: Trace) -> Failure:
    """What becomes of a request through the proxy of the environment."""

    async def ask() -> Failure:
        async with client.make({}) as http:
            with pytest.raises(Failed) as caught:
                async with client.exchange(
                    http, "POST", "https://far.invalid/", headers={}, body=b"{}", trace=trace
                ):
                    pass
            return caught.value.failure

    return asyncio.run(ask())


def test_one_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS_MAX", 0.2)
    with Proxy(None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        failure = exchange(Trace())
    assert failure.fault is Fault.UNREACHED
    assert "through the proxy (no answer within 0.2 s)" in failure.text


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ALL_PROXY", "socks5h://me:correct-horse@127.0.0.1:1", "ALL_PROXY is a SOCKS proxy"),
        ("HTTP_PROXY", "ftp://me:correct-horse@127.0.0.1:1", "HTTP_PROXY is no address"),
        ("HTTP_PROXY", "http://u:correct/horse@127.0.0.1:1", "HTTP_PROXY is no address"),
        ("SSL_CERT_FILE", "/dev/null", "certificates of SSL_CERT_FILE"),
        ("SSL_CERT_FILE", "/dev/null/none", "certificates of SSL_CERT_FILE"),
    ],
)
def test_an_environment_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv(variable, value)
    text = trouble(tmp_path, far("http://far.invalid/mcp"))
    assert says in text
    assert "correct" not in text


def test_a_header_in_any_language(
    server: HttpMcp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_NAME", "Jürgen €")
    assert call(tmp_path, config(server, headers={"X-Name": "${MY_NAME}"})) == "there"
    asked = server.asked[0].headers["x-name"]
    assert asked.encode("latin-1").decode() == "Jürgen €"


def test_the_password_in_an_address_is_not_logged(tmp_path: Path, server: HttpMcp) -> None:
    """Even where a server repeats it."""
    settings = config(server)
    settings["backends"]["far"]["url"] = server.url.replace("//", "//me:correct-horse@")

    def refuse(exchange: Exchange) -> bool:
        exchange.reply(b"correct-horse is wrong", "text/plain", 403)
        return True

    server.before = refuse
    with FakeSupervisor(tmp_path) as supervisor:
        supervisor.configure(settings)
        supervisor.session()
        state, _ = supervisor.expect(v1.BackendState, lambda m: m.last_error is not None)
        assert "*** is wrong" in (state.last_error or "")
        assert "correct-horse" not in supervisor.log()
