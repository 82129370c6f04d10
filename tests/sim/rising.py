"""How a worker comes up in a simulated world: step by step, mostly as it should."""

from relay_supervisor.wire import cache, v1
from tests.sim.inbox import listen
from tests.sim.keeper import Grip, Keeper
from tests.sim.model import Worker, must
from tests.sim.setup import WEB
from tests.sim.world import World


def speakers(world: World) -> list[Worker]:
    """The workers that can say something and are heard."""
    if world.unread:
        return []
    return [
        worker
        for worker in world.workers.values()
        if worker.open and worker.phase != "new" and not worker.deaf and not worker.mute
    ]


def configured_workers(world: World) -> list[Worker]:
    """Those of them that have read their configuration."""
    return [worker for worker in speakers(world) if worker.phase == "configured"]


def come_up(world: World) -> None:
    """One of those that are not ready takes its next step."""
    if workers := [worker for worker in speakers(world) if not worker.ready]:
        rise(world, world.dice.pick(workers))


def rise(world: World, worker: Worker) -> None:
    """Take the next step on the way from called to ready."""
    if worker.phase == "called":
        right = world.dice.chance(0.96)
        if right or world.dice.chance(0.5):
            world.welcome(worker, nonce=worker.nonce if right else "wrong")
        else:
            world.welcome(worker, nonce=worker.nonce, version=2)
    elif worker.phase == "told":
        configure(world, worker)
    elif worker.phase == "configured" and not start_backends(world, worker):
        if not worker.settled:
            catalogue(world, worker)
        else:
            get_ready(world, worker)


def configure(world: World, worker: Worker) -> None:
    """Report what the configuration says, and what it is where the relay does not know."""
    setup = worker.setup
    assert setup is not None
    if not worker.has_snapshot:
        world.frame(worker, v1.ConfigRead(), setup.config)
    dice = world.dice
    limits = v1.Limits(
        queue_requests_max=dice.pick((1, 256, 256, 256)),
        queue_bytes_max=dice.pick((200, 1 << 20, 1 << 20, 1 << 20)),
        queue_wait_seconds=dice.pick((0.3, 3.3, 10.0)),
        retained_bytes_max=dice.pick((300, 1 << 20, 1 << 20, 1 << 20)),
        requests_in_flight_max=dice.pick((4, 10_000, 10_000, 10_000)),
        drain_seconds=dice.pick((0.0, 0.5, 5.0)),
        drain_max_seconds=dice.pick((0.5, 5.0, 20.0)),
        probation_seconds=dice.pick((0.0, 0.5, 2.0, 10.0)),
        probation_calls=dice.pick((0, 1, 5, 20)),
        ready_seconds_max=dice.pick((2.0, 10.0, 60.0)),
    )
    worker.phase = "configured"
    message = v1.Configured(setup.infos(), limits, config_digest=setup.digest, adopts=setup.adopts)
    if setup.adopts:
        keeper = world.keepers[worker.generation] = Keeper(world, worker)
        keeper.grips = {name: Grip(name) for name, _ in setup.versions}
    world.frame(worker, message, b"Use it.")
    if worker.open:
        report(world, worker, WEB, "ready")


def start_backends(world: World, worker: Worker) -> bool:
    """One backend gets further; False where all have come as far as they will."""
    setup = worker.setup
    assert setup is not None
    if (keeper := world.keepers.get(worker.generation)) is not None:
        return any(get_on(keeper, grip) for grip in keeper.grips.values())
    for name, _ in setup.versions:
        state = worker.states.get(name)
        if state is None:
            report(world, worker, name, "starting")
            return True
        if state in {"starting", "backing_off"}:
            sick = setup.flaw == "sick backend" and name == "files"
            fate = ("failed",) if sick else ("ready", "ready", "ready", "ready", "backing_off")
            word = world.dice.pick(fate)
            if word == "ready":
                worker.learned.add(name)
                lists = v1.LearnedLists(name, setup.specs[name])
                world.frame(worker, lists, b"lists")
            report(world, worker, name, word)
            return True
    return False


def get_on(keeper: Keeper, grip: Grip) -> bool:
    """A backend that is kept gets further; False where it has come as far as it will."""
    setup = keeper.worker.setup
    assert setup is not None
    if grip.phase == "awaited" and keeper.worker.states.get(grip.name) != "awaited":
        keeper.report(grip, "awaited")
    elif grip.phase == "idle" and setup.flaw == "sick backend" and grip.name == "files":
        grip.phase = "failed"
        keeper.report(grip, "failed")
        keeper.go_on(grip.name)
    elif grip.phase == "idle":
        keeper.spawn(grip)
    elif grip.phase == "spawning":
        return listen(keeper)
    elif grip.phase == "new" and grip.stdin is not None and not grip.stdin.step():
        if grip.server is None or not grip.server.alive:
            return listen(keeper)
        keeper.join(grip)
    else:
        return grip.phase == "new"
    return True


def report(world: World, worker: Worker, name: str, word: str) -> None:
    """Say how a backend is."""
    worker.states[name] = word
    world.frame(worker, v1.BackendState(name, word))


def catalogue(world: World, worker: Worker) -> None:
    """Say what there is by now; it is settled when nothing is on its way."""
    setup = worker.setup
    assert setup is not None
    far = ("failed", "awaited")
    over = [n for n, _ in setup.versions if n in worker.learned or worker.states.get(n) in far]
    settled = len(over) == len(setup.versions)
    worker.settled = worker.settled or settled
    body = setup.body(worker.learned)
    digest = f"{setup.flaw}{setup.digest}{sorted(worker.learned)}"
    world.frame(worker, v1.Catalogue(digest, settled), cache.encode_body(body))


def get_ready(world: World, worker: Worker) -> None:
    """Run the checks, if there are any, and say Ready."""
    setup = worker.setup
    assert setup is not None
    if setup.flaw.endswith("check") or world.dice.chance(0.3):
        good = setup.flaw != "bad check"
        check = v1.CheckResult("files__read", good, 0.1, "" if good else "it said no")
        world.frame(worker, v1.Checked(0, [check]))
    if worker.open and not worker.ready:
        say_ready(world, worker)


def say_ready(world: World, worker: Worker) -> None:
    """Say Ready, now and then for somebody else."""
    if world.dice.chance(0.97):
        worker.ready = True
        world.frame(worker, v1.Ready(worker.generation, worker.nonce))
    else:
        wrong = ((worker.generation + 1, worker.nonce), (worker.generation, "wrong"))
        world.frame(worker, v1.Ready(*world.dice.pick(wrong)))


def run_checks(world: World) -> None:
    """One of those that were asked runs its checks again."""
    asked = [worker for worker in configured_workers(world) if worker.checks is not None]
    if not asked:
        return
    worker = world.dice.pick(asked)
    token, worker.checks = worker.checks or 0, None
    assert worker.setup is not None
    good = worker.setup.flaw != "late bad check"
    swap = world.relay.swaps.probation
    asked_for = swap is not None and (swap.number, swap.new) == (token, worker.generation)
    world.frame(worker, v1.Checked(token, [v1.CheckResult("files__read", good, 0.1)]))
    still = world.relay.swaps.probation is swap
    must(good or not (asked_for and still), f"{worker} failed its checks, and is on probation")
