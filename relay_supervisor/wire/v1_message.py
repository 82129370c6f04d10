"""The base of the pipe's messages, version 1. See `v1` for the words they use."""

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all messages of the pipe."""
