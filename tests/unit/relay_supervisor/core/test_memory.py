"""Nothing that the core knows is anywhere but in its memory, or it would be lost with the code."""

from typing import Any

import msgspec
import pytest

from relay_supervisor.core import events, memory
from relay_supervisor.core.outbox import Outbox
from relay_supervisor.core.relay import Relay
from tests.unit.relay_supervisor.core.driver import IDENTITY, SECRET, SOURCE, Driver, call
from tests.unit.relay_supervisor.core.swap_driver import SwapDriver


def known(root: object) -> set[int]:
    """The ids of everything that can be reached from plain data."""
    found: set[int] = set()
    todo = [root]
    while todo:
        thing = todo.pop()
        if id(thing) in found:
            continue
        found.add(id(thing))
        if isinstance(thing, msgspec.Struct):
            todo += [getattr(thing, name) for name in thing.__struct_fields__]
        elif isinstance(thing, dict):
            todo += [*thing.keys(), *thing.values()]
        elif isinstance(thing, (list, tuple, set)):
            todo += thing
    return found


def _is_code(value: object) -> bool:
    return value is None or callable(value)


def kept_elsewhere(relay: Relay) -> list[str]:
    """What the rooms keep that is neither in the memory, nor a room, nor code."""
    plain = known(relay.shared.memory)
    found, seen, todo = [], set(), [("relay", relay)]
    while todo:
        name, room = todo.pop()
        if id(room) in seen:
            continue
        seen.add(id(room))
        slots = getattr(type(room), "__slots__", ())
        there = {slot: getattr(room, slot) for slot in slots} | getattr(room, "__dict__", {})
        for attribute, value in there.items():
            # A number or a word may be equal to one in the memory; only a container can be shared.
            shared = id(value) in plain and isinstance(value, msgspec.Struct | dict | list)
            if shared or callable(value) or isinstance(value, Outbox):
                continue
            if value and isinstance(value, dict) and all(map(_is_code, value.values())):
                continue
            if type(value).__module__.startswith("relay_supervisor.core"):
                todo.append((f"{name}.{attribute}", value))
            else:
                found.append(f"{name}.{attribute} = {value!r}")
    return found


def busy() -> Driver:
    relay = SwapDriver()
    relay.serve(roots={})
    relay.line(call(1))
    relay.swap(python="/new")
    relay.candidate(2)
    relay.do(events.WorkersUnread(True))
    relay.do(events.ClientClosed())
    return relay


@pytest.mark.parametrize("make", [Driver, busy])
def test_no_room_keeps_anything_of_its_own(make: Any) -> None:
    # From what is in the memory: what the straight way has to know is looked up after each event.
    follows = ("_server_info", "_of_pid", "_straight.")
    found = kept_elsewhere(make().relay)
    left = [line for line in found if not any(name in line for name in follows)]
    assert left == []


def test_what_a_room_would_keep_of_its_own_is_found() -> None:
    relay = Driver().relay
    relay.swaps.doubtful = True  # type: ignore[attr-defined]
    assert any("swaps.doubtful" in line for line in kept_elsewhere(relay))


def test_caches_from_the_disk_are_kept_until_lists_are_served() -> None:
    relay = Driver(snapshots={"v": b"from the disk"})
    relay.reexec()
    assert relay.relay.shared.memory.session.snapshots == {"v": b"from the disk"}
    relay.start()
    relay.reexec()
    assert relay.relay.shared.memory.session.snapshots == {}


def test_the_code_that_reads_says_which_version_it_is() -> None:
    relay = Driver()
    relay.reexec("11.0")
    assert relay.relay.shared.workers.identity.build == "11.0"
    assert relay.relay.shared.workers.identity.instance == IDENTITY.instance


def test_what_can_be_made_of_the_rest_is_not_written() -> None:
    relay = Driver()
    relay.start()
    written = memory.dump(relay.relay.shared.memory)
    page = relay.relay.shared.registry.pages
    assert page and not any(text in written for text in page.values() if text != b"[]")
    assert len(memory.dump(memory.begin(IDENTITY, {}, 1, SOURCE, SECRET))) < len(written)
