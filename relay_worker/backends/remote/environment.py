"""Proxies and certificates as the environment has them, and what to say where they are of no use.

In the HTTP thread only. Never quotes the address of a proxy: there may be a password in it.
"""

import contextlib
import functools
import os
import ssl
from collections.abc import Iterator
from typing import Final

import httpx2

from relay_worker.backends.remote.messages import Unusable

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@functools.cache
def certificates() -> ssl.SSLContext:
    """Return what all clients trust; reading it takes longer than anything else here.

    Raises:
        Unusable: there are none where the environment says.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        reason = error.strerror if isinstance(error, FileNotFoundError) else str(error)
        text = f"the certificates of {_named(CERTIFICATES)} cannot be used ({reason})"
        raise Unusable(text) from error


@contextlib.contextmanager
def blamed() -> Iterator[None]:
    """Make a client for HTTP within this, so that what is wrong is said of the environment.

    Raises:
        Unusable: a proxy cannot be used.
    """
    try:
        yield
    except (ValueError, httpx2.InvalidURL) as error:
        raise Unusable(f"{_named(PROXIES)} is no address of an HTTP proxy") from error
    except ImportError as error:
        text = f"{_named(PROXIES)} is a SOCKS proxy; install socksio beside the relay for that"
        raise Unusable(text) from error


def _named(variables: tuple[str, ...]) -> str:
    """Return which of these are set: one of them is at fault."""
    found = [name for name in variables if os.environ.get(name) or os.environ.get(name.lower())]
    return " or ".join(found) or "the system"
