"""Swaps and what goes with them in a simulated world: relayctl, new releases, another file."""

import json

from relay_supervisor.core import events
from tests.sim.model import must
from tests.sim.setup import RELEASES
from tests.sim.world import World


def swap(world: World) -> None:
    """relayctl wants a swap; during another one it is refused."""
    args: dict[str, object] = {}
    if world.dice.chance(0.7):
        args["python"] = world.dice.pick(RELEASES)
    for name in ("force", "no_wait"):
        if world.dice.chance(0.2):
            args[name] = True
    refused: set[tuple[str, str]] = set()
    if world.dice.chance(0.05):
        pair = (world.dice.pick(RELEASES)[1:], world.disk.setup("/python", None).digest)
        refused.add(pair)
        args["refused"] = json.dumps([{"build": pair[0], "config_digest": pair[1]}])
    busy = world.relay.swaps.warming is not None or world.relay.ending.pace is not None
    busy = busy or world.relay.reexec.open
    if not busy:
        world.watch.refused |= refused
    waits = world.relayctl.ask("swap", **args)
    must(not (busy and waits), "two swaps are under way")


def rollback(world: World) -> None:
    """relayctl wants the version before."""
    world.relayctl.ask("rollback", **({"no_wait": True} if world.dice.chance(0.2) else {}))


def replace_supervisor(world: World) -> None:
    """relayctl wants other code for the supervisor; during a swap it is refused."""
    busy = world.relay.swaps.open or world.relay.reexec.open or world.relay.ending.pace is not None
    args = {"python": "/r9", "release": "r9"} if world.dice.chance(0.5) else {}
    waits = world.relayctl.ask("reexec", **args)
    must(not (busy and waits), "the code is replaced during a swap")


def answer_check(world: World) -> None:
    world.upgrade.answer()


def answer_check_late(world: World) -> None:
    world.upgrade.answer_late()


def edit_configuration(world: World) -> None:
    world.disk.edit()


def control(world: World) -> None:
    """relayctl asks what is answered at once, or nonsense."""
    world.relayctl.ask_now(
        world.dice.pick((b'{"op":"status"}\n', b'{"op":"fly"}\n', b"{\n", b"\xff\n"))
    )


def stop_reading(world: World) -> None:
    """The client has too much to read, so workers are not read for now; or again."""
    world.unread = not world.unread
    world.watch.forgive()
    world.happen(events.WorkersUnread(world.unread))
