"""A house with its servers: one that is spoken to directly in each era, and the relay before one.

Sessions are held on it one after another; nothing is started anew between them.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

from tests.differential import bridges, content, generate
from tests.differential.features import By
from tests.differential.lossless import Tree
from tests.differential.script import MODERN, House, Session
from tests.differential.swapping import Swaps, swapping
from tests.differential.talk import Talk
from tests.differential.web import Web
from tests.harness import RawClient, Relay, RelayHome

SETTINGS = {
    "prefix": False,
    "builtin_tools": False,
    "first_list_wait_seconds": 30,
    "probation_calls": 5,  # for many swaps in little time
    "probation_seconds": 1,
}


@dataclass
class Post:
    """A client at a server, or at the relay before one, and the file of what that server read."""

    talk: Talk
    received: Path
    lists: dict[str, list[Tree]]
    read_bytes: int = 0

    def hold(self, session: Session) -> tuple[list[str], list[str]]:
        """Hold a session; return what the client and what the server was told."""
        told = self.talk.hold(session)
        heard = self.received.read_bytes()[self.read_bytes :]
        self.read_bytes += len(heard)
        return told, _lines(heard)


def _lines(data: bytes) -> list[str]:
    return [line.decode() for line in data.split(b"\n") if line]


class Stage:
    """One house, and whom sessions are held with in it."""

    def __init__(
        self,
        house: House,
        by: By,
        direct: Mapping[str, Post],
        relayed: Post,
        swaps: Swaps | None = None,
    ) -> None:
        self.house = house
        self._swaps = swaps
        self.by = by
        self.pair = by.pair
        self._direct = direct
        self._relayed = relayed

    @property
    def swaps_done(self) -> int:
        """How often the worker was swapped so far."""
        return self._swaps.done if self._swaps else 0

    def session(self, seed: int) -> Session:
        """Make a session for this stage."""
        return generate.session(seed, self.by, self.house)

    def first_differences(self) -> str:
        """Return how the lists differ, and what the server was told of the client."""
        client, server = self.pair
        lists = (
            bridges.listed(post.lists, self.by) for post in (self._direct[client], self._relayed)
        )
        found = _difference("the lists", *lists)
        if client == server:
            posts = (self._direct[server], self._relayed)
            told = (bridges.greeting(_lines(post.received.read_bytes())) for post in posts)
            found += _difference("the greeting", *told)
        return found

    def again(self, session: Session) -> str:
        """Return the command that holds a session once more."""
        seeds = f"--house {self.house.seed} --seed {session.seed} --sessions 1"
        return f"python -m tests.differential {self.by} {seeds}"

    def differences(self, session: Session) -> str:
        """Hold a session directly and through the relay; return how they differ, empty if not."""
        try:
            direct = {era: post.hold(session) for era, post in self._direct.items()}
            told, heard = self._relayed.hold(session)
        except Exception as error:
            error.add_note(self.again(session))
            raise
        client, server = self.pair
        clients = (bridges.to_client(lines, self.by) for lines in (direct[client][0], told))
        servers = (bridges.to_server(lines, self.by) for lines in (direct[server][1], heard))
        return _difference("the client", *clients) + _difference("the server", *servers)


@contextmanager
def stage(by: By, seed: int) -> Iterator[Stage]:
    """Build a house and start all that is needed for sessions of this kind."""
    house = content.house(seed)
    with ExitStack() as stack:
        home = RelayHome.make()
        stack.callback(home.remove)
        (home.root / "house.json").write_text(json.dumps(asdict(house)), encoding="utf-8")
        direct = {}
        for era in sorted(set(by.pair)):
            received = home.root / f"direct-{era}"
            client = RawClient(_argv(era, home, received), env=home.environment())
            stack.callback(client.kill)
            direct[era] = _post(client, era, house, received)
        received = home.root / "relayed"
        mine, server = by.pair
        if by.web:
            web = stack.enter_context(Web(server, asdict(house), received))
            backend: dict[str, Any] = {"url": web.url}
        else:
            command, *args = _argv(server, home, received)
            backend = {"command": command, "args": args}
        config = {"backends": {"played": backend}, "relay": SETTINGS}
        relay = stack.enter_context(Relay(config, home=home))
        relayed = _post(relay.client, mine, house, received)
        swaps = stack.enter_context(swapping(relay)) if by.swaps else None
        yield Stage(house, by, direct, relayed, swaps)


def assert_same(by: By, *, sessions: int, houses: int) -> None:
    """Hold that many sessions of one kind, in so many houses, each with lists of its own; fail at
    the first that differs, or if a feature is in none of them.
    """
    used: set[str] = set()
    for house in range(houses):
        with stage(by, house) as here:
            assert not (found := here.first_differences()), f"house {house}:\n{found}"
            for seed in range(house, sessions, houses):
                session = here.session(seed)
                used |= session.features
                found = here.differences(session)
                assert not found, f"{here.again(session)}\n{found}"
    assert used >= set(by.features), f"no session has {set(by.features) - used}"


def _post(client: RawClient, era: str, house: House, received: Path) -> Post:
    talk = Talk(client, era, house)
    talk.greet()
    lists = talk.list_all()
    if era == MODERN:  # a legacy client asks before the relay can know
        lists["capabilities"] = [{key: value} for key, value in talk.capabilities().items()]
    return Post(talk, received, lists, len(received.read_bytes()))


def _argv(era: str, home: RelayHome, received: Path) -> list[str]:
    module = "tests.differential.backend"
    return [sys.executable, "-m", module, era, str(home.root / "house.json"), str(received)]


def _difference(whom: str, direct: list[str], relayed: list[str]) -> str:
    lines = unified_diff(direct, relayed, f"{whom}, directly", f"{whom}, by the relay", n=1)
    return "\n".join(line.rstrip("\n") for line in lines)
