"""The SDK's OAuth provider, with a login of ours to go on from. Loads the SDK, which takes long.

The SDK keeps neither the time a token expires at nor the authorization server's metadata, without
which a token cannot be refreshed by another process; both are in our file.
"""

import time
from typing import Final, TypeVar

import msgspec
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.oauth2 import OAuthContext
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import BaseModel

from relay_worker.oauth.files import NOTHING, Stored

Model = TypeVar("Model", bound=BaseModel)

PAST: Final = 1.0
"""An expiry time that is over; the SDK takes 0 for none."""


class Memory:
    """The SDK's storage: what it was given, and what the SDK has learned since."""

    def __init__(self, stored: Stored | None) -> None:
        self.tokens = _model(OAuthToken, stored.tokens if stored else NOTHING)
        self.client = _model(OAuthClientInformationFull, stored.client if stored else NOTHING)
        self.learned = False

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep new tokens."""
        self.tokens = tokens
        self.learned = True

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return how we are known to the authorization server."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep how we are known."""
        self.client = client_info


def refresher(url: str, stored: Stored, memory: Memory) -> OAuthClientProvider:
    """Return a provider that begins by refreshing the tokens."""
    metadata = OAuthClientMetadata(redirect_uris=["http://localhost/"])  # type: ignore[list-item]
    provider = OAuthClientProvider(url, metadata, memory)
    context = provider.context
    context.oauth_metadata = _model(OAuthMetadata, stored.server)
    context.protected_resource_metadata = _model(ProtectedResourceMetadata, stored.resource)
    context.auth_server_url = stored.authority
    context.token_expiry_time = PAST
    return provider


def to_store(url: str, memory: Memory, context: OAuthContext) -> Stored:
    """Return the login that a provider has come to."""
    tokens = memory.tokens
    expires_in = tokens.expires_in if tokens else None  # servers say 0 for never, too
    return Stored(
        url=url,
        tokens=_text(tokens),
        client=_text(memory.client),
        server=_text(context.oauth_metadata),
        resource=_text(context.protected_resource_metadata),
        authority=context.auth_server_url,
        expires_at=time.time() + expires_in if expires_in else None,
    )


def _model(kind: type[Model], text: msgspec.Raw) -> Model | None:
    try:
        return kind.model_validate_json(bytes(text))
    except ValueError:
        return None


def _text(model: BaseModel | None) -> msgspec.Raw:
    return msgspec.Raw(model.model_dump_json(exclude_none=True).encode()) if model else NOTHING
