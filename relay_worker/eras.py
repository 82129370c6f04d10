"""Requests of a modern client (2026-07-28) towards a legacy backend, and their results back.

Texts are spliced, never re-encoded: whatever is not named here stays byte for byte as it was.
Nothing here raises for what a peer wrote; what cannot be understood passes unchanged.
"""


def legacy_params(
    params: bytes, *, progress_token: int | None = None, name: str | None = None
) -> bytes:
    """Return the params for a legacy backend: the envelope keys taken out of `_meta` (and an empty
    `_meta` dropped), a progress token the client sent replaced by *progress_token*, `name` by *name*.
    """
    raise NotImplementedError


def same_era_params(
    params: bytes, *, progress_token: int | None = None, name: str | None = None
) -> bytes:
    """Return the params with a progress token the client sent replaced by *progress_token* and
    `name` by *name*, everything else as it was.
    """
    raise NotImplementedError


def modern_members(members: bytes, method: str) -> bytes:
    """Return the members (see `wire.v1`) of a legacy backend's response for a modern client:
    `resultType` (and for resources/read `ttlMs` and `cacheScope`) added where missing, the error
    code -32002 turned into -32602.
    """
    raise NotImplementedError
