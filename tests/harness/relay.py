"""Starts the real relay for a test, and does not let it end without proof that nothing was left.

At the end: within a bound no process of it lives (found by the mark in the environment *and* by
descent), the runtime directory is empty, the client saw no broken rule. If a test fails, what the
relay wrote to stderr and to its logs is attached to the failure.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import psutil

from tests.harness.child import EXIT_SECONDS_MAX
from tests.harness.home import RelayHome
from tests.harness.processes import (
    MARK_VARIABLE,
    descendants,
    describe,
    kill_marked,
    new_mark,
    wait_gone,
    wait_until,
)
from tests.harness.rawclient import RawClient

RELAYCTL_SECONDS_MAX = 60.0
LOGGED_SECONDS_MAX = 10.0
# As the installed script does it, which may not be installed here.
RELAYCTL = """import sys
from relay_supervisor.ctl.main import run
sys.argv[0] = "relayctl"
sys.exit(run())
"""


class Relay:
    """A running `python -m relay_supervisor --config …`; `client` is the RawClient on its stdio.

    config: a mapping, text, bytes, or None for a start without any configuration file.
    home: shared by several relays, or by one after another; else made and removed here.
    module: what is run; another one than the relay's own sets limits of it, and then runs it.
    """

    client: RawClient

    def __init__(
        self,
        config: Mapping[str, Any] | str | bytes | None = None,
        *,
        home: RelayHome | None = None,
        args: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        python: str = sys.executable,
        module: str = "relay_supervisor",
    ) -> None:
        self._own_home = home is None
        self.home = home or RelayHome.make()
        self.mark = new_mark()
        self.args = list(args)
        self.python = python
        self.module = module
        self.env = self.home.environment({MARK_VARIABLE: self.mark, **(env or {})})
        self._judged = True  # nothing runs yet
        self._has_config = config is not None or self.home.config_path.exists()
        if config is not None:
            self.home.write_config(config)

    # -- life

    def start(self) -> RawClient:
        """Start it and return its client; a second time after stop() too."""
        argv = [self.python, "-m", self.module]
        if self._has_config:
            argv += ["--config", str(self.home.config_path)]
        self.client = RawClient([*argv, *self.args], env=self.env, cwd=self.home.project)
        self._judged = False
        return self.client

    def stop(self, seconds: float = EXIT_SECONDS_MAX) -> int:
        """EOF, as when the client has died; check that all is gone; return the exit code."""
        return self.ended_by(self.client.close_stdin, seconds)

    def interrupt(self, number: int = signal.SIGINT, seconds: float = EXIT_SECONDS_MAX) -> int:
        """Signal the supervisor, stdin still open; check that all is gone; its exit code."""
        return self.ended_by(lambda: self.client.child.send_signal(number), seconds)

    def ended_by(self, action: Callable[[], object], seconds: float = EXIT_SECONDS_MAX) -> int:
        """Do what ends the relay, wait for its end, check what it left; return its exit code."""
        self._judged = True
        family = descendants(self.client.pid)
        action()
        try:
            code = self.client.wait_exit(seconds)
            left = wait_gone(self.mark, seconds)
            _, strangers = psutil.wait_procs(family, timeout=0 if left else 1.0)
            assert not left, f"left behind by the relay:\n{describe(left)}"
            assert not strangers, f"left behind, without the mark:\n{describe(strangers)}"
            files = self.home.runtime_leftovers()
            assert not files, f"left in the runtime directory: {files}"
        finally:
            self.kill()
        self.client.assert_clean()
        return code

    def kill(self) -> None:
        """SIGKILL whatever of it still lives, and do not look at what it leaves."""
        self._judged = True
        if hasattr(self, "client"):
            self.client.kill()
        kill_marked(self.mark)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None and not self._judged:
                self.stop()
        except (AssertionError, OSError) as failure:
            self.attach(failure)
            raise
        finally:
            if error is not None:
                self.attach(error)
            self.kill()
            if self._own_home:
                self.home.remove()

    def attach(self, error: BaseException) -> None:
        """Add the relay's stderr and logs to an exception."""
        error.add_note(f"relay's stderr:\n{self.client.child.stderr_text()[-6000:]}")
        error.add_note(f"relay's logs:\n{self.home.logs()}")

    # -- looking at it

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        return self.client.pid

    def relayctl(
        self, *args: str, seconds: float = RELAYCTL_SECONDS_MAX
    ) -> subprocess.CompletedProcess[str]:
        """Run relayctl with the relay's directories; never raises for its exit code."""
        return subprocess.run(
            [self.python, "-c", RELAYCTL, *args],
            env={**self.env, MARK_VARIABLE: new_mark()},
            cwd=self.home.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """This relay's object in `relayctl status --json`."""
        done = self.relayctl("status", "--json")
        try:
            instances = json.loads(done.stdout)["instances"]
        except ValueError:
            raise AssertionError(f"relayctl status: {done.returncode}\n{done.stderr}") from None
        for instance in instances:
            if instance["supervisor"]["pid"] == self.pid:
                found: dict[str, Any] = instance
                return found
        raise AssertionError(f"no relay with pid {self.pid} in {done.stdout}")

    def wait_logged(self, text: str, seconds: float = LOGGED_SECONDS_MAX) -> None:
        """Wait until a log file has this text: the worker writes them behind its answers."""
        wait_until(lambda: text in self.home.logs(), seconds, f"{text!r} in a log")

    def worker_pids(self, state: str = "active") -> list[int]:
        """The pids of the workers in this state, by relayctl."""
        return [worker["pid"] for worker in self.status()["workers"] if worker["state"] == state]

    def backend(self, name: str) -> dict[str, Any]:
        """One backend's object in the status."""
        for backend in self.status()["backends"]:
            if backend["name"] == name:
                found: dict[str, Any] = backend
                return found
        raise AssertionError(f"no backend {name!r} in the status")
