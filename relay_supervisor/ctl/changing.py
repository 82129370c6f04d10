"""Takes running relays through a swap or a rollback: one after another, the first as canary.

The first failure ends it: the relays after it stay as they are. What is going on goes to a
`Progress`; what has come of it is returned, for people and for programs.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

import click
import msgspec

from relay_supervisor.ctl.conversation import RelayLost, converse
from relay_supervisor.ctl.outcome import NOBODY, SUPERVISOR, Phase, Result, read
from relay_supervisor.ctl.progress import Progress
from relay_supervisor.ctl.relays import NotReached, Relay, Relays, again
from relay_supervisor.ctl.words import clean
from relay_supervisor.wire.control_v1 import Failure, Reply, Request

Args = dict[str, str | int | float | bool | None]

SUCCESSES: Final = ("committed", "probation")

ASKED_FOR: Final = {"reexec": "new supervisor"}
"""What an operation is called where its own name says nothing to people."""

ENDED: Final = "It has ended, so nothing serves there any more"

DYING_SECONDS_MAX: Final = 1.0
DYING_POLL_SECONDS: Final = 0.05


class Change(msgspec.Struct, frozen=True):
    """What came of one relay. `raw` is its own result, `failure` the reason there is none;
    `serving` is a sentence on which version serves now, `release` of which release that is (None:
    not known).
    """

    relay: str
    ok: bool
    serving: str
    raw: dict[str, Any] | None = None
    failure: Failure | None = None
    text: str = ""
    outcome: str = ""
    release: str | None = None

    def words(self) -> str:
        """One line: what happened, and which version serves now."""
        return f"relay {clean(self.relay)}: {self.text} {self.serving}."


class Changes(msgspec.Struct, frozen=True):
    """What came of all relays. `left` are the ids of those that were not begun with, `silent`
    those that do not answer, with the reason.
    """

    done: list[Change]
    left: dict[str, str]
    silent: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether all relays have what was asked for."""
        return all(change.ok for change in self.done) and not self.left and not self.silent

    @property
    def committed(self) -> bool:
        """Whether all relays have it for good."""
        return self.ok and all(change.outcome != "probation" for change in self.done)

    def rest(self) -> list[str]:
        """Return a line for each relay that was not changed."""
        lines = [
            f"relay {clean(name)}: left as it was. {text}." for name, text in self.left.items()
        ]
        for name, reason in self.silent.items():
            lines.append(
                f"relay {clean(name)}: left as it was. It does not answer ({clean(reason)})."
            )
        return lines


def change_all(
    relays: Relays,
    op: str,
    args_for: Callable[[Relay], Args],
    progress: Progress,
    *,
    done: Callable[[Change], None],
    tick: Callable[[Phase], None] = lambda phase: None,
) -> Changes:
    """Change the relays one after another until one fails. *done* gets each as it is done, *tick*
    is called several times a second with the phase the relay is in, and may raise to stop waiting.
    """
    changes: list[Change] = []
    for number, relay in enumerate(relays.relays):
        prefix = f"relay {relay.id}: " if len(relays.relays) > 1 else ""
        change = change_one(relay, Request(op, args=args_for(relay)), progress, prefix, tick)
        changes.append(change)
        done(change)
        if not change.ok:
            rest = relays.relays[number + 1 :]
            left = {one.id: f"Still serving: {one.serving()}" for one in rest}
            return Changes(changes, left, relays.silent)
    return Changes(changes, {}, relays.silent)


def change_one(
    relay: Relay,
    request: Request,
    progress: Progress,
    prefix: str,
    tick: Callable[[Phase], None],
) -> Change:
    """Change one relay, and wait for its final answer."""
    phase = Phase()
    progress.step(f"{prefix}asking for a {ASKED_FOR.get(request.op, request.op)}")
    try:
        with contextlib.closing(converse(relay.path, request)) as replies:
            for reply in replies:
                if reply is not None and reply.done:
                    return _changed(relay, request.op, reply)
                if reply is not None:
                    phase = read(bytes(reply.result), Phase)
                    progress.step(prefix + phase.words())
                tick(phase)
    except (RelayLost, ValueError) as error:
        return _failed(relay, request.op, Failure("lost", str(error)))
    raise AssertionError("a conversation ends with an answer or an exception")


def _changed(relay: Relay, op: str, reply: Reply) -> Change:
    if reply.error is not None:
        return _failed(relay, op, reply.error)
    raw: dict[str, Any] = read(bytes(reply.result), dict[str, Any])
    result: Result = read(bytes(reply.result), Result)
    serving = result.serving
    if serving is not None and serving.generation is None:
        serving = None  # an empty object: nobody serves
    words = serving.words() if serving else ""
    if result.supervisor is not None and result.kind == SUPERVISOR:
        words = f"supervisor {result.supervisor.words()}, worker {words or NOBODY}"
    said = f"Now serving: {words}" if words else ""
    return Change(
        relay=relay.id,
        ok=result.outcome in SUCCESSES or result.went_back(op),
        serving=ENDED if result.ending else said or _serving(relay, op),
        raw=raw,
        text=result.words(op),
        outcome=result.outcome,
        release=serving.release if serving else None,
    )


def _failed(relay: Relay, op: str, failure: Failure) -> Change:
    text = clean(failure.message).rstrip(".") + "."
    return Change(relay.id, ok=False, serving=_serving(relay, op), failure=failure, text=text)


def _serving(relay: Relay, op: str) -> str:
    """Ask which version serves; what served before is a guess, and said to be one. A relay that is
    just being killed has hung up on us before nobody is there any more.
    """
    until = time.monotonic() + DYING_SECONDS_MAX
    while True:
        try:
            now = again(relay)
        except NotReached:
            return ENDED
        except click.ClickException:
            now = None
        if now is not None:
            return f"Now serving: {_words(now, op)}"
        if time.monotonic() >= until:
            return f"Which version serves now is not known; before it was: {_words(relay, op)}"
        time.sleep(DYING_POLL_SECONDS)


def _words(relay: Relay, op: str) -> str:
    if op == "reexec":
        return f"supervisor {relay.supervisor()}, worker {relay.serving()}"
    return relay.serving()
