"""The way to a remote server: proxies and certificates by the environment, redirects, headers."""

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay_supervisor.wire import v1
from tests.harness.http_mcp import Exchange, HttpMcp
from tests.integration.fake_supervisor import FakeSupervisor
from tests.integration.test_remote_calls import config

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's own environment says of proxies is none of a test's concern."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[HttpMcp]:
    with HttpMcp() as one:
        yield one


def call(state_dir: Path, settings: dict[str, Any]) -> str:
    """Call a tool with a worker of this environment; returns what came of it."""
    with FakeSupervisor(state_dir) as supervisor:
        supervisor.ready(settings)
        supervisor.tool(1, "far__echo", text="there")
        return supervisor.text(1)


def trouble(state_dir: Path, settings: dict[str, Any]) -> str:
    """What is wrong with a backend that cannot be connected to."""
    with FakeSupervisor(state_dir) as supervisor:
        supervisor.configure(settings)
        supervisor.session()
        state, _ = supervisor.expect(v1.BackendState, lambda m: m.last_error is not None)
        return state.last_error or ""


def test_a_proxy_of_the_environment(
    server: HttpMcp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/mcp"))
    settings = config(server)
    settings["backends"]["far"]["url"] = "http://far.invalid/mcp"
    assert call(tmp_path, settings) == "there"
    assert {asked.path for asked in server.asked} == {"http://far.invalid/mcp"}


def test_an_exception_from_the_proxy(
    server: HttpMcp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert call(tmp_path, config(server)) == "there"


class TestTls:
    @pytest.fixture
    def secure(self, server: HttpMcp, tmp_path: Path) -> dict[str, Any]:
        return behind_tls(server, tmp_path)

    def test_a_certificate_of_the_environment(
        self, secure: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        assert call(tmp_path, secure) == "there"

    @pytest.mark.parametrize(
        ("made", "says"),
        [({"days": -1}, "expired"), ({"address": "127.0.0.2"}, "not valid for '127.0.0.1'")],
    )
    def test_one_that_is_of_no_use_any_more_or_here(
        self,
        server: HttpMcp,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        made: dict[str, Any],
        says: str,
    ) -> None:
        settings = behind_tls(server, tmp_path, **made)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        assert says in trouble(tmp_path, settings)

    def test_one_that_nobody_vouches_for(
        self, secure: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        text = trouble(tmp_path, secure)
        assert "certificate" in text
        assert "reached" in text


def behind_tls(server: HttpMcp, folder: Path, **made: Any) -> dict[str, Any]:
    """Put the server behind TLS, with a certificate made so; returns the configuration."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(folder, **made))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    settings = config(server)
    settings["backends"]["far"]["url"] = server.url.replace("http:", "https:")
    return settings


def self_signed(folder: Path, *, address: str = "127.0.0.1", days: int = 1) -> tuple[Path, Path]:
    """A certificate for an address, good for so many days, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay tests")])
    now = datetime.datetime.now(datetime.UTC)
    named = x509.IPAddress(ipaddress.ip_address(address))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([named]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return certificate, private


class TestRedirects:
    def test_to_the_same_server(self, server: HttpMcp, tmp_path: Path) -> None:
        def move(exchange: Exchange) -> bool:
            if exchange.asked.path == "/mcp/":
                return False
            exchange.reply(b"", "", 307, location="/mcp/")
            return True

        server.before = move
        assert call(tmp_path, config(server)) == "there"

    @pytest.mark.parametrize(("status", "place"), [(307, "http://127.0.0.1:1/x"), (302, "/mcp/")])
    def test_that_are_not_followed(
        self, server: HttpMcp, tmp_path: Path, status: int, place: str
    ) -> None:
        """Neither to another server, which our headers are not for, nor as a GET."""

        def move(exchange: Exchange) -> bool:
            exchange.reply(b"", "", status, location=f"{place}?secret=1")
            return True

        server.before = move
        text = trouble(tmp_path, config(server))
        assert "redirects to http://127.0.0.1" in text
        assert "secret" not in text
        assert len(server.asked) >= 1


def test_a_name_that_nobody_has(server: HttpMcp, tmp_path: Path) -> None:
    settings = config(server)
    settings["backends"]["far"]["url"] = "http://far.invalid/mcp"
    text = trouble(tmp_path, settings)
    assert "name" in text.lower()
    assert "reached" in text


def test_headers_from_the_environment(
    server: HttpMcp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "correct-horse")
    headers = {"X-Key": "${MY_KEY}", "Authorization": "Bearer ${MY_KEY}"}
    assert call(tmp_path, config(server, headers=headers)) == "there"
    asked = server.await_asked("GET")[0]
    assert asked.headers["x-key"] == "correct-horse"
    assert asked.headers["authorization"] == "Bearer correct-horse"
