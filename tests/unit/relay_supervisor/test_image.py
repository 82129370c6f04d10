"""What one process image leaves for the next is read by every later release, and by no earlier one.

After a release nothing of its golden files is edited; with the next addition `SCHEMA` goes up and
gets files of its own: `python -m tests.unit.relay_supervisor.shape`, and `state_of_today` as hex.
"""

import msgspec
import pytest

from relay_supervisor import beginning
from relay_supervisor import image as images
from relay_supervisor.adapters.children import Pipes
from relay_supervisor.adapters.client_stdio import ClientState
from relay_supervisor.adapters.control_socket import ControlState
from relay_supervisor.adapters.logbook import LogbookState
from relay_supervisor.adapters.worker_pipe import PipeState
from relay_supervisor.control_peer import PeerState, Phase
from relay_supervisor.core import sealed
from relay_supervisor.core.sealed import SCHEMA
from relay_supervisor.errors import StateRefused
from relay_supervisor.image import Image
from relay_supervisor.settings import Settings
from tests.unit.relay_supervisor.core.driver import call
from tests.unit.relay_supervisor.core.swap_driver import SwapDriver
from tests.unit.relay_supervisor.shape import GOLDEN, path_of, shape

SETTINGS = Settings("/c/relay.yaml", True, "/p", "/s", "/r", "info", "text", ("a problem",))
PIPE = PipeState(1, 20, 21, 22, 23, 24, 25, b"fra", b"unsent", words=b"last")


def busy() -> SwapDriver:
    """A relay with something in most of its rooms."""
    relay = SwapDriver()
    relay.serve(roots={})
    relay.line(call("old"))
    relay.swap(python="/new", release="new")
    relay.candidate(2, build="9.9", digest="two")
    relay.line(call(5, _meta={"progressToken": "t"}))
    relay.control("swap", 8, python="/bad")
    relay.line(call(2**63))
    return relay


def state_of_today() -> bytes:
    """What a busy relay leaves."""
    image = Image(
        SETTINGS,
        "/python",
        busy().relay.export(),
        [17],
        LogbookState(5, [b"line\n"], 3, 4),
        ClientState(6, 7, {6: True, 7: False}, b'{"half":', unsent=b"answer"),
        ControlState(8, 4711, 3, None, {3: PeerState(9, Phase.ANSWERING, None, b"", b"line")}),
        {1: PIPE, 2: msgspec.structs.replace(PIPE, generation=2, frames_in=30, paused=True)},
        [PipeState(0, -1, -1, -1, -1, 26, -1, talking=False, reading=False)],
        {5001: 1, 5002: 2},
        {61: Pipes(10, 11, -1)},
        [b"{}\n"],
        pidfds={61: 12, 5001: 13},
    )
    return images.dump(image)


def test_what_is_written_is_read() -> None:
    image = images.load(state_of_today())
    assert images.dump(image) == state_of_today()
    relay = beginning.resumed(image)
    assert relay.shared.state.last_call == 3 and relay.swaps.warming is not None


def test_all_descriptors_are_kept_and_closed_ones_are_none() -> None:
    assert sorted(images.load(state_of_today()).descriptors()) == [
        *(5, 6, 7, 8, 9, 10, 11, 12, 13),
        *(20, 21, 21, 22, 22, 23, 23, 24, 24, 25, 25, 26, 30),
    ]


def test_the_shape_is_that_of_its_schema() -> None:
    """What was added, or is another, needs a new number: an older release would lose it."""
    assert shape() == path_of(SCHEMA).read_text(encoding="utf-8")


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_the_state_of_every_released_schema_is_read(schema: int) -> None:
    data = bytes.fromhex((GOLDEN / f"state-{schema}.hex").read_text(encoding="utf-8"))
    image = images.load(data)
    relay = beginning.resumed(image)
    assert image.client is not None and image.client.line == b'{"half":'
    assert relay.shared.state.last_call == 3 and len(relay.shared.state.requests) == 3
    assert relay.shared.workers.state.active == 2


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_nothing_that_was_released_has_gone(schema: int) -> None:
    released = {line.partition(" = ")[0] for line in path_of(schema).read_text().splitlines()}
    assert released <= {line.partition(" = ")[0] for line in shape().splitlines()}


def test_a_state_of_a_newer_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SCHEMA", SCHEMA + 1)
    newer = state_of_today()
    monkeypatch.undo()
    with pytest.raises(StateRefused, match="too old"):
        images.load(newer)


def test_a_value_that_this_release_does_not_know_is_refused() -> None:
    """Say a phase that a newer one with the same number has by mistake."""
    content = msgspec.msgpack.decode(sealed.unseal(busy().relay.export()))
    content["reexec"]["stage"] = "dreaming"
    bad = sealed.seal(msgspec.msgpack.encode(content))
    image = msgspec.structs.replace(images.load(state_of_today()), core=bad)
    with pytest.raises(StateRefused, match="dreaming"):
        beginning.resumed(image)


def test_a_member_that_this_release_does_not_know_is_passed_over() -> None:
    content = msgspec.msgpack.decode(sealed.unseal(busy().relay.export()))
    content["newer"] = {"a": 1}
    image = images.load(state_of_today())
    image.core = sealed.seal(msgspec.msgpack.encode(content))
    assert beginning.resumed(image).shared.state.last_call == 3


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"mcp-relay state\n"])
def test_a_state_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(StateRefused):
        images.load(data)
