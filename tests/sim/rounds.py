"""Calls of a legacy client that a backend answers by asking for more, and that a worker makes once
more then: under the same number, leg by leg, of which the core knows no more than `Begun`.

The order is that of `relay_worker.backends.bridge`: what the next worker has to know is told before
anything else, and the ledger is at "nobody can tell" before the core hears that all is answered.
"""

from typing import TYPE_CHECKING

from relay_supervisor.wire import custody, v1
from relay_supervisor.wire.custody import Round
from relay_supervisor.wire.ledger import Stage
from tests.sim.model import must
from tests.sim.server import Said, Server

if TYPE_CHECKING:
    from tests.sim.keeper import Grip, Keeper

METHODS = frozenset({"tools/call", "prompts/get", "resources/read"})
GIVEN, DUE = "given", "due"


def heard(keeper: "Keeper", grip: "Grip", said: Said) -> None:
    """A backend wants to be called once more; it may be heard again by the next worker."""
    call, leg = said.call, int(said.text)
    one = grip.rounds.get(call, Round(call, ""))
    if call in grip.calls and one.phase == GIVEN and one.number in {0, leg}:
        grip.rounds[call] = Round(call, "", number=leg, phase=DUE)
        tell(keeper, grip)


def tell(keeper: "Keeper", grip: "Grip") -> None:
    """Say with what the next worker is to go on; what is being made counts as made."""
    assert grip.server is not None
    lasting = [_made(r) if r.call in grip.making else r for r in grip.rounds.values()]
    kept = custody.encode(custody.Custody(phase="ready", rounds=lasting))
    keeper.say(v1.Joined(grip.name, grip.server.pid), kept)


def go_on(keeper: "Keeper", grip: "Grip") -> bool:
    """Make a call once more, in two steps; False where there is none to be made."""
    due = [call for call, one in grip.rounds.items() if one.phase == DUE]
    if not due or grip.phase != "ready" or grip.freezing or grip.server is None:
        return False
    call = keeper.world.dice.pick(due)
    if call not in grip.making:
        grip.making.add(call)
        keeper.ledger[call] = Stage.WRITING
        tell(keeper, grip)
        keeper.say(v1.Begun(call))
        return True
    grip.making.discard(call)
    one = grip.rounds[call] = _made(grip.rounds[call])
    marker = grip.calls[call].marker
    keeper.write(grip, call, {"call": call, "marker": marker, "leg": one.number})
    keeper.world.seen["a call is made once more"] += 1
    return True


def resume(grip: "Grip", kept: custody.Custody) -> None:
    """Go on where another worker has stopped. Of a call that was not told of it is not known for
    which time it was made.
    """
    left = {one.call: one for one in kept.rounds}
    grip.rounds = {call: left.get(call, Round(call, "", number=0)) for call in grip.calls}


def in_between(grip: "Grip", server: Server, call: int) -> bool:
    """Whether a backend waits for a call to be made once more, and nobody could tell whether it
    was: that is begun, and has not come to it.
    """
    one = grip.rounds.get(call)
    if one is None or call not in server.waiting:
        return False
    must(one.number <= server.legs[call] + 1, "{} is ahead of {}", one, server.pid)
    return call in grip.making or one.number > server.legs[call]


def _made(one: Round) -> Round:
    return Round(one.call, "", number=one.number + 1)
