"""What an exception of the HTTP library's means for the request, and what to say of it."""

import os
import socket
import ssl

import httpx2

from relay_worker.backends.remote.messages import Failure, Fault


def failure_of(error: Exception, *, began: bool) -> Failure:
    """Return what *error* comes to; *began*: something of the request may have gone out."""
    text = str(error) or type(error).__name__
    if isinstance(error, httpx2.DecodingError):
        return Failure(Fault.UNREADABLE, f"cannot be decoded ({text})")
    if began:
        return Failure(Fault.CUT, f"the connection to it failed ({text})")
    if isinstance(error, httpx2.ProxyError):
        return Failure(Fault.UNREACHED, f"it cannot be reached through the proxy ({text})")
    return Failure(Fault.UNREACHED, f"it cannot be reached ({_cause(error)})")


def _cause(error: BaseException) -> str:
    """Return the innermost reason: the outer ones only say that all attempts have failed."""
    text = str(error) or type(error).__name__
    inner = error.__cause__ or error.__context__
    while inner is not None:
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
        if isinstance(inner, OSError) and str(inner):
            # Their numbers are no errno's; and asyncio's own text only repeats the address.
            others = isinstance(inner, ssl.SSLError | socket.gaierror)
            text = str(inner) if others or not inner.errno else os.strerror(inner.errno)
        inner = inner.__cause__ or inner.__context__
    return text
