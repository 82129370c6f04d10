"""The names a client sees for the tools and prompts of the backends.

A name is a pure function of the settings, the backend's name and the item's own name, except
where two backends would clash; so no item that comes or goes renames another one. Names hold
only what every client keeps as it is, so nothing can become ambiguous on the client's side.
"""

from collections.abc import Iterable

import msgspec

from relay_worker.config.model import ToolRules


class Naming(msgspec.Struct, frozen=True):
    """How exposed names are made; `chars_max` bounds their length in characters."""

    separator: str = "__"
    chars_max: int = 64


class Named(msgspec.Struct, frozen=True):
    """One item: the backend's own name, the name the client sees, and whether that had to differ
    from the plain one because another backend holds that already.
    """

    original: str
    exposed: str
    collided: bool = False


def safe(text: str) -> str:
    """Return *text* with every character outside `[A-Za-z0-9_-]` replaced by `_`."""
    raise NotImplementedError


def exposed_name(
    naming: Naming, backend: str, name: str, *, prefix: bool, shown: str | None = None
) -> str:
    """Return the name the client sees for *name* of *backend*; `shown` replaces it where the
    operator renamed it. A name that cannot stand as it is ends in a hash of (backend, name).
    """
    raise NotImplementedError


def prefix_of(naming: Naming, backend: str) -> str:
    """Return what every prefixed, unshortened name of *backend* starts with."""
    raise NotImplementedError


def assign(
    naming: Naming, backend: str, items: Iterable[tuple[str, str]], taken: set[str], *, prefix: bool
) -> list[Named]:
    """Name *items*, pairs of own and shown name, of one backend; adds to *taken*.

    Backends are to be passed in configuration order: who comes first keeps a contested name.
    """
    raise NotImplementedError


def allowed(rules: ToolRules, name: str) -> bool:
    """Return whether the rules let the backend's tool *name* through; deny wins over allow."""
    raise NotImplementedError
