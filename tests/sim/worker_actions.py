"""What workers, their backends and any child can do in a simulated world, sound or not."""

import json

import msgspec

from relay_supervisor.core import events
from relay_supervisor.wire import cache, v1
from relay_supervisor.wire.ledger import Stage
from tests.sim.client import META
from tests.sim.model import Sent, Worker, must
from tests.sim.rising import configured_workers, speakers
from tests.sim.rising import report as report_state
from tests.sim.world import World

QUESTIONS = ("elicitation/create", "roots/list", "sampling/createMessage", "tools/call")


def some_worker(world: World) -> Worker | None:
    """A worker that is configured and heard."""
    workers = configured_workers(world)
    return world.dice.pick(workers) if workers else None


def some_plain_worker(world: World) -> Worker | None:
    """One of those that do not keep backends: what the others do is in `custody_actions`."""
    workers = [w for w in configured_workers(world) if w.generation not in world.keepers]
    return world.dice.pick(workers) if workers else None


# ---- calls --------------------------------------------------------------------------------------


def carry(world: World) -> None:
    """A call gets further on its way to the backend, and its ledger with it."""
    if (worker := some_worker(world)) is not None and worker.calls:
        sent = world.dice.pick(worker.calls.values())
        sent.stage = min(sent.stage + 1, Stage.WRITTEN)


def reply(world: World) -> None:
    """Answer a call; where the client still wants it, it gets just that."""
    busy = [worker for worker in configured_workers(world) if worker.calls]
    if busy:
        worker = world.dice.pick(busy)
        number = world.dice.pick(worker.calls)
        answer(world, worker, number)


def last_words(world: World) -> None:
    """A worker that was given up, and is not dead, has answered a call: that counts."""
    alive = {child.generation for child in world.children.values() if not child.backend}
    lost = [w for w in world.workers.values() if w.generation in alive and not w.open and w.calls]
    if lost and not world.unread:
        worker = world.dice.pick(lost)
        number = world.dice.pick(worker.calls)
        if worker.setup is not None:
            answer(world, worker, number)


def answer(world: World, worker: Worker, number: int) -> None:
    """Answer this call, as the release of the worker does it."""
    sent = worker.calls.pop(number)
    worker.answered.append(number)
    asked = world.client.by_marker(sent.marker)
    held = world.core.calls.get(number)
    wanted = asked is not None and held is not None and held.generation == worker.generation
    must(wanted or not worker.open, "{} was cancelled, and the worker not told", sent)
    before = len(world.client.received)
    flaw = worker.setup.flaw if worker.setup is not None else ""
    good = world.dice.chance(0.1 if flaw == "relay errors" else 0.8)
    if wanted:
        world.watch.answer(worker.generation, failed=bool(flaw) and not good)
    if good:
        members = msgspec.json.encode({"result": {"call": number, "marker": sent.marker}})[1:]
        world.frame(worker, v1.Reply(number, v1.OUTCOME_RESULT), members)
    else:
        outcome = v1.OUTCOME_RELAY_ERROR if flaw else v1.OUTCOME_BACKEND_ERROR
        members = b'"error":{"code":1,"message":"of the backend"}}'
        world.frame(worker, v1.Reply(number, outcome), members)
    note_subscription(worker, asked.method if asked else "", sent, world)
    if wanted and asked is not None and not (asked.batch or asked.parked):
        ids = [m.get("id") for m in world.client.received[before:] if "method" not in m]
        must(asked.key in ids, "{}: the client did not get the answer", sent)


def note_subscription(worker: Worker, method: str, sent: Sent, world: World) -> None:
    """Whoever carried out a subscription knows of it, by itself."""
    if method in {"resources/subscribe", "resources/unsubscribe"}:
        worker.uris = set(world.core.peer.subscriptions())


def reply_again(world: World) -> None:
    """Answer what is answered, or was never asked: nobody may notice."""
    if (worker := some_worker(world)) is not None:
        number = world.dice.pick([*worker.answered[-5:], 10**9])
        unheard(world, worker, v1.Reply(number, v1.OUTCOME_RESULT), b'"result":{}}')


def meddle(world: World) -> None:
    """Answer what another worker has been given: nobody may notice."""
    worker = some_worker(world)
    if worker is None:
        return
    calls = world.core.calls.items()
    if others := [n for n, call in calls if call.generation != worker.generation]:
        number = world.dice.pick(others)
        message = world.dice.pick((v1.Reply(number, v1.OUTCOME_RESULT), v1.Progress(number)))
        payload = b'"result":{}}' if isinstance(message, v1.Reply) else b'{"progress":9}'
        unheard(world, worker, message, payload)


def progress(world: World) -> None:
    worker = some_plain_worker(world)
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
    if (worker := some_plain_worker(world)) is not None:
        number = world.dice.pick([*worker.calls, *worker.answered[-5:], 10**9])
        message = v1.Routed(number, world.dice.pick(("files", "slow", "unheard of")))
        unheard(world, worker, message, b"")


def unheard(world: World, worker: Worker, message: v1.Message, payload: bytes) -> None:
    """Send what must change nothing."""
    event = events.WorkerFrame(worker.generation, v1.encode(message), payload)
    must(world.happen(event) == [], "{} of generation {} was heard", message, worker.generation)


def late_frame(world: World) -> None:
    """What a lost worker still had in its pipe, answers apart: nobody may notice."""
    gone = [w for w in world.workers.values() if not w.open and w.phase == "lost"]
    if not gone:
        return
    worker = world.dice.pick(gone)
    held = world.core.calls
    number = world.dice.pick([*(n for n in worker.answered if n not in held), 10**9])
    messages: list[tuple[v1.Message, bytes]] = [
        (v1.Reply(number, v1.OUTCOME_RESULT), b'"result":{}}'),
        (v1.Catalogue("late", settled=True), cache.encode_body(cache.Body())),
        (v1.StatusRequest(1), b""),
        (v1.Configured([], v1.Limits()), b""),
        (v1.Ready(worker.generation, worker.nonce), b""),
        (v1.Progress(number), b'{"progress":1}'),
    ]
    if worker.generation not in world.keepers:
        messages.append((v1.BackendRequest("files", b"1", 1, "roots/list"), b""))
    message, payload = world.dice.pick(messages)
    unheard(world, worker, message, payload)


# ---- reports ------------------------------------------------------------------------------------


def report(world: World) -> None:
    if (worker := some_worker(world)) is None or worker.setup is None:
        return
    uri = b'{"uri":"file:///a"}'
    message, payload = world.dice.pick(
        (
            (v1.LearnedLists("files", worker.setup.specs["files"]), b"lists"),
            (v1.Notification("files", "notifications/message"), b'{"level":"info","data":1}'),
            (v1.Notification("files", "notifications/resources/updated"), uri),
            (v1.StatusRequest(7), b""),
            (v1.Pong(1), b""),
        )
    )
    world.frame(worker, message, payload)


def remote_news(world: World) -> None:
    """A worker has a session with the remote server, or has seen a link of its."""
    if (worker := some_worker(world)) is not None:
        world.dice.pick((world.remote.begins_session, world.remote.sees_link))(worker)


def backend_changes(world: World) -> None:
    """A backend falls, or gets well again."""
    if (worker := some_plain_worker(world)) is not None and worker.states:
        name = world.dice.pick(worker.states)
        report_state(world, worker, name, world.dice.pick(("ready", "backing_off", "failed")))


def drop_a_tool(world: World) -> None:
    """The backends of the active worker have other tools from now on, by themselves."""
    active = world.relay.shared.workers.state.active
    worker = world.workers.get(active or 0)
    if worker is None or worker not in configured_workers(world) or worker.setup is None:
        return
    body = worker.setup.body(worker.learned)
    fewer = cache.Body(tools=body.tools[1:], capabilities=body.capabilities)
    message = v1.Catalogue(f"dropped {worker.generation}", settled=world.dice.chance(0.7))
    world.frame(worker, message, cache.encode_body(fewer))


def question(world: World) -> None:
    """A backend asks the client."""
    if (worker := some_plain_worker(world)) is None:
        return
    worker.tokens += 1
    backend_id = b'"g%d-%d"' % (worker.generation, worker.tokens)
    pid = world.dice.pick([pid for pid in world.children if pid not in world.servers])
    worker.asks[backend_id] = pid
    method = world.dice.pick(QUESTIONS)
    call = world.dice.pick([0, *worker.calls]) if world.streams else 0
    asked = v1.BackendRequest("files", backend_id, pid, method, 0, call)
    world.frame(worker, asked, b'{"message":"?"}')


def withdraw(world: World) -> None:
    worker = some_plain_worker(world)
    if worker is None or not worker.asks:
        return
    backend_id = world.dice.pick(worker.asks)
    pid = worker.asks[backend_id]
    if world.relay.ending.pace is None:  # later it is not heard any more
        del worker.asks[backend_id]
    payload = world.dice.pick((b"", b'{"reason":"late"}', b"[]"))
    world.frame(worker, v1.BackendCancel("files", backend_id, pid), payload)


def newer_message(world: World) -> None:
    """A message of a release to come: skipped."""
    if (worker := some_worker(world)) is not None:
        header = msgspec.msgpack.encode([200, {"new": json.dumps(META)}])
        world.happen(events.WorkerFrame(worker.generation, header, b""))


# ---- processes ----------------------------------------------------------------------------------


def spawn(world: World) -> None:
    if (worker := some_plain_worker(world)) is None or len(world.children) > 20:
        return
    worker.tokens += 1
    worker.spawns.add(worker.tokens)
    name = world.dice.pick(("files", "slow"))
    world.frame(worker, v1.Spawn(worker.tokens, name, ["server"], {}, "/project"))


def stop_backend(world: World) -> None:
    if (worker := some_plain_worker(world)) is not None:
        child = world.dice.pick(world.children.values())
        world.frame(worker, v1.StopBackend(world.dice.pick(("files", "slow")), child.pid))


def die(world: World) -> None:
    """Any child ends by itself."""
    if world.children:
        child = world.dice.pick(world.children.values())
        world.die(child, world.dice.pick((0, 1, 64, -9, -11)))


def active_dies(world: World) -> None:
    """The worker that serves is killed."""
    active = world.relay.shared.workers.active()
    if active is not None and active.pid in world.children:
        world.die(world.children[active.pid], -9)


def break_pipe(world: World) -> None:
    """A worker breaks its pipe, or says what nobody understands."""
    if not (workers := speakers(world)):
        return
    worker = world.dice.pick(workers)
    fate = world.dice.rng.randrange(3)
    if fate == 0:
        world.happen(events.WorkerPipeFailed(worker.generation, "it broke its pipe"))
    elif fate == 1:
        worker.mute = True
        world.happen(events.WorkerPipeClosed(worker.generation))
    else:
        header = world.dice.pick((b"", b"\xc1", b"\x91\x44", b"\x92\x46\xa1\xff", b"\x91" * 3000))
        world.happen(events.WorkerFrame(worker.generation, header, b""))


def stop_worker(world: World) -> None:
    """A worker is stopped, or busy in a loop that never ends: it is not heard of."""
    if workers := speakers(world):
        world.dice.pick(workers).deaf = True


def wake_worker(world: World) -> None:
    """One that was stopped goes on."""
    if deaf := [worker for worker in world.workers.values() if worker.deaf]:
        world.dice.pick(deaf).deaf = False
