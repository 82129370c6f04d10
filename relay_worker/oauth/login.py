"""A login by the SDK's OAuth flow: a browser for the user, and a server on this machine that the
authorization server sends it back to. For relayctl, and never within a relay.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx2
import msgspec
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.oauth2 import OAuthContext
from mcp.client.auth.utils import union_scopes
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl, ValidationError

from relay_worker.backends.remote.client import Failed
from relay_worker.backends.remote.messages import Unusable
from relay_worker.oauth import files
from relay_worker.oauth.callback import CALLBACK, Callback, LoginFailed
from relay_worker.oauth.knock import knock
from relay_worker.oauth.provider import Memory, to_store


class Wishes(msgspec.Struct, frozen=True):
    """What the user wants otherwise: a client registered before, or described at an address, a
    port, more than the scopes the server names.
    """

    client_id: str | None = None
    client_secret: str | None = None
    client_metadata_url: str | None = None
    port: int = 0
    scope: str | None = None

    def __repr__(self) -> str:
        return "Wishes()"


async def log_in(
    kind: str,
    url: str,
    headers: Mapping[str, str],
    path: Path,
    wishes: Wishes,
    show: Callable[[str], None],
) -> None:
    """Have the user log in at the server *url*, of *kind* http or sse, and keep the tokens at
    *path*; *show* gets the address to open.

    Raises:
        LoginFailed: the server wants none, or somebody refused, or it took too long.
        OSError: the tokens cannot be written.
    """
    # It logs what it raises, and quotes answers with tokens in them.
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    callback = Callback()
    memory = Memory(None)
    async with callback.listening(wishes.port) as port:
        back = AnyUrl(f"http://localhost:{port}{CALLBACK}")
        memory.client = _registered(wishes, back)

        async def redirect(address: str) -> None:
            if memory.learned:
                raise OAuthFlowError("the server does not take the tokens: it wants another login")
            _settle_secret(provider.context)
            callback.expect(address)
            show(_widen(address, wishes.scope, provider.context))

        try:
            provider = OAuthClientProvider(
                url,
                OAuthClientMetadata(client_name="Relay", redirect_uris=[back]),
                memory,
                redirect,
                callback.result,
                client_metadata_url=wishes.client_metadata_url,
            )
            status = await knock(kind, url, headers, provider, lambda: memory.learned)
        except Failed as error:
            place = httpx2.URL(url).copy_with(query=None, userinfo=b"")
            raise LoginFailed(f"{place}: {error.failure.text}") from error
        except (OAuthFlowError, Unusable, ValueError) as error:
            raise LoginFailed(_reason(error)) from error
    if not memory.learned:
        raise LoginFailed(f"the server did not ask for a login; it answered HTTP {status}")
    if status in {401, 403}:
        raise LoginFailed(f"the server does not take the tokens: HTTP {status}")
    with files.alone(path) as held:
        if not held:
            raise LoginFailed("another program has locked the tokens; is one stopped?")
        files.save(path, to_store(url, memory, provider.context))


def _registered(wishes: Wishes, back: AnyUrl) -> OAuthClientInformationFull | None:
    if not wishes.client_id:
        return None
    return OAuthClientInformationFull(
        client_id=wishes.client_id,
        client_secret=wishes.client_secret,
        token_endpoint_auth_method="client_secret_basic" if wishes.client_secret else "none",
        redirect_uris=[back],
    )


def _reason(error: Exception) -> str:
    """Return what to say of *error*; of an answer that makes no sense only what is wrong with it,
    as there may be tokens in it.
    """
    text = str(error)
    wrong = error if isinstance(error, ValidationError) else error.__cause__ or error.__context__
    if not isinstance(wrong, ValidationError):
        return text
    details = wrong.errors(include_url=False, include_context=False, include_input=False)
    faults = [" ".join([*map(str, detail["loc"]), detail["msg"]]) for detail in details]
    what = "" if wrong is error else f"{text.partition(':')[0]}: "
    return what + "; ".join(faults)


def _widen(address: str, more: str | None, context: OAuthContext) -> str:
    """Return the address to open, asking for *more* scopes than the server has named."""
    if not more:
        return address
    parts = urlsplit(address)
    query = parse_qs(parts.query, keep_blank_values=True)
    wanted = union_scopes(" ".join(query.get("scope", [])), more)
    context.client_metadata.scope = wanted  # what the tokens are for, where their server is silent
    query["scope"] = [wanted or ""]
    return urlunsplit(parts._replace(query=urlencode(query, doseq=True)))


def _settle_secret(context: OAuthContext) -> None:
    """A secret goes into a header, as every server has to take it, but where one says otherwise."""
    ways = context.oauth_metadata and context.oauth_metadata.token_endpoint_auth_methods_supported
    client = context.client_info
    if client is None or client.token_endpoint_auth_method != "client_secret_basic" or not ways:
        return
    if "client_secret_basic" not in ways and "client_secret_post" in ways:
        client.token_endpoint_auth_method = "client_secret_post"
