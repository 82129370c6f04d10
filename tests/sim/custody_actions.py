"""What workers that keep backends, and these backends, can do in a simulated world."""

from relay_supervisor.core.generation import GONE
from relay_supervisor.core.state import Hold
from relay_supervisor.wire import v1
from tests.sim import rounds
from tests.sim.inbox import listen
from tests.sim.keeper import Grip, Keeper
from tests.sim.model import must
from tests.sim.rising import get_on
from tests.sim.server import Said, Server
from tests.sim.world import World


def keepers(world: World) -> list[Keeper]:
    """Those that can do something and are heard; one that was given up may not know it yet."""
    if world.unread or world.exited:
        return []
    alive = {child.generation for child in world.children.values() if not child.backend}
    return [
        keeper
        for generation, keeper in world.keepers.items()
        if generation in alive and not keeper.worker.deaf and not keeper.worker.mute
    ]


def some_keeper(world: World) -> Keeper | None:
    found = keepers(world)
    return world.dice.pick(found) if found else None


def some_grip(world: World) -> tuple[Keeper, Grip] | None:
    """A backend that runs, and the worker that has it."""
    found = [(keeper, grip) for keeper in keepers(world) for grip in keeper.held()]
    return world.dice.pick(found) if found else None


def some_server(world: World) -> Server | None:
    found = [server for server in world.servers.values() if server.alive]
    return world.dice.pick(found) if found else None


# ---- workers ------------------------------------------------------------------------------------


def take_in(world: World) -> None:
    """A worker takes in some of what it was told."""
    if busy := [keeper for keeper in keepers(world) if keeper.inbox]:
        keeper = world.dice.pick(busy)
        for _ in range(world.dice.rng.randint(1, 6)):
            if keeper not in keepers(world) or not listen(keeper):
                return


def write(world: World) -> None:
    """Some steps of a write, often all of them."""
    if (found := some_grip(world)) is not None:
        _, grip = found
        steps = 40 if world.dice.chance(0.5) else world.dice.rng.randint(1, 9)
        while steps and grip.stdin is not None and grip.stdin.step():
            steps -= 1


def read(world: World) -> None:
    """A worker passes on what a backend has written; its mailbox gets to know of it, or not yet."""
    if (found := some_grip(world)) is not None:
        keeper, grip = found
        if grip.stdin is not None:
            grip.stdin.rest()
        for _ in range(world.dice.rng.randint(0, 3)):
            if keeper in keepers(world) and grip.server is not None:
                keeper.pass_on(grip)
        if grip.server is not None and world.dice.chance(0.6):
            grip.server.head = grip.passed


def start(world: World) -> None:
    """A backend that does not run, or is not joined, gets further."""
    found = [
        (keeper, grip)
        for keeper in keepers(world)
        for grip in keeper.grips.values()
        if grip.phase in {"idle", "new"} and not grip.freezing and keeper.worker.ready
    ]
    if found:
        get_on(*world.dice.pick(found))


def call_remote(world: World) -> None:
    """A worker gets further with a call at the remote server."""
    if found := [keeper for keeper in keepers(world) if keeper.line.calls]:
        world.dice.pick(found).line.step()


def stop_server(world: World) -> None:
    """A worker ends a backend that nothing is under way at."""
    if (found := some_grip(world)) is None:
        return
    keeper, grip = found
    if grip.phase == "ready" and grip.server and not (grip.calls or grip.freezing):
        grip.phase = "stopping"
        keeper.say(v1.StopBackend(grip.name, grip.server.pid))


def say_something(world: World) -> None:
    """A worker writes something of its own to a backend."""
    if (found := some_grip(world)) is not None and found[1].phase == "ready":
        found[0].write(found[1], 0, {"own": 1})


def killed_while_writing(world: World) -> None:
    """A worker is killed between two steps of a write."""
    write(world)
    writing = [k for k in keepers(world) for g in k.held() if g.stdin and g.stdin.outbox]
    if writing:
        keeper = world.dice.pick(writing)
        world.die(world.children[keeper.worker.pid], -9)


def killed_before_once_more(world: World) -> None:
    """A worker is killed that has said of a call that it makes it once more."""
    if making := [keeper for keeper in keepers(world) if any(g.making for g in keeper.held())]:
        world.die(world.children[world.dice.pick(making).worker.pid], -9)


def ask_too_much(world: World) -> None:
    """A worker wants a backend started that is not its own, or runs."""
    if (keeper := some_keeper(world)) is None or keeper.worker.phase != "configured":
        return
    names = [grip.name for grip in keeper.grips.values() if grip.phase == "awaited"]
    names += [grip.name for grip in keeper.held() if grip.server and grip.server.alive]
    if names:
        keeper.worker.tokens += 1
        keeper.worker.spawns.add(keeper.worker.tokens)
        name = world.dice.pick(names)
        keeper.say(v1.Spawn(keeper.worker.tokens, name, ["server"], {}, "/", 8192))


def lie(world: World) -> None:
    """A worker says that it has let go, or taken over, which nobody has asked of it."""
    if (keeper := some_keeper(world)) is None or keeper not in listened_to(world):
        return
    for grip in keeper.grips.values():
        charge = world.relay.charges.held(keeper.worker.generation, grip.name)
        if charge is None or charge.hold is Hold.HELD:
            pid = world.dice.pick([0, *(s.pid for s in world.servers.values())])
            keeper.say(world.dice.pick((v1.Frozen(grip.name, pid), v1.Adopted(grip.name, pid))))
            must(not keeper.worker.open, "{} was believed", keeper.worker)
            return


def listened_to(world: World) -> list[Keeper]:
    """Those that the core still wants something of."""
    lives = world.relay.shared.workers.state.generations
    numbers = {g.number for g in lives.values() if g.state not in GONE}
    ending = world.relay.ending.pace is not None
    return [k for k in keepers(world) if k.worker.generation in numbers and not ending]


# ---- backends -----------------------------------------------------------------------------------


def serve(world: World) -> None:
    """A backend finishes a call."""
    if (server := some_server(world)) is not None and (busy := server.busy()):
        server.reply(world.dice.pick(busy), good=world.dice.chance(0.8))


def talk(world: World) -> None:
    """A backend says something else."""
    if (server := some_server(world)) is None:
        return
    what = world.dice.pick(("progress", "progress", "news", "question", "withdraw"))
    if what == "question":
        server.ask(world.dice.pick([0, *server.busy()]) if world.streams else 0)
    elif what == "withdraw":
        server.withdraw()
    elif what == "news":
        server.out.append(Said("news"))
    elif busy := server.busy():
        server.out.append(Said("progress", world.dice.pick(busy)))


def ask(world: World) -> None:
    """A backend asks the client while it works on a call."""
    if busy := [s for s in world.servers.values() if s.alive and s.busy()]:
        server = world.dice.pick(busy)
        server.ask(world.dice.pick(server.busy()) if world.streams else 0)


def want_more(world: World) -> None:
    """A backend answers a call of a legacy client by asking for more."""
    found = [(s, n) for s in world.servers.values() if s.alive for n in s.busy()]
    found = [(s, n) for s, n in found if may_be_asked(world, n)]
    if found:
        server, number = world.dice.pick(found)
        server.want_more(number)


def may_be_asked(world: World, number: int) -> bool:
    """Whether whoever made a call would make it once more."""
    asked = world.client.by_marker(world.sent[number].marker)
    return asked is not None and not asked.modern and asked.method in rounds.METHODS


def make_once_more(world: World) -> None:
    """A worker gets further with a call that its backend wants once more."""
    if found := [(k, g) for k in keepers(world) for g in k.held() if g.rounds]:
        rounds.go_on(*world.dice.pick(found))


def server_dies(world: World) -> None:
    """A backend ends by itself."""
    if (server := some_server(world)) is not None:
        world.die(world.children[server.pid], world.dice.pick((0, 1, -11)))


# ---- coming to rest -----------------------------------------------------------------------------


def do_everything(world: World) -> None:
    """Whoever is not hanging does all there is to do."""
    for server in world.servers.values():
        wanted = [number for number in server.busy() if number in world.core.calls]
        for number in wanted if server.alive else []:
            server.reply(number, good=True)
    for keeper in keepers(world):
        while keeper in keepers(world) and (listen(keeper) or keeper.line.step()):
            pass
        for grip in list(keeper.grips.values()):
            while keeper in keepers(world) and rounds.go_on(keeper, grip):
                pass
            while keeper in keepers(world) and grip.stdin is not None and grip.stdin.step():
                pass
            while keeper in keepers(world) and keeper.pass_on(grip):
                pass
            if keeper in keepers(world) and keeper.worker.ready and not grip.freezing:
                get_on(keeper, grip)
