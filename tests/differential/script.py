"""What a session is made of. JSON is kept as text throughout, in the spelling it is to be sent in.

A request carries, in its `_meta`, the script that its server follows; so one server serves any
number of sessions, and says nothing that is not part of one.
"""

import json
from dataclasses import dataclass, field
from typing import TypeAlias

LEGACY = "L"
MODERN = "M"
SCRIPT = "play/script"
"""The member of a request's `_meta` that has the script."""
ID = "play/id"
"""The member of a request's `_meta` with the client's own id for it, which is that of the first
attempt, and which it keeps on its way.
"""
QUESTION = "play/question"
"""The member of a question's params by which the client knows it."""

Op: TypeAlias = tuple[str, ...]
"""One thing a server does: its name and JSON texts. The words are those of `player.py`."""


@dataclass(frozen=True)
class Question:
    """What a server asks in the middle of a request. `answer` has the members of the response that
    follow its id; `reports` the progress the client reports before, without the token.
    """

    id: str
    key: str
    method: str
    params: str
    answer: str
    reports: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """What a modern client gives back, which has no errors."""
        return self.answer.removeprefix('"result":')

    @property
    def op(self) -> Op:
        """How a script has it."""
        return (self.id, self.key, self.method, self.params)


@dataclass(frozen=True)
class Request:
    """A request that a server carries out. `members` and `meta` have members of params and _meta,
    each with a comma before it; `token` is its progress token, if it has one.
    """

    id: str
    method: str
    members: str
    script: tuple[Op, ...]
    meta: str = ""
    token: str | None = None
    questions: tuple[Question, ...] = ()
    cancel: str | None = None
    """What is in the params of its cancellation, after the id, once it has made progress."""
    client_info: str = ""
    """Who a modern client says it is, where it is not whom it says it is else."""
    logs: bool = False
    """Whether a modern client wants to have log messages."""

    @property
    def script_text(self) -> str:
        """The script as JSON."""
        return json.dumps(self.script)


@dataclass(frozen=True)
class Together:
    """Requests sent at once; the step ends when all are answered."""

    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Say:
    """A notification of the client's."""

    method: str
    params: str


@dataclass(frozen=True)
class Level:
    """The client sets the log level."""

    id: str
    level: str


@dataclass(frozen=True)
class Follow:
    """From now on the client wants to hear of changes of exactly these resources; `changed` is the
    one that is new or gone.
    """

    id: str
    uris: tuple[str, ...]
    changed: str

    @property
    def method(self) -> str:
        """What a legacy client asks for."""
        return "resources/subscribe" if self.changed in self.uris else "resources/unsubscribe"


Step: TypeAlias = Together | Say | Level | Follow


@dataclass(frozen=True)
class Session:
    """A conversation, and the features in it."""

    seed: int
    steps: tuple[Step, ...]
    features: frozenset[str]


@dataclass(frozen=True)
class House:
    """What many sessions have in common: the lists of the server, and what both say of themselves.
    Items, capabilities and infos are JSON texts.
    """

    seed: int
    lists: dict[str, list[str]]
    page_items_max: int
    server_info: str
    server_capabilities: dict[str, str]
    """What it has besides those that every server of the sessions has, with a comma before it, by
    its era.
    """
    client_capabilities: str
    client_info: str
    client_more: str
    """Further members of the params of initialize, each with a comma before it."""
    names: dict[str, list[str]] = field(default_factory=dict)
    """Names of the tools and prompts, URIs of the resources, as JSON texts."""
