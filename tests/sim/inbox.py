"""What a simulated worker that keeps backends does with each message, when it comes to it."""

from typing import Any

from relay_supervisor.wire import custody, v1
from relay_supervisor.wire.ledger import Stage
from tests.sim import rounds
from tests.sim.keeper import Grip, Keeper
from tests.sim.model import must
from tests.sim.stdin import Frame


def listen(keeper: Keeper) -> bool:
    """Take in the next message; False where there is none."""
    if not keeper.inbox:
        return False
    message, payload = keeper.inbox.popleft()
    _TAKE[type(message)](keeper, message, payload)
    return True


def _call(keeper: Keeper, message: v1.Call, payload: bytes) -> None:
    keeper.begin(message, keeper.world.sent[message.call])


def _cancel(keeper: Keeper, message: v1.Cancel, payload: bytes) -> None:
    """Drop it where it waits, else tell the backend that has it."""
    if keeper.line.calls.pop(message.call, None) is not None:
        keeper.ledger.pop(message.call, None)
        return keeper.errand_done(message.errand)
    grip = next((g for g in keeper.held() if message.call in g.calls), None)
    if grip is None and message.backend:
        grip = keeper.grips.get(message.backend)
    if keeper.waiting.pop(message.call, None) is not None or grip is None or not grip.stdin:
        keeper.ledger.pop(message.call, None)
        return keeper.errand_done(message.errand)
    grip.forget(message.call)
    if grip.stdin.drop(message.call):
        keeper.ledger.pop(message.call, None)
        return keeper.errand_done(message.errand)
    return _tell(keeper, grip, message.errand, {"cancel": message.call})


def _answer(keeper: Keeper, message: v1.ClientAnswer, payload: bytes) -> None:
    grip = keeper.grips[message.backend]
    if grip.server is None or grip.server.pid != message.pid:
        return keeper.errand_done(message.errand)
    return _tell(keeper, grip, message.errand, {"answer": message.id.decode()})


def _tell(keeper: Keeper, grip: Grip, errand: int, message: dict[str, str | int]) -> None:
    keeper.ledger[errand] = Stage.RECEIVED
    keeper.errands.add(errand)
    keeper.write(grip, errand, message)


def _spawned(keeper: Keeper, message: v1.Spawned, payload: bytes) -> None:
    grip = keeper.grips[message.backend]
    grip.phase = "new"
    keeper.hold(grip, keeper.world.servers[message.pid])
    keeper.write(grip, 0, {"own": "initialize"})
    keeper.report(grip, "starting")
    if grip.freezing:
        keeper.give_back(grip)


def _refused(keeper: Keeper, message: v1.SpawnRefused, payload: bytes) -> None:
    grip = keeper.grips[message.backend]
    if grip.phase != "spawning":
        return  # it asked for too much
    grip.phase = "idle"
    keeper.report(grip, "backing_off")
    if grip.freezing:
        keeper.give_back(grip)


def _exited(keeper: Keeper, message: v1.Exited, payload: bytes) -> None:
    """Pass on what it has said, and answer for what it has not."""
    grip = keeper.grips[message.backend]
    if grip.server is None or grip.server.pid != message.pid:
        return
    must(not grip.server.alive, "{}, and it lives", message)
    while keeper.pass_on(grip):
        pass
    grip.server.given_to.discard(keeper.worker.generation)
    calls, stdin = grip.calls, grip.stdin
    grip.let_go()
    grip.phase = "idle"
    for sent in calls.values():
        keeper.fail(sent, v1.OUTCOME_RELAY_ERROR)
    assert stdin is not None
    for frame in stdin.outbox:
        if frame.number in keeper.errands:
            keeper.errand_done(frame.number)
    keeper.report(grip, "backing_off")
    if grip.freezing:
        keeper.give_back(grip)


def _freeze(keeper: Keeper, message: v1.Freeze, payload: bytes) -> None:
    awaited = {name for name, grip in keeper.grips.items() if grip.phase == "awaited"}
    names = awaited | set(message.backends)
    if back := [number for number, (name, _) in keeper.waiting.items() if name in names]:
        for number in back:
            keeper.waiting.pop(number)[1].returned = True
        keeper.say(v1.Returned(back))
        keeper.world.seen["calls returned"] += 1
        for number in back:
            keeper.ledger.pop(number, None)
    for name in message.backends:
        grip = keeper.grips[name]
        must(grip.phase != "awaited", "{} is asked back, and not here", name)
        grip.freezing = True
        fallen = grip.server is not None and not grip.server.alive
        if not (fallen and keeper.world.dice.chance(0.5)):  # it has seen the end of its output
            keeper.give_back(grip)


def _adopt(keeper: Keeper, message: v1.Adopt, payload: bytes) -> None:
    grip, world = keeper.grips[message.backend], keeper.world
    must(grip.phase == "awaited", "{} comes again: {}", message, grip)
    if not message.pid:
        grip.phase = "idle"
        return
    if world.dice.chance(0.02):
        world.seen["refused"] += 1
        world.servers[message.pid].refused_by(keeper.worker.generation)
        keeper.say(v1.Adopted(message.backend, message.pid, "no room"))
        return
    if world.dice.chance(0.01):
        world.seen["never taken over"] += 1
        return
    kept = custody.decode(payload)
    must(kept is not None, "{} with a custody nobody can read", message)
    assert kept is not None
    server = world.servers[message.pid]
    keeper.hold(grip, server)
    assert grip.stdin is not None
    if not message.crashed:
        grip.passed = kept.parsed
    grip.stdin.go_on([Frame(unsent.number, unsent.frame) for unsent in kept.outbox], kept.sent)
    numbers = {unsent.number for unsent in kept.outbox}
    for number in numbers - {call.call for call in message.calls} - {0}:
        keeper.ledger[number] = Stage.RECEIVED
        keeper.errands.add(number)  # or it is a call that was cancelled, of which nobody hears
    for call in message.calls:
        known = call.call in server.ran or call.call in numbers
        must(known or not server.alive, "{} never came to {}", call, server.pid)
        grip.calls[call.call] = world.sent[call.call]
        unsent = call.call in numbers
        keeper.ledger[call.call] = Stage.RECEIVED if unsent else Stage.WRITTEN
    rounds.resume(grip, kept)
    grip.phase = "ready" if kept.phase == "ready" else "new"
    world.seen["taken over after a crash" if message.crashed else "taken over"] += 1
    world.seen["taken over dead"] += not server.alive
    world.seen["a torn line is ended"] += grip.stdin.newline_due
    keeper.say(v1.Adopted(message.backend, message.pid))
    if grip.phase == "ready":
        keeper.worker.learned.add(grip.name)
        keeper.report(grip, "ready")
    keeper.go_on(message.backend)


_TAKE: dict[type, Any] = {
    v1.Call: _call,
    v1.Cancel: _cancel,
    v1.ClientAnswer: _answer,
    v1.Spawned: _spawned,
    v1.SpawnRefused: _refused,
    v1.Exited: _exited,
    v1.Freeze: _freeze,
    v1.Adopt: _adopt,
}
