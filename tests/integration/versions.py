"""Relays whose supervisor and worker are of different versions, each a real checkout.

The supervisor is whatever its PYTHONPATH says, the worker comes from a release. What really runs is
asked of the processes themselves, never taken for granted.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from tests.harness import Relay, RelayHome
from tests.integration.quick_release import REPOSITORY, quick_release
from tests.versions.archive import RELEASED, unpack

TREE: Final = "tree"
"""Stands beside the numbers of released versions for what is in the working tree."""

TREE_VERSION: Final = "9.9.9"
"""What the worker says that is made of the tree: newer than any."""

DEAF_VERSION: Final = 99
DEAF: Final = f"""from relay_supervisor.wire import handshake
handshake.VERSIONS = ({DEAF_VERSION},)
"""
"""Put into a worker it makes it one that speaks no pipe version of today's supervisors."""

WHERE: Final = "import relay_supervisor.main as main; print(main.__file__)"
BUILD: Final = "from relay_worker.build import build; print(build())"


class Versions:
    """All released versions and the tree: their sources, and a release of each."""

    def __init__(self, folder: Path) -> None:
        """Unpack the archives into *folder*, and make the releases once for all tests."""
        self._made = RelayHome(folder / "made")
        self.sources = {TREE: REPOSITORY}
        for version in RELEASED:
            self.sources[version] = unpack(version, folder / version)
        for version, sources in self.sources.items():
            says = TREE_VERSION if version == TREE else ""
            quick_release(self._made, version, version=says, sources=sources)
        quick_release(self._made, "deaf", main=DEAF)

    def relay(
        self, supervisor: str, worker: str, config: Mapping[str, Any], home: RelayHome
    ) -> Relay:
        """A relay, not started yet, of which the first worker is of another version."""
        releases = home.state / "releases"
        if not releases.exists():
            releases.mkdir()
            for release in (self._made.state / "releases").iterdir():
                (releases / release.name).symlink_to(release)
        (releases / "current").write_text(f"{worker}\n")
        relay = Relay(config, home=home, env=self.environment(supervisor))
        where = self.ask(relay, sys.executable, WHERE)
        assert Path(where).is_relative_to(self.sources[supervisor]), "of another version"
        return relay

    def environment(self, version: str) -> dict[str, str]:
        """What makes a Python run this version."""
        return {"PYTHONPATH": str(self.sources[version])}

    def ask(self, relay: Relay, python: str, program: str) -> str:
        """What a program prints that is run as the relay is run."""
        command = [python, "-P", "-c", program]
        done = subprocess.run(
            command, env=relay.env, cwd=relay.home.project, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def build_of(self, version: str) -> str:
        """The build of a release of this version, by its own reckoning."""
        python = self._made.state / "releases" / version / "bin" / "python"
        done = subprocess.run([python, "-P", "-c", BUILD], env={}, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def relayctl(self, relay: Relay, version: str, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the relayctl of a version, whatever the relay is."""
        before = relay.env
        relay.env = {**before, **self.environment(version)}
        try:
            return relay.relayctl(*args)
        finally:
            relay.env = before


def worker(relay: Relay, state: str = "active") -> dict[str, Any]:
    """The worker in this state, by the status."""
    (found,) = (one for one in status(relay)["workers"] if one["state"] == state)
    one: dict[str, Any] = found
    return one


def status(relay: Relay) -> dict[str, Any]:
    """The relay's status by its own tool, which is quicker than relayctl."""
    answer = relay.client.call_tool("relay__status")
    found: dict[str, Any] = answer["structuredContent"]
    return found


def runs(relay: Relay) -> Path:
    """The interpreter that the active worker was started with."""
    return Path(psutil.Process(worker(relay)["pid"]).cmdline()[0])


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The result of a swap, as `relayctl swap --json` shows it for its only relay."""
    (instance,) = json.loads(done.stdout)["instances"]
    found: dict[str, Any] = instance["result"]
    return found
