"""A small authorization server, and the MCP server it guards, in the test's own process.

Tokens are numbered; the test says which are good. A refresh token is taken once, as the strict
servers have it: whoever uses one again loses everything.
"""

import json
import threading
import urllib.request
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.harness.http_mcp import JSON, Exchange, HttpMcp


class Guarded:
    """An `HttpMcp` that wants tokens; `url` is its endpoint. A context manager.

    `good` are the access tokens taken, `refresh` the refresh token, `expires_in` what tokens are
    given. `asked` names each kind of request to the authorization server in turn, `forms` and
    `basic` are what came to its token endpoint: the form, and the header that says who asks.
    `refuse`: the user says no. `down`: tokens are not to be had now. `free` are the methods for
    which no token is wanted, `scope` what one is wanted for, `described` whether clients are looked
    up at an address. `lacking`: the scope that tools/call wants besides, for no token has it.
    """

    def __init__(self, **tools: Any) -> None:
        self.mcp = HttpMcp(**tools)
        self.mcp.before = self._before
        self.url = self.mcp.url
        self.base = self.url.removesuffix("/mcp")
        self.good: set[str] = set()
        self.refresh = ""
        self.expires_in = 3600
        self.issued = 0
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.basic: list[str] = []
        self.refuse = False
        self.down = False
        self.free: set[str] = set()
        self.scope = ""
        self.lacking = ""
        self.described = False
        self.garbled = b""
        self.gate = threading.Event()
        self.gate.set()

    def __enter__(self) -> Self:
        self.mcp.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self.mcp.stop()

    def _before(self, exchange: Exchange) -> bool:
        place = urlsplit(exchange.asked.path)
        answers = {
            "/.well-known/oauth-protected-resource/mcp": self._resource,
            "/.well-known/oauth-authorization-server": self._server,
            "/register": self._register,
            "/authorize": self._authorize,
            "/token": self._token,
        }
        if answer := answers.get(place.path):
            self.asked.append(place.path)
            answer(exchange)
            return True
        if place.path != "/mcp":
            exchange.reply(b"", "", 404)
            return True
        scheme, _, token = exchange.asked.headers.get("authorization", "").partition(" ")
        method = exchange.asked.method
        if method in self.free:
            return False
        metadata = f"{self.base}/.well-known/oauth-protected-resource/mcp"
        challenge = f'Bearer resource_metadata="{metadata}"'
        if scheme == "Bearer" and token in self.good:
            if not self.lacking or method != "tools/call":
                return False
            challenge += f', error="insufficient_scope", scope="{self.lacking}"'
            exchange.reply(b"", "", 403, www_authenticate=challenge)
            return True
        challenge += f', scope="{self.scope}"' if self.scope else ""
        exchange.reply(b"", "", 401, www_authenticate=challenge)
        return True

    def _resource(self, exchange: Exchange) -> None:
        _json(exchange, {"resource": self.url, "authorization_servers": [self.base]})

    def _server(self, exchange: Exchange) -> None:
        places = {name: f"{self.base}/{name}" for name in ("authorize", "token", "register")}
        found = {
            "issuer": self.base,
            "authorization_endpoint": places["authorize"],
            "token_endpoint": places["token"],
            "registration_endpoint": places["register"],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "client_id_metadata_document_supported": self.described,
        }
        _json(exchange, found)

    def _register(self, exchange: Exchange) -> None:
        _json(exchange, {**json.loads(exchange.asked.body), "client_id": "client-1"}, 201)

    def _authorize(self, exchange: Exchange) -> None:
        query = _first(urlsplit(exchange.asked.path).query)
        back = {"error": "access_denied"} if self.refuse else {"code": "the-code"}
        place = f"{query['redirect_uri']}?{urlencode({**back, 'state': query['state']})}"
        exchange.reply(b"", "", 302, location=place)

    def _token(self, exchange: Exchange) -> None:
        form = _first(exchange.asked.body.decode())
        self.forms.append(form)
        self.basic.append(exchange.asked.headers.get("authorization", ""))
        self.gate.wait()
        if self.down:
            exchange.reply(b"later", "text/plain", 503)
            return
        if self.garbled:
            exchange.reply(self.garbled, "text/plain")
            return
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh:
            self.good.clear()
            self.refresh = ""
            _json(exchange, {"error": "invalid_grant"}, 400)
            return
        self.issued += 1
        access = f"access-token-{self.issued}"
        self.refresh = f"refresh-token-{self.issued}"
        self.good.add(access)
        tokens = {"access_token": access, "token_type": "Bearer", "refresh_token": self.refresh}
        _json(exchange, {**tokens, "expires_in": self.expires_in})


def visit(address: str) -> str:
    """Do what a browser does with the address a login shows; return the page it ends at."""
    with urllib.request.urlopen(address, timeout=20) as response:
        text: str = response.read().decode()
        return text


def _first(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def _json(exchange: Exchange, content: Any, status: int = 200) -> None:
    exchange.reply(json.dumps(content).encode(), JSON, status)
