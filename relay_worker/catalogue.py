"""What the client sees, as a pure function of configuration and raw lists.

Equal inputs give equal bytes, whatever the order of any mapping: the client's prompt cache
depends on it. An item keeps its bytes except for what has to change. An item a client could trip
over is quarantined with a reason, never repaired and never passed on. Health plays no part here.
"""

from collections.abc import Mapping

import msgspec

from relay_supervisor.wire.cache import Body
from relay_worker.config.model import Config
from relay_worker.lists import RawLists

BUILTIN_BACKEND = "relay"
"""The name under which the relay's own tools are listed and routed."""


class Route(msgspec.Struct, frozen=True):
    """Where a tool or prompt goes: the backend and the name it knows the item by."""

    backend: str
    name: str


class Catalogue(msgspec.Struct, frozen=True):
    """What the client sees and where its calls go.

    `payload` is the encoded body (the payload of a `Catalogue` message) and `digest` the first
    16 hex digits of its SHA-256. `complete`: the lists of every enabled backend were known.
    `problems` are sentences about the configuration, such as a rename of a tool that is not there.
    """

    body: Body
    payload: bytes
    digest: str
    complete: bool
    problems: tuple[str, ...]
    tools: dict[str, Route]
    prompts: dict[str, Route]
    resources: dict[str, str]
    templates: dict[str, str]

    def resource_owner(self, uri: str) -> str | None:
        """Return the backend to ask for *uri*: its exact owner, else that of the most literal
        template matching it.
        """
        raise NotImplementedError

    def owner_hint(self, name: str) -> str | None:
        """Return the enabled backend whose prefix *name* carries, for a tool or prompt that is
        not in the catalogue (yet).
        """
        raise NotImplementedError


def build(
    config: Config, lists: Mapping[str, RawLists], builtin: RawLists | None = None
) -> Catalogue:
    """Build the catalogue. *lists* has the backends whose lists are known; *builtin* is what the
    relay itself offers, listed as backend `BUILTIN_BACKEND`, None where switched off.
    """
    raise NotImplementedError


def instructions(config: Config) -> str:
    """Return the server instructions: from the configuration only, at most 2,000 characters."""
    raise NotImplementedError
