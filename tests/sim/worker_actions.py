"""What workers, their backends and any child can do in a simulated world, sound or not."""

import json

import msgspec

from relay_supervisor.core import events
from relay_supervisor.wire import cache, v1
from tests.sim.client import META
from tests.sim.model import Worker, must
from tests.sim.world import World
from tests.unit.relay_supervisor.core.driver import BODY

BACKENDS = [v1.BackendInfo("files", "stdio"), v1.BackendInfo("slow", "stdio", 5.0)]
QUESTIONS = ("elicitation/create", "roots/list", "sampling/createMessage", "tools/call")


def awake_worker(world: World) -> Worker | None:
    """The newest worker, if its pipe is open and it may speak."""
    worker = world.workers.get(max(world.workers, default=0))
    return worker if worker is not None and worker.open and worker.phase != "new" else None


def serving_worker(world: World) -> Worker | None:
    """The newest worker, if it is configured."""
    worker = awake_worker(world)
    return worker if worker is not None and worker.phase == "configured" else None


def come_up(world: World) -> None:
    worker = awake_worker(world)
    if worker is None:
        return
    if worker.phase == "called":
        world.welcome(worker, nonce=worker.nonce if world.dice.chance(0.95) else "wrong")
    elif worker.phase == "welcomed":
        worker.phase = "configured"
        limits = v1.Limits(
            queue_requests_max=world.dice.pick((1, 3, 256)),
            queue_bytes_max=world.dice.pick((200, 1 << 20)),
            queue_wait_seconds=world.dice.pick((0.3, 3.3, 10.0)),
            retained_bytes_max=world.dice.pick((300, 1 << 20)),
            requests_in_flight_max=world.dice.pick((4, 10_000)),
        )
        world.frame(worker, v1.Configured(BACKENDS, limits), b"Use it.")


def catalogue(world: World) -> None:
    if (worker := serving_worker(world)) is None:
        return
    count = world.dice.rng.randint(0, 2)
    body = cache.Body(tools=BODY.tools[:count], resources=BODY.resources[: world.dice.pick((0, 1))])
    message = v1.Catalogue(f"d{count}{len(body.resources)}", settled=world.dice.chance(0.7))
    world.frame(worker, message, cache.encode_body(body))


def reply(world: World) -> None:
    """Answer a call; where the client still wants it, it gets just that."""
    worker = serving_worker(world)
    if worker is None or not worker.calls:
        return
    number = world.dice.pick(worker.calls)
    sent = worker.calls.pop(number)
    worker.answered.append(number)
    asked = [a for a in world.client.open.values() if a.marker == sent.marker and a.marker]
    before = len(world.client.received)
    if world.dice.chance(0.8):
        members = msgspec.json.encode({"result": {"call": number, "marker": sent.marker}})[1:]
        world.frame(worker, v1.Reply(number, v1.OUTCOME_RESULT), members)
    else:
        members = b'"error":{"code":1,"message":"of the backend"}}'
        world.frame(worker, v1.Reply(number, v1.OUTCOME_BACKEND_ERROR), members)
    told = world.client.received[before:]
    must(len(asked) == 1, f"{sent} was cancelled, and the worker not told")
    if not asked[0].batch:
        must([answer.get("id") for answer in told] == [asked[0].key], f"{sent}: client got {told}")


def reply_again(world: World) -> None:
    """Answer what is answered, or was never asked: nobody may notice."""
    if (worker := serving_worker(world)) is None:
        return
    number = world.dice.pick([*worker.answered[-5:], 10**9])
    unheard(world, worker, v1.Reply(number, v1.OUTCOME_RESULT), b'"result":{}}')


def progress(world: World) -> None:
    worker = serving_worker(world)
    if worker is None:
        return
    if not worker.calls or world.dice.chance(0.3):
        number = world.dice.pick([*worker.answered[-5:], 10**9])
        unheard(world, worker, v1.Progress(number), b'{"progress":1}')
    else:
        number = world.dice.pick(worker.calls)
        world.frame(worker, v1.Progress(number), b'{"progress":1}')


def routed(world: World) -> None:
    """Say whose call it is; for one that is answered, nobody may notice."""
    if (worker := serving_worker(world)) is None:
        return
    number = world.dice.pick([*worker.calls, *worker.answered[-5:], 10**9])
    message = v1.Routed(number, world.dice.pick(("files", "slow", "unheard of")))
    unheard(world, worker, message, b"")


def unheard(world: World, worker: Worker, message: v1.Message, payload: bytes) -> None:
    """Send what must change nothing."""
    event = events.WorkerFrame(worker.generation, v1.encode(message), payload)
    must(world.happen(event) == [], f"{message} of generation {worker.generation} was heard")


def late_frame(world: World) -> None:
    """What a lost worker still had in its pipe: nobody may notice."""
    gone = [w for w in world.workers.values() if not w.open and w.phase == "lost"]
    if not gone:
        return
    worker = world.dice.pick(gone)
    number = world.dice.pick([*worker.calls, *worker.answered, 1])
    message, payload = world.dice.pick(
        (
            (v1.Reply(number, v1.OUTCOME_RESULT), b'"result":{}}'),
            (v1.Catalogue("late", settled=True), cache.encode_body(cache.Body())),
            (v1.StatusRequest(1), b""),
            (v1.BackendRequest("files", b"1", 1, "roots/list"), b""),
            (v1.Configured([], v1.Limits()), b""),
        )
    )
    unheard(world, worker, message, payload)


def report(world: World) -> None:
    if (worker := serving_worker(world)) is None:
        return
    uri = b'{"uri":"file:///a"}'
    message, payload = world.dice.pick(
        (
            (v1.BackendState("files", "ready", 1), b""),
            (v1.LearnedLists("files", "h"), b"lists"),
            (v1.Notification("files", "notifications/message"), b'{"level":"info","data":1}'),
            (v1.Notification("files", "notifications/resources/updated"), uri),
            (v1.StatusRequest(7), b""),
            (v1.Pong(1), b""),
        )
    )
    world.frame(worker, message, payload)


def ready(world: World) -> None:
    if (worker := serving_worker(world)) is not None:
        world.frame(worker, v1.Ready(worker.generation, worker.nonce))


def question(world: World) -> None:
    """A backend asks the client."""
    if (worker := serving_worker(world)) is None:
        return
    worker.tokens += 1
    backend_id = b'"g%d-%d"' % (worker.generation, worker.tokens)
    pid = world.dice.pick([*world.children])
    worker.asks[backend_id] = pid
    method = world.dice.pick(QUESTIONS)
    world.frame(worker, v1.BackendRequest("files", backend_id, pid, method), b'{"message":"?"}')


def withdraw(world: World) -> None:
    worker = serving_worker(world)
    if worker is None or not worker.asks:
        return
    backend_id = world.dice.pick(worker.asks)
    pid = worker.asks.pop(backend_id)
    payload = world.dice.pick((b"", b'{"reason":"late"}', b"[]"))
    world.frame(worker, v1.BackendCancel("files", backend_id, pid), payload)


def spawn(world: World) -> None:
    if (worker := serving_worker(world)) is None or len(world.children) > 20:
        return
    worker.tokens += 1
    worker.spawns.add(worker.tokens)
    name = world.dice.pick(("files", "slow"))
    world.frame(worker, v1.Spawn(worker.tokens, name, ["server"], {}, "/project"))


def stop_backend(world: World) -> None:
    worker = serving_worker(world)
    if worker is None:
        return
    child = world.dice.pick(world.children.values())
    world.frame(worker, v1.StopBackend(world.dice.pick(("files", "slow")), child.pid))


def die(world: World) -> None:
    """Any child ends by itself."""
    if world.children:
        child = world.dice.pick(world.children.values())
        world.die(child, world.dice.pick((0, 1, 64, -9, -11)))


def break_pipe(world: World) -> None:
    """The newest worker closes its pipe, or says what nobody understands."""
    if (worker := awake_worker(world)) is None:
        return
    if world.dice.chance(0.5):
        world.happen(events.WorkerPipeFailed(worker.generation, "it closed its pipe"))
    else:
        header = world.dice.pick((b"", b"\xc1", b"\x91\x44", b"\x92\x46\xa1\xff", b"\x91" * 3000))
        world.happen(events.WorkerFrame(worker.generation, header, b""))


def newer_message(world: World) -> None:
    if (worker := serving_worker(world)) is not None:
        header = msgspec.msgpack.encode([200, {"new": json.dumps(META)}])
        world.happen(events.WorkerFrame(worker.generation, header, b""))
