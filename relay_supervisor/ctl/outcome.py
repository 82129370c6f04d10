"""What a relay says about a swap: the shapes, read leniently, and how they are put into words.

Add-only, as a relay may be older or newer than relayctl. Seconds are wall-clock durations.
"""

from typing import Any, Final

import msgspec

from relay_supervisor.ctl.words import clean, count, seconds

WORKER: Final = "worker"
SUPERVISOR: Final = "supervisor"
"""What a swap replaces."""

NAMES_MAX: Final = 8
"""Tools that are named in a line; `relayctl report` has all of them."""

NOBODY: Final = "no worker serves at the moment"


class Version(msgspec.Struct, frozen=True):
    """Which code runs: `release` is a name under `releases/`, or empty for the environment the
    relay itself is installed in; `build` is the code's version and digest.
    """

    generation: int | None = None
    release: str = ""
    build: str = ""

    def words(self) -> str:
        """`0.2.0+1a2b3c4d (release 0.2.0-4f5e6d7, generation 3)`."""
        name = self.build or self.release or "a worker"
        within = [] if self.release in {"", name} else [f"release {self.release}"]
        if self.generation is not None:
            within.append(f"generation {self.generation}")
        return clean(f"{name} ({', '.join(within)})" if within else name)


class Tools(msgspec.Struct, frozen=True):
    """How the tools the client sees have changed."""

    kept: int = 0
    added: list[str] = []
    lost: list[str] = []

    def words(self) -> str:
        """`97 tools kept, 2 added (a, b), 1 lost (c)`; nothing is said of what there is none of."""
        parts = [f"{count(self.kept, 'tool')} kept"]
        for names, verb in ((self.added, "added"), (self.lost, "lost")):
            if names:
                more = len(names) - NAMES_MAX
                shown = [*names[:NAMES_MAX], *([f"and {more} more"] if more > 0 else [])]
                parts.append(f"{len(names)} {verb} ({clean(', '.join(shown))})")
        return ", ".join(parts)


class Result(msgspec.Struct, frozen=True):
    """The final answer to `swap` or `rollback`."""

    outcome: str
    id: str = ""
    op: str = "swap"
    """What the swap was begun by: swap or rollback."""
    reason: str = ""
    from_: Version | None = msgspec.field(default=None, name="from")
    to: Version | None = None
    seconds: float = 0.0
    serving: Version | None = None
    tools: Tools | None = None
    calls_at_cut_over: int = 0
    kind: str = WORKER
    supervisor: Version | None = None
    ending: bool = False
    """The relay ends, and its swap with it."""

    def went_back(self, op: str) -> bool:
        """Tell whether a rollback has ended a swap. One that was a swap of its own is not done if
        it is rolled back: then the version that was to be left serves again.
        """
        return (op, self.op, self.outcome) == ("rollback", "swap", "rolled_back")

    def words(self, op: str) -> str:
        """One sentence or more on how *op* went, without what serves now."""
        if self.kind == SUPERVISOR:
            return self._supervisor_words()
        ended = DONE if self.went_back(op) else outcome(self.outcome)
        text = f"{op} {ended} after {seconds(self.seconds)}"
        if self.reason:
            text += f": {clean(self.reason).rstrip('.')}"
        facts = []
        if self.tools is not None and self.outcome != "failed":
            facts.append(self.tools.words())
        elif self.tools is not None and (self.tools.added or self.tools.lost):
            facts.append(f"With it: {self.tools.words()}")
        if self.calls_at_cut_over:
            facts.append(f"{count(self.calls_at_cut_over, 'call')} under way at the cut-over")
        return ". ".join([text, *facts]) + "."

    def _supervisor_words(self) -> str:
        took = f"after {seconds(self.seconds)}"
        if self.outcome != "committed":
            return f"supervisor not replaced {took}: {clean(self.reason).rstrip('.')}."
        calls = f"{count(self.calls_at_cut_over, 'call')} under way went on."
        return f"supervisor replaced {took}." + (f" {calls}" if self.calls_at_cut_over else "")


DONE: Final = "done"
_OUTCOMES: Final = {
    "committed": "committed",
    "probation": "on probation",
    "rolled_back": "rolled back",
    "failed": "failed",
}


def outcome(word: str) -> str:
    """Return an outcome as people say it."""
    return _OUTCOMES.get(word) or clean(word)


class Phase(msgspec.Struct, frozen=True):
    """One line of progress: the phase that has begun, *seconds* after the swap did."""

    phase: str = "?"
    seconds: float = 0.0
    text: str = ""

    def words(self) -> str:
        """`warming  0.12 s  generation 4`."""
        return clean(f"{self.phase:<12} {seconds(self.seconds):>7}  {self.text}")


def read(raw: bytes, shape: type[Any]) -> Any:
    """Return the JSON text *raw* as *shape*.

    Raises:
        ValueError: it has not that shape.
    """
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"its answer has not the shape agreed on: {error}") from error
