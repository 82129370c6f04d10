"""A session with calls under way, through which the tests of swaps take a relay, and what has to be
the same afterwards: answers, lists, processes, descriptors and files.
"""

import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.faults.ends import outside_status
from tests.harness import (
    Frame,
    Relay,
    RelayHome,
    descendants,
    eventually,
    fixture_backend,
    json_of,
    open_fds,
    side_effects,
    text_of,
    wait_until,
)

SECONDS_MAX: Final = 20.0
UNKNOWN: Final = "The outcome is unknown"
SERVES: Final = re.compile(r"Now serving: (?P<build>\S+) \(.*generation (?P<generation>\d+)\)\.$")

HOOK: Final = """
import os, signal, sys, time
from relay_supervisor.wire import v1
from relay_worker.pipe import Pipe
from relay_worker.router import Router
_send, _send_header, _call = Pipe.send, Pipe.send_header, Router.call
"""
"""What the faults of a release need, at the beginning of its worker's main module."""


def on_message(name: str, body: str) -> str:
    """The code of a worker that does *body* instead of sending the message *name* of the pipe; in
    it `self` is the pipe, `_send(self, message)` sends it all the same.
    """
    return f"""{HOOK}
def send(self, message, *payload):
    if type(message) is not v1.{name}:
        return _send(self, message, *payload)
    {body}
Pipe.send = send
"""


def on_call(body: str) -> str:
    """The code of a worker that does *body* with a tools/call for a backend (never for the relay's
    own tools); in it `params` are the raw arguments, and `_call(self, message, params)` is right.
    """
    return f"""{HOOK}
def call(self, message, params):
    if b"relay__" in params:
        return _call(self, message, params)
    {body}
Router.call = call
"""


class Ordeal:
    """A relay in a session. `log` has the side effects of its backend `fix`."""

    def __init__(self, relay: Relay, log: Path) -> None:
        self.relay = relay
        self.client = relay.client
        self.log = log
        self.client.initialize(capabilities={"elicitation": {}})
        wait_until(lambda: self.status()["health"] == "ok", SECONDS_MAX, "a healthy relay")
        self.tools = self.tools_bytes()
        self._calls: list[tuple[int, str]] = []
        self._question: tuple[int, Frame] | None = None
        self._tags = 0
        self._served = 1
        self.at_first = self.holdings() | {"temporary files": []}  # one may be being written

    # -- what is under way

    def ask(self) -> None:
        """A call that stays under way until `answer`: its backend asks the client."""
        call = self.client.start_tool("fix__elicit", {"message": "name?"})
        self._question = call, self.client.wait_request("elicitation/create")

    def answer(self) -> None:
        """Answer the question; the call it belongs to ends as if nothing had happened."""
        assert self._question is not None
        call, asked = self._question
        if self.client.answered(call):
            early = self.client.response(call)
            raise AssertionError(f"answered before its question was: {early.raw!r}")
        self.client.answer(asked, {"action": "accept", "content": {"name": "Ann"}})
        result = self.client.response(call).result
        assert not result.get("isError") and "Ann" in text_of(result)
        self._question = None

    def call(self, seconds: float = 0.0) -> int:
        """A call that takes so long, and wait until it runs."""
        call = self.start(seconds)
        tag = self._calls[-1][1]
        wait_until(lambda: tag in self._ran(), SECONDS_MAX, "the call to run")
        return call

    def start(self, seconds: float = 0.0) -> int:
        """A call that takes so long."""
        self._tags += 1
        tag = f"{self.client.pid}.{self._tags}"
        call: int = self.client.start_tool("fix__counter", {"tag": tag, "seconds": seconds})
        self._calls.append((call, tag))
        return call

    def settle(self, *may_be_unknown: int) -> None:
        """Every call is answered, and ran once; only of these the outcome may be unknown, and then
        it may not have run. (The client itself counts the answers.)
        """
        for call, tag in self._calls:
            result = self.client.response(call).result
            if result.get("isError"):
                assert call in may_be_unknown, f"{tag}: {text_of(result)}"
                assert UNKNOWN in text_of(result)
                assert self._ran().count(tag) <= 1
            else:
                assert json_of(result)["count"] > 0
                assert self._ran().count(tag) == 1
        self._calls.clear()

    def _ran(self) -> list[str]:
        return [entry["tag"] for entry in side_effects(self.log)]

    # -- looking at it

    def status(self) -> dict[str, Any]:
        """What the relay says of itself to relayctl."""
        return outside_status(self.relay)

    def workers(self) -> dict[str, dict[str, Any]]:
        """The workers by their state; several in one state are told by the last."""
        return {worker["state"]: worker for worker in self.status()["workers"]}

    def wait_worker(self, state: str, generation: int) -> int:
        """Wait until the worker of a generation is in a state; its pid."""

        def there() -> bool:
            return self.workers().get(state, {}).get("generation") == generation

        wait_until(there, SECONDS_MAX, f"generation {generation} to be {state}")
        pid: int = self.workers()[state]["pid"]
        return pid

    def tools_bytes(self) -> bytes:
        """The result of tools/list as it came over the wire."""
        answer = self.client.response(self.client.start("tools/list"))
        return answer.raw.partition(b'"result"')[2]

    def holdings(self) -> dict[str, Any]:
        """What the relay holds: processes, descriptors, files other than records."""
        home, pid = self.relay.home, self.relay.pid
        return {
            "processes": len(descendants(pid)),
            "descriptors": open_fds(pid),
            "sockets": len(home.runtime_leftovers()),
            "temporary files": [str(path) for path in home.root.rglob("*.tmp")],
        }

    def assert_as_before(self) -> None:
        """The client has noticed nothing, calls work, and nothing is left behind."""
        assert self.tools_bytes() == self.tools
        assert self.client.notifications("notifications/tools/list_changed") == []
        self.call()
        self.settle()

        def nothing_more() -> None:
            now = self.holdings()
            assert now == self.at_first, f"{self.at_first} before, {now} now"

        eventually(nothing_more, SECONDS_MAX)
        (worker,) = self.status()["workers"]
        assert worker["state"] == "active"

    # -- relayctl

    def swap(self, *args: str) -> "Said":
        """`relayctl swap`, to its end."""
        return self.relayctl("swap", *args)

    def relayctl(self, *args: str) -> "Said":
        """A command that changes the relay, to its end."""
        return Said(self, self.relay.relayctl(*args))

    def begin_swap(self, *args: str) -> "Future[subprocess.CompletedProcess[str]]":
        """`relayctl swap` in the background; see `said`."""
        self._served = self.workers()["active"]["generation"]
        done: Future[subprocess.CompletedProcess[str]] = Future()

        def run() -> None:
            try:
                done.set_result(self.relay.relayctl("swap", *args))
            except Exception as error:  # noqa: BLE001 - whoever waits is to have it
                done.set_exception(error)

        threading.Thread(target=run, name="relayctl", daemon=True).start()
        return done

    def wait_cut_over(self, swap: "Future[subprocess.CompletedProcess[str]]") -> int:
        """Wait until the new worker of a swap in the background serves; its generation."""

        def now() -> int:
            assert not swap.done(), f"it is over already: {swap.result()}"
            generation: int = self.workers()["active"]["generation"]
            return generation

        wait_until(lambda: now() > self._served, SECONDS_MAX, "the cut-over")
        return now()

    def said(self, swap: "Future[subprocess.CompletedProcess[str]]") -> "Said":
        """Wait for the end of a swap in the background."""
        return Said(self, swap.result(SECONDS_MAX))


class Said:
    """What relayctl said, which has to end with the version that serves."""

    def __init__(self, ordeal: Ordeal, done: "subprocess.CompletedProcess[str]") -> None:
        self.text = done.stderr + done.stdout
        assert "Traceback" not in self.text, self.text
        self.code = done.returncode
        lines = [line for line in self.text.splitlines() if line.strip()]
        last = next(line for line in reversed(lines) if not line.startswith("New relays "))
        found = SERVES.search(last)
        assert found, f"it does not end by saying what serves: {self.text}"
        self.generation = int(found["generation"])
        serving = ordeal.workers()["active"]
        assert (found["build"], self.generation) == (serving["build"], serving["generation"])


@contextmanager
def ordeal(
    tmp_path: Path,
    *,
    home: RelayHome | None = None,
    env: Mapping[str, str | None] | None = None,
    prepare: Callable[[RelayHome], object] = lambda home: None,
    module: str = "relay_supervisor",
    flags: Sequence[str] = (),
    **settings: Any,
) -> Iterator[Ordeal]:
    """A relay with one backend, in a session, with these `relay:` settings. *prepare* is called
    before it starts; *module* is as for Relay, *flags* are the backend's.
    """
    own = home or RelayHome.make()
    log = tmp_path / "log"
    config = {
        "backends": {"fix": fixture_backend("--log", str(log), *flags)},
        "relay": {"probation_seconds": 0, **settings},
    }
    try:
        prepare(own)
        with Relay(config, home=own, env=env, module=module) as relay:
            yield Ordeal(relay, log)
    finally:
        if home is None:
            own.remove()
