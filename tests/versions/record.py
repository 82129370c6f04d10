"""Records a conversation of a released version with itself: client, supervisor, workers, relayctl.

Everything that the parts say to each other happens in it at least once, as far as it can be made to
happen from outside. What is recorded is real; nothing is written by hand.
"""

import json
import shlex
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.harness import MARK_VARIABLE, RawClient, RelayHome, kill_marked, new_mark, wait_until
from tests.integration.quick_release import quick_release
from tests.versions import transcript
from tests.versions.archive import REPOSITORY, unpack

SECONDS_MAX: Final = 20.0
HERE: Final = Path(__file__).parent
SERVER: Final = ["sh", "-c", 'exec "$MEMO_PYTHON" "$MEMO_SERVER"']
"""How its server is started: the same on every machine, so that learned lists fit."""
SURROUNDINGS: Final = {"MEMO_PYTHON": sys.executable, "MEMO_SERVER": str(HERE / "backend.py")}

CONFIG: Final = {
    "backends": {
        "memo": {"command": SERVER[0], "args": SERVER[1:], "call_timeout_seconds": 60},
        "lazy": {"command": SERVER[0], "args": SERVER[1:], "start": "lazy"},
        "brief": {
            "command": SERVER[0],
            "args": SERVER[1:],
            "start": "lazy",
            "idle_stop_seconds": 0.2,
        },
    },
    "checks": [
        {"tool": "memo__echo", "arguments": {"a": "check"}, "expect": {"text_contains": "check"}},
        {"tool": "lazy__echo"},
    ],
    "relay": {"probation_calls": 2, "probation_seconds": 60, "restart_delay_seconds": 0.1},
}
CAPABILITIES: Final = {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {}}


class Witness(RawClient):
    """A client that remembers when it said what."""

    def __init__(self, argv: list[str], **settings: Any) -> None:
        self.sent: list[transcript.Entry] = []
        super().__init__(argv, **settings)

    def send(self, message: Any) -> None:
        """Send a message, written down before."""
        line = msgspec.json.encode(message).decode()
        self.sent.append(transcript.Entry(time.monotonic(), transcript.CLIENT, line))
        super().send(message)

    def ends(self) -> None:
        """Close its end."""
        self.sent.append(transcript.Entry(time.monotonic(), transcript.CLIENT, None))
        self.close_stdin()
        self.wait_exit()

    def heard(self) -> list[transcript.Entry]:
        """What the relay has said to it."""
        by = transcript.SUPERVISOR
        return [transcript.Entry(one.at, by, one.raw.decode()) for one in self.frames]

    def asked(self, method: str, answer: Mapping[str, Any], *, error: bool = False) -> None:
        """Answer the next question of the relay's."""
        question = self.wait_request(method)
        if error:
            self.answer(question, error=answer)
        else:
            self.answer(question, answer)


def record(version: str) -> str:
    """Return the transcript of a version that is kept already."""
    home, mark = RelayHome.make(), new_mark()
    tapped = home.root / "tapped"
    try:
        argv = [sys.executable, "-m", "relay_supervisor", "--config", str(home.config_path)]
        home.write_config(CONFIG)
        sources = unpack(version, home.root / "sources")
        for name in ("one", "two"):
            tap_release(home, name, sources, tapped)
        (home.state / "releases" / "current").write_text("one\n")
        more = {MARK_VARIABLE: mark, "PYTHONPATH": str(sources), "RELAY_LOG_LEVEL": "info"}
        environment = home.environment({**more, **SURROUNDINGS})
        with Witness(argv, env=environment, cwd=home.project) as client:
            asked = converse(client, home)
        entries = [*client.sent, *client.heard(), *asked]
        decoder = msgspec.json.Decoder(transcript.Entry)
        entries += [decoder.decode(line) for line in tapped.read_bytes().splitlines()]
        return transcript.write(entries, str(home.root))
    finally:
        kill_marked(mark)
        home.remove()


def tap_release(home: RelayHome, name: str, sources: Path, tapped: Path) -> None:
    """Make a release whose worker is of these sources, and overheard."""
    python = quick_release(home, name, version="", sources=sources) / "bin" / "python"
    real = python.with_name("real")
    python.rename(real)
    tap = [sys.executable, "-m", "tests.versions.tap", str(tapped), str(real)]
    command = f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {shlex.join(tap)} "$@"\n'
    python.write_text(command)
    python.chmod(0o755)


def converse(client: Witness, home: RelayHome) -> list[transcript.Entry]:
    """Hold the whole conversation; return what relayctl asked for."""
    client.initialize(capabilities=CAPABILITIES)
    lists(client)
    calls(client)
    questions(client)
    news(client)
    ends(client)
    pending = client.start_tool("memo__ask", {"method": "elicitation/create"})
    question = client.wait_request("elicitation/create")
    asked = swap(home, "two")
    client.call_tool("memo__echo", {"after": "the swap"})
    client.call_tool("lazy__echo", {"after": "the swap"})
    wait_until(lambda: '"committed"' in journal(home), SECONDS_MAX, "the commit")
    client.answer(question, {"action": "decline"})
    client.response(pending)
    wait_until(lambda: '"drained"' in journal(home), SECONDS_MAX, "the old worker's end")
    client.call_tool("memo__seen")
    client.ends()
    return [asked]


def lists(client: Witness) -> None:
    """What there is."""
    for what in ("tools", "prompts", "resources", "resources/templates"):
        client.list_all(what)


def calls(client: Witness) -> None:
    """Everything that is asked of a backend, and how it ends."""
    client.call_tool("memo__echo", {"text": "grüße", "number": 2**53})
    client.call_tool("lazy__echo", {"x": 1})
    client.call_tool("memo__steps", progress_token="mine")
    client.request("prompts/get", {"name": "memo__greet"})
    client.request("resources/read", {"uri": "memo://one"})
    client.request("resources/read", {"uri": "memo://another"})
    ref = {"type": "ref/prompt", "name": "memo__greet"}
    argument = {"name": "style", "value": "p"}
    client.request("completion/complete", {"ref": ref, "argument": argument})
    for name in ("memo__fail", "memo__unknown"):
        client.response(client.start_tool(name))
    unwanted = client.start_tool("memo__hang")
    client.cancel(unwanted, "not needed any more")
    client.call_tool("relay__status")
    call = {"name": "memo__echo", "arguments": {"era": "modern"}}
    client.modern("tools/call", call)


def questions(client: Witness) -> None:
    """What a backend asks of the client."""
    for method, answer in (
        ("elicitation/create", {"action": "accept", "content": {"name": "Ada"}}),
        ("sampling/createMessage", {"role": "assistant", "content": [], "model": "m"}),
        ("roots/list", {"roots": []}),
    ):
        call = client.start_tool("memo__ask", {"method": method, "params": {"x": [1.50]}})
        client.asked(method, answer)
        client.response(call)
    call = client.start_tool("memo__ask", {"method": "roots/list"})
    client.asked("roots/list", {"code": -1, "message": "no"}, error=True)
    client.response(call)
    client.call_tool("memo__ask", {"method": "unknown/method"})
    client.call_tool("memo__withdraw", {"method": "elicitation/create"})
    client.wait_request("elicitation/create")
    client.wait_notification("notifications/cancelled")


def news(client: Witness) -> None:
    """What is told without being asked."""
    client.request("logging/setLevel", {"level": "warning"})
    client.call_tool("memo__log", {"level": "info"})
    client.call_tool("memo__log", {"level": "error"})
    client.wait_notification("notifications/message")
    client.request("resources/subscribe", {"uri": "memo://one"})
    client.call_tool("memo__touch")
    client.wait_notification("notifications/resources/updated")
    client.notify("notifications/roots/list_changed")
    for _ in range(2):
        client.call_tool("memo__grow")
        client.wait_notification("notifications/tools/list_changed")
        client.list_all("tools")
    client.call_tool("memo__seen")


def ends(client: Witness) -> None:
    """A backend that dies and comes back; a call that lasts long enough to be watched over."""
    client.call_tool("lazy__die")
    client.call_tool("lazy__echo", {"back": True})
    unwanted = client.start_tool("memo__hang")
    seconds = time.monotonic() + 1.2
    wait_until(lambda: time.monotonic() > seconds, SECONDS_MAX, "a heartbeat")
    client.cancel(unwanted)


def swap(home: RelayHome, release: str) -> transcript.Entry:
    """Swap to a release, as relayctl does; return when there is a cut-over."""
    (path,) = home.runtime.glob("*.sock")
    python = str(home.state / "releases" / release / "bin" / "python")
    args = {"python": python, "release": release, "no_wait": True}
    line = json.dumps({"op": "swap", "args": args})
    entry = transcript.Entry(time.monotonic(), transcript.CONTROL, line)
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(path))
        control.sendall(line.encode() + b"\n")
        replies = [json.loads(reply) for reply in control.makefile("rb")]
    assert replies[-1]["result"]["outcome"] == "probation", replies[-1]
    return entry


def journal(home: RelayHome) -> str:
    """What the relay has written down of its swaps."""
    path = home.state / "journal.jsonl"
    return path.read_text() if path.exists() else ""
