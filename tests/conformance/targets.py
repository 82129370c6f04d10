"""What the server scenarios are run against: the fixture itself, and the relay before it."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.suite import LEGACY, MODERN
from tests.conformance.swapping import Swaps, swapping
from tests.harness import MARK_VARIABLE, RelayHome, describe, kill_marked, new_mark, wait_gone

LEAVE_SECONDS_MAX: Final = 15.0
FIRST_LIST_SECONDS_MAX: Final = 25.0
# The suite asks for more than it comes back to, and a worker waits so long for who may come back.
# Two may wait at a time, so with more there could not be a swap each second.
DRAIN_SECONDS_MAX: Final = 2.0

FIXTURE: Final = (sys.executable, "-m", "tests.conformance.fixture")
BRIDGE: Final = (sys.executable, "-m", "tests.conformance.bridge")
RELAY: Final = (sys.executable, "-m", "relay_supervisor", "--config")

ERAS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "dual": ("both eras", (LEGACY, MODERN)),
    "legacy": ("legacy era only", (LEGACY,)),
    "modern": ("modern era only", (MODERN,)),
}
"""What the fixture calls an era: how the page calls it, and which revisions are of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the table. *backend*: how the relay reaches the fixture, None for no relay."""

    name: str
    backend: str | None = None
    era: str = "dual"
    bridged: bool = True
    swapped: bool = False

    @property
    def direct(self) -> str:
        """The row of the same server without anything between."""
        return f"direct, HTTP, {ERAS[self.era][0]}"

    def speaks(self, revision: str) -> bool:
        """Whether it can be used with this revision at all: the relay translates."""
        return self.backend is not None or revision in ERAS[self.era][1]


def _targets() -> Iterator[Target]:
    for era, (eras, _) in ERAS.items():
        yield Target(f"direct, HTTP, {eras}", era=era, bridged=False)
        if era == "dual":
            yield Target("bridge, no relay")
        for swapped in (False, True):
            for backend, words in (("stdio", "stdio"), ("http", "HTTP")):
                name = f"relay, {words} backend, {eras}" + (", swapping" if swapped else "")
                yield Target(name, backend, era, swapped=swapped)


TARGETS: Final = tuple(_targets())


@dataclass(slots=True)
class Serving:
    """A target that runs: its address, and the swaps of its relays."""

    url: str
    swaps: Swaps = field(default_factory=Swaps)


@contextmanager
def serving(target: Target) -> Iterator[Serving]:
    """Start a target; at the end nothing of it may be left."""
    home, mark = RelayHome.make(), new_mark()
    env = home.environment({MARK_VARIABLE: mark})
    try:
        with _line_server(_outermost(target), env, home) as url, _backend(target, env, home):
            one = Serving(url)
            swaps = swapping(one.swaps, env, home.project) if target.swapped else nullcontext()
            with swaps:
                yield one
        left = wait_gone(mark, LEAVE_SECONDS_MAX)
        assert not left, f"left behind by {target.name}:\n{describe(left)}"
    finally:
        kill_marked(mark)
        home.remove()


@contextmanager
def _backend(target: Target, env: Mapping[str, str], home: RelayHome) -> Iterator[None]:
    """Configure the relay's backend, and start it if it is a remote one."""
    if target.backend == "http":
        with _line_server([*FIXTURE, "http", target.era], env, home) as url:
            home.write_config(_config({"url": url}))
            yield
    else:
        command, *arguments = [*FIXTURE, "stdio", target.era]
        home.write_config(_config({"command": command, "args": arguments}))
        yield


def _outermost(target: Target) -> list[str]:
    """The command that serves HTTP to the suite. The relay reads its configuration later."""
    if not target.bridged:
        return [*FIXTURE, "http", target.era]
    if target.backend is None:
        return [*BRIDGE, *FIXTURE, "stdio", target.era]
    return [*BRIDGE, *RELAY, "../relay.yaml"]


def _config(backend: Mapping[str, Any]) -> dict[str, Any]:
    settings = {
        "prefix": False,
        "builtin_tools": False,
        "probation_seconds": 0,
        "drain_seconds": DRAIN_SECONDS_MAX,
        "drain_max_seconds": DRAIN_SECONDS_MAX,
        # Else what is measured on a busy machine is how fast the fixture starts.
        "first_list_wait_seconds": FIRST_LIST_SECONDS_MAX,
    }
    return {"backends": {"fixture": backend}, "relay": settings}


@contextmanager
def _line_server(argv: Sequence[str], env: Mapping[str, str], home: RelayHome) -> Iterator[str]:
    """A program that prints its address first, and ends with its stdin."""
    with (
        open(home.root / "stderr", "a", encoding="utf-8") as errors,
        subprocess.Popen(
            argv,
            env=env,
            cwd=home.project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(LEAVE_SECONDS_MAX)
