"""What a client can do in a simulated world."""

from relay_supervisor.core import events, racing
from relay_supervisor.core.parking import RETRY_SECONDS_MAX
from tests.sim.client import KEYS, OWN, ROUTED
from tests.sim.model import must
from tests.sim.parked import METHODS
from tests.sim.world import World

NAMES = ("sim", *racing.CLIENTS)
PROTOCOLS = ("2024-11-05", "2025-03-26", "2025-03-26", "2025-11-25", "2099-01-01")


def initialize(world: World) -> None:
    if world.client.modern_only:
        return
    key = world.dice.pick([key for key in KEYS if key not in world.client.open] or ["again"])
    capabilities = {"elicitation": {}, "roots": {}} if world.dice.chance(0.8) else {}
    protocol = world.dice.pick(PROTOCOLS)
    info = {"name": world.dice.pick(NAMES), "version": "1"}
    params = {"protocolVersion": protocol, "capabilities": capabilities, "clientInfo": info}
    world.client.write(world.client.ask(key, "initialize", params))


def initialized(world: World) -> None:
    if world.client.modern_only:
        return
    world.client.ready = True
    world.client.write({"jsonrpc": "2.0", "method": "notifications/initialized"})


def call(world: World) -> None:
    method = "tools/call" if world.dice.chance(0.6) else world.dice.pick(ROUTED)
    world.client.write(world.client.request(method, modern=world.dice.chance(0.3)))


def call_modern(world: World) -> None:
    """Requests that may be parked."""
    world.client.write(world.client.request(world.dice.pick(METHODS), modern=True))


def retry(world: World) -> None:
    """Come back to what was parked."""
    if states := [*world.client.parked.by_state]:
        world.client.parked.retry(world.dice.pick(states))


def retry_badly(world: World) -> None:
    """Come back with what is no good."""
    world.client.parked.retry_badly()


def let_it_expire(world: World) -> None:
    """Come back too late."""
    if states := [*world.client.parked.by_state]:
        world.pass_time(RETRY_SECONDS_MAX)
        if not world.exited:
            world.client.parked.retry(world.dice.pick(states))


def ask_relay(world: World) -> None:
    request = world.client.request(world.dice.pick(OWN), modern=world.dice.chance(0.5))
    world.client.write(request)


def batch(world: World) -> None:
    methods = [
        world.dice.pick((*ROUTED, "ping", "tools/list", "tools/call"))
        for _ in range(world.dice.rng.randint(1, 5))
    ]
    allowed = world.core.peer.protocol == "2025-03-26"
    world.client.batch(methods, allowed=allowed, modern=world.dice.chance(0.2))


def rubbish(world: World) -> None:
    world.client.rubbish()


def too_long(world: World) -> None:
    world.client.nulls += 1
    world.happen(events.ClientLineTooLong(1 << 20))
    must(world.client.nulls == 0, "a line that was too long was not answered")


def cancel(world: World) -> None:
    known = [*world.client.open, *KEYS[:3]]
    world.client.cancel(world.dice.pick(known))


def notify(world: World) -> None:
    methods = ("notifications/roots/list_changed", "notifications/progress", "notifications/x")
    world.client.write({"jsonrpc": "2.0", "method": world.dice.pick(methods)})


def answer_question(world: World) -> None:
    open_ones = sorted(world.client.questions)
    number = world.dice.pick([*open_ones, *open_ones, 999, "1"])
    world.client.questions.discard(number)
    members = {"result": {"roots": []}} if world.dice.chance(0.7) else {"error": {"code": 1}}
    world.client.write({"jsonrpc": "2.0", "id": number, **members})
