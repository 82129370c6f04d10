"""The directories one relay, or several, live in during a test."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

LOG_TAIL_BYTES = 6000


@dataclass(frozen=True, slots=True)
class RelayHome:
    """Directories and configuration file of the relays that belong together."""

    root: Path

    @classmethod
    def make(cls) -> Self:
        """A fresh one. In the temp folder and not in pytest's: a socket's path must stay short."""
        home = cls(Path(tempfile.mkdtemp(prefix="rl-")).resolve())
        for folder in (home.state, home.project):
            folder.mkdir()
        home.runtime.mkdir(mode=0o700)
        return home

    @property
    def state(self) -> Path:
        """RELAY_STATE_DIR: cache, releases, history, logs."""
        return self.root / "state"

    @property
    def runtime(self) -> Path:
        """RELAY_RUNTIME_DIR: sockets; has to be empty when no relay runs."""
        return self.root / "run"

    @property
    def project(self) -> Path:
        """The working directory of the relay, as Claude Code's project would be."""
        return self.root / "project"

    @property
    def config_path(self) -> Path:
        """The configuration file, outside of the project."""
        return self.root / "relay.yaml"

    def write_config(self, config: Mapping[str, Any] | str | bytes) -> Path:
        """Replace the configuration: text as it is, a mapping as JSON (which is YAML)."""
        if isinstance(config, str):
            config = config.encode()
        if not isinstance(config, bytes):
            config = json.dumps(config, indent=2).encode()
        temporary = self.root / "relay.yaml.new"
        temporary.write_bytes(config)
        temporary.chmod(0o600)
        temporary.replace(self.config_path)
        return self.config_path

    def environment(self, extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """For a relay or relayctl: our environment, these directories, extra (None removes)."""
        wanted: dict[str, str | None] = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RELAY_")},
            "RELAY_STATE_DIR": str(self.state),
            "RELAY_RUNTIME_DIR": str(self.runtime),
            "XDG_CONFIG_HOME": str(self.root / "config"),  # not that of whoever runs the tests
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **(extra or {}),
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def logs(self) -> str:
        """The end of every log file under the state directory."""
        parts = []
        for path in sorted(self.state.rglob("*.log*")):
            if path.is_file():
                tail = path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
                parts.append(f"--- {path.relative_to(self.root)}\n{tail}")
        return "\n".join(parts)

    def runtime_leftovers(self) -> list[str]:
        """Files in the runtime directory, relative; none once all relays have ended."""
        if not self.runtime.exists():
            return []
        return sorted(
            str(path.relative_to(self.runtime))
            for path in self.runtime.rglob("*")
            if not path.is_dir()
        )

    def remove(self) -> None:
        """Delete all of it."""
        shutil.rmtree(self.root, ignore_errors=True)
