"""The SDK's client by itself: streamable HTTP, and OAuth with a user who agrees to everything."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.conformance.client.session import accept_defaults, mode, told

BACK: Final = AnyUrl("http://localhost:3000/callback")
METADATA_HOST: Final = "conformance-test.local"  # the suite's: its authorization server looks there
METADATA_URL: Final = f"https://{METADATA_HOST}/client-metadata.json"


class Memory:
    """Tokens and registration, as long as the client lives."""

    def __init__(self, client: OAuthClientInformationFull | None) -> None:
        self._client = client
        self._tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """The tokens so far."""
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep them."""
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """The registration so far."""
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep it."""
        self._client = client_info


class User:
    """Follows the address it is shown, and so agrees."""

    def __init__(self) -> None:
        self._answer = AuthorizationCodeResult(code="", state=None)

    async def agree(self, address: str) -> None:
        """Open the address, and keep what comes back with the redirection."""
        async with httpx2.AsyncClient() as browser:
            response = await browser.get(address, follow_redirects=False)
        query = parse_qs(urlsplit(response.headers["location"]).query)
        given = {name: values[0] for name, values in query.items()}
        self._answer = AuthorizationCodeResult(
            code=given["code"], state=given.get("state"), iss=given.get("iss")
        )

    async def answer(self) -> AuthorizationCodeResult:
        """What came back."""
        return self._answer


def registered() -> OAuthClientInformationFull | None:
    """The client that the scenario has registered before, if it has."""
    scenario = told()
    if "client_id" not in scenario:
        return None
    return OAuthClientInformationFull(
        client_id=scenario["client_id"],
        client_secret=scenario.get("client_secret"),
        redirect_uris=[BACK],
        token_endpoint_auth_method="client_secret_basic" if "client_secret" in scenario else "none",
    )


def provider(url: str) -> OAuthClientProvider:
    """The SDK's OAuth."""
    user = User()
    metadata = OAuthClientMetadata(client_name="conformance", redirect_uris=[BACK])
    memory = Memory(registered())
    return OAuthClientProvider(
        url, metadata, memory, user.agree, user.answer, client_metadata_url=METADATA_URL
    )


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """A client of the server."""
    async with create_mcp_http_client(auth=provider(url)) as http_client:
        transport = streamable_http_client(url, http_client=http_client)
        async with Client(transport, mode=mode(), elicitation_callback=accept_defaults) as client:
            yield client
