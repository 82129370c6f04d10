"""Two workers on stage, between which a backend goes with its process running."""

import gc
import os
from collections.abc import Callable
from typing import Any

from relay_supervisor.wire import v1
from relay_supervisor.wire.custody import Custody, decode
from relay_worker.backends.base import State
from tests.unit.relay_worker.backends.stage import Process, Stage

Make = Callable[..., Stage]


def custody_of(stage: Stage, kind: type[v1.Message] = v1.Frozen) -> Custody:
    custody = decode(stage.payloads[kind])
    assert custody is not None
    return custody


def heir(stage: Make, **plan: Any) -> Stage:
    """A worker that waits for the backend."""
    one = stage(client=False, generation=4, **plan)
    one.backend.expect()
    one.introduce()
    assert one.backend.state is State.AWAITED and one.sent == []
    return one


def hand(giver: Stage, taker: Stage, process: Process, *calls: int) -> v1.Frozen:
    """Have a process go from one worker to another."""
    frozen = giver.freeze()
    assert frozen.pid == process.pid and giver.backend.state is State.AWAITED
    taker.adopt(process, giver.payloads[v1.Frozen], *calls)
    assert taker.sent.count(v1.Adopted("fix", process.pid)) == giver.count(v1.Frozen)
    return frozen


def replies(stage: Stage) -> list[tuple[int, bytes]]:
    return [told[1:] for told in stage.told if told[0] == "replied"]


def descriptors() -> int:
    """Return how many are open, without those that only wait to be collected."""
    gc.collect()
    return len(os.listdir("/dev/fd"))
