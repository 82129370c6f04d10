"""Whatever a backend says in place of an answer, the client gets one answer, and what it can read.

Every fault is said by a backend on stdio and by one behind HTTP, to a client of either era. A
client as strict as the strictest known looks at every line (`strict.py`).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.firewall.faults import ANSWER, FAULTS, FINE, Fault
from tests.firewall.strict import assert_strict
from tests.fixtures.scripted import FILL_BYTES, script
from tests.harness import Frame, RawClient, Relay, text_of
from tests.harness.http_mcp import Exchange, HttpMcp
from tests.integration.through import configuration

SCRIPTED = Path(__file__).parents[1] / "fixtures" / "scripted.py"


def say(exchange: Exchange) -> None:
    """The tool of that name, over HTTP: an event a line."""
    message = exchange.asked.message
    exchange.stream()
    for line in script(message["params"], message["id"]).split(b"\n"):
        exchange.wfile.write(b"data: %b\n\n" % line)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HttpMcp(say=say) as server:
        yield server.url


class Client:
    """A client of one era before a relay with a scripted backend of each kind."""

    def __init__(self, raw: RawClient, *, modern: bool) -> None:
        self.raw = raw
        self.modern = modern
        if not modern:
            raw.initialize()
        self._calls = 0

    def say(self, backend: str, said: bytes) -> Frame:
        """Have a backend say something in place of an answer; return what comes of it."""
        self._calls += 1
        start = self.raw.start_modern if self.modern else self.raw.start
        params = {
            "name": f"{backend}__say",
            "arguments": {"bytes": said.decode("latin-1")},
            "_meta": {"progressToken": f"token-{self._calls}"},
        }
        return self.raw.response(start("tools/call", params))


@pytest.fixture(scope="module", params=["legacy", "modern"])
def client(request: pytest.FixtureRequest, url: str) -> Iterator[Client]:
    backends = {
        "stdio": {"command": sys.executable, "args": [str(SCRIPTED)]},
        "http": {"url": url},
    }
    with Relay(configuration(backends, frame_bytes_max=FILL_BYTES)) as relay:
        yield Client(relay.client, modern=request.param == "modern")


ROWS = [
    pytest.param(backend, fault, id=f"{name} ({backend})")
    for name, fault in FAULTS.items()
    for backend in (("stdio",) if fault.stdio else ("stdio", "http"))
]


@pytest.mark.parametrize(("backend", "fault"), ROWS)
def test_a_fault_stays_behind_the_relay(client: Client, backend: str, fault: Fault) -> None:
    before = len(client.raw.frames)
    answered = client.say(backend, b"\n".join(fault.said))
    assert text_of(client.say(backend, ANSWER).result) == FINE, "it goes on"
    wanted = fault.http if fault.http and backend == "http" else fault.answer
    if answered.error is not None:
        assert wanted != FINE and wanted in answered.error["message"]
    elif answered.result.get("isError"):
        assert wanted != FINE and wanted in text_of(answered.result)
    else:
        assert text_of(answered.result) == wanted
    came = client.raw.frames[before:]
    # A modern client hears nothing it did not ask for, and what a call says of itself.
    passed = [m for m in fault.passed if not client.modern or m == "notifications/progress"]
    assert [frame.method for frame in came if frame.method] == passed
    for frame in came:
        assert_strict(frame.message)
    client.raw.assert_clean()
