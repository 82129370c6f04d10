"""What the server scenarios are run against: the fixture itself, and the relay before it."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.harness import MARK_VARIABLE, RelayHome, describe, kill_marked, new_mark, wait_gone
from tests.harness.relay import RELAYCTL

LEAVE_SECONDS_MAX: Final = 15.0
FIRST_LIST_SECONDS_MAX: Final = 25.0
SWAP_PAUSE_SECONDS: Final = 1.0
SWAP_SECONDS_MAX: Final = 120.0

_OVER: Final = re.compile(
    "No relay is running|it has ended|the relay ends|it ended|without an answer", re.IGNORECASE
)

FIXTURE: Final = (sys.executable, "-m", "tests.conformance.fixture")
BRIDGE: Final = (sys.executable, "-m", "tests.conformance.bridge")
RELAY: Final = (sys.executable, "-m", "relay_supervisor", "--config")


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the table. *backend*: how the relay reaches the fixture, None for no relay."""

    name: str
    backend: str | None = None
    era: str = "dual"
    bridged: bool = True
    swapped: bool = False


def _relays() -> Iterator[Target]:
    for swapped in (False, True):
        for backend, words in (("stdio", "stdio"), ("http", "HTTP")):
            for era in ("dual", "legacy", "modern"):
                eras = "both eras" if era == "dual" else f"{era} era only"
                name = f"relay, {words} backend, {eras}" + (", swapping" if swapped else "")
                yield Target(name, backend, era, swapped=swapped)


DIRECT: Final = Target("direct, HTTP", bridged=False)
BRIDGED: Final = Target("bridge, no relay")
TARGETS: Final = (DIRECT, BRIDGED, *_relays())


@dataclass(slots=True)
class Serving:
    """A target that runs: its address, how many swaps of its relays were committed, and why others
    were not. Those of a relay that has ended, as its session has, are in neither.
    """

    url: str
    swaps: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def serving(target: Target) -> Iterator[Serving]:
    """Start a target; at the end nothing of it may be left."""
    home, mark = RelayHome.make(), new_mark()
    env = home.environment({MARK_VARIABLE: mark})
    try:
        with _line_server(_outermost(target), env, home) as url:
            if target.backend == "http":
                with _line_server([*FIXTURE, "http", target.era], env, home) as backend_url:
                    home.write_config(_config({"url": backend_url}))
                    with _swapping(target, Serving(url), env, home) as one:
                        yield one
            else:
                argv = [*FIXTURE, "stdio", target.era]
                home.write_config(_config({"command": argv[0], "args": argv[1:]}))
                with _swapping(target, Serving(url), env, home) as one:
                    yield one
        left = wait_gone(mark, LEAVE_SECONDS_MAX)
        assert not left, f"left behind by {target.name}:\n{describe(left)}"
    finally:
        kill_marked(mark)
        home.remove()


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


@contextmanager
def _swapping(
    target: Target, one: Serving, env: Mapping[str, str], home: RelayHome
) -> Iterator[Serving]:
    """Swap the relays again and again meanwhile, if the target says so."""
    stop = threading.Event()

    def swap() -> None:
        while not stop.wait(SWAP_PAUSE_SECONDS):
            done = subprocess.run(
                [sys.executable, "-c", RELAYCTL, "swap"],
                env=env,
                cwd=home.project,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SWAP_SECONDS_MAX,
                check=False,
            )
            if done.returncode == os.EX_OK:
                one.swaps += 1
            elif not _OVER.search(done.stdout + done.stderr):
                one.failed.append((done.stderr + done.stdout).strip())

    thread = threading.Thread(target=swap)
    if target.swapped:
        thread.start()
    try:
        yield one
    finally:
        stop.set()
        if target.swapped:
            thread.join()
