"""A client under load: many calls of mixed kinds in flight, each checked when it is answered.

Seeded: `Load(…, seed)` makes the same calls again. What it finds wrong is an AssertionError.
"""

import hashlib
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness import Frame, RawClient, json_of, side_effects, text_of

MIB = 1 << 20
IN_FLIGHT = 64
ANSWER_SECONDS = 60.0
STEPS = 4
SIZES = (0, 1, 100, 4_096, 65_000, 66_000, 300_000, MIB, 3 * MIB, 10 * MIB)
SIZE_WEIGHTS = (10, 10, 40, 30, 10, 10, 10, 3, 1, 1)


@dataclass
class Pending:
    """A call that was sent, and how its answer has to be."""

    request_id: Any
    backend: str
    check: Callable[[dict[str, Any]], None]
    tag: str = ""
    token: Any = None


@dataclass
class Load:
    """Calls over these backends of `client`. `lost_allowed` names those that may die meanwhile."""

    client: RawClient
    backends: list[str]
    seed: int
    lost_allowed: frozenset[str] = frozenset()
    tags: list[str] = field(default_factory=list)
    done_tags: set[str] = field(default_factory=set)
    lost: int = 0
    answered: int = 0
    cancelled: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._open: deque[Pending] = deque()
        self._groups = 0
        self._kinds: list[tuple[int, Callable[[], None]]] = [
            (8, self._echo),
            (4, self._big),
            (8, self._counter),
            (4, self._slow),
            (2, self._group),
            (4, self._cancelled_call),
        ]

    def run(self, calls: int, each: Callable[[int], object] = lambda done: None) -> None:
        """Make so many calls, 64 in flight, and wait for all; each(done) after every answer."""
        wanted = self.answered + calls
        weights = [weight for weight, _ in self._kinds]
        while self.answered + len(self._open) < wanted or self._open:
            while len(self._open) < IN_FLIGHT and self.answered + len(self._open) < wanted:
                self._random.choices(self._kinds, weights)[0][1]()
            self._settle(self._open.popleft())
            each(self.answered)

    # ---- kinds of calls ---------------------------------------------------------------------

    def _echo(self) -> None:
        """Large both ways: what was sent comes back."""
        size = self._random.choices(SIZES, SIZE_WEIGHTS)[0]
        fill = f"{self._random.random():.12f}" * (size // 14 + 1)
        digest = hashlib.sha256(fill.encode()).digest()

        def check(result: dict[str, Any]) -> None:
            structured = result["structuredContent"]["fill"]
            assert hashlib.sha256(structured.encode()).digest() == digest
            assert len(text_of(result)) == len(fill) + len('{"fill":""}')

        self._start("echo", {"fill": fill}, check)

    def _big(self) -> None:
        """Large on the way back."""
        size = self._random.choices(SIZES, SIZE_WEIGHTS)[0]
        fill = f"<{self._random.randrange(10**9)}>"

        def check(result: dict[str, Any]) -> None:
            assert text_of(result) == (fill * (size // len(fill) + 1))[:size]

        self._start("big", {"bytes": size, "fill": fill}, check)

    def _counter(self) -> None:
        """A side effect, and an answer some time later: later calls overtake it."""
        arguments = {"tag": self._tag(), "seconds": self._random.choice((0, 0.01, 0.05, 0.15))}

        def check(result: dict[str, Any]) -> None:
            assert json_of(result)["count"] > 0

        self._start("counter", arguments, check, tag=arguments["tag"])

    def _slow(self) -> None:
        """Progress on the way, under a token of either type."""
        token = self._tag() if self._random.random() < 0.5 else self._random.randrange(1, 1 << 50)
        arguments = {"seconds": 0.1, "steps": STEPS, "tag": str(token)}

        def check(result: dict[str, Any]) -> None:
            assert text_of(result) == f"slow {token}"

        self._start("slow", arguments, check, token=token)

    def _group(self) -> None:
        """Some calls that the backend answers last first."""
        self._groups += 1
        backend, group = self._random.choice(self.backends), f"g{self._groups}"
        if backend in self.lost_allowed:
            return  # a group that lost a member waits for ever, which is the fixture's doing
        size = self._random.randrange(2, 6)
        for number in range(size):
            arguments = {"group": group, "size": size, "number": number}

            def check(result: dict[str, Any], expected: dict[str, Any] = arguments) -> None:
                assert json_of(result) == expected

            self._start("reply_out_of_order", arguments, check, backend=backend)

    def _cancelled_call(self) -> None:
        """A call that is cancelled at once, or a little later; its effect may have happened."""
        backend, tag = self._random.choice(self.backends), self._tag()
        tool = self._random.choice(("hang", "counter", "slow"))
        request_id = self.client.start_tool(f"{backend}__{tool}", {"tag": tag, "seconds": 0.2})
        for _ in range(self._random.randrange(3)):
            self._echo()
        self.client.cancel(request_id)
        self.cancelled += 1

    # ---- their answers ----------------------------------------------------------------------

    def _tag(self) -> str:
        self.tags.append(f"t{self.seed}.{len(self.tags)}")
        return self.tags[-1]

    def _start(
        self,
        tool: str,
        arguments: dict[str, Any],
        check: Callable[[dict[str, Any]], None],
        *,
        backend: str = "",
        tag: str = "",
        token: Any = None,
    ) -> None:
        backend = backend or self._random.choice(self.backends)
        request_id = self.client.start_tool(f"{backend}__{tool}", arguments, progress_token=token)
        self._open.append(Pending(request_id, backend, check, tag, token))

    def _settle(self, pending: Pending) -> None:
        answer = self.client.response(pending.request_id, ANSWER_SECONDS)
        self.answered += 1
        result = answer.result
        if result.get("isError"):
            assert pending.backend in self.lost_allowed, text_of(result)
            assert pending.backend in text_of(result), "the error does not name the backend"
            self.lost += 1
            return
        pending.check(result)
        if pending.tag:
            self.done_tags.add(pending.tag)
        if pending.token is not None:
            self._check_progress(pending.token)
        forget(self.client, answer)

    def _check_progress(self, token: Any) -> None:
        seen = [
            (params["progress"], params["total"])
            for params in self.client.notifications("notifications/progress")
            if type(params["progressToken"]) is type(token) and params["progressToken"] == token
        ]
        assert seen == [(step, STEPS) for step in range(1, STEPS + 1)]

    def check_effects(self, log: Path) -> None:
        """Nothing ran twice, and what was answered with a result ran."""
        runs = Counter(entry["tag"] for entry in side_effects(log))
        twice = [tag for tag, times in runs.items() if times > 1]
        assert not twice, f"run twice: {twice[:5]}"
        assert self.done_tags <= set(runs) <= set(self.tags)


def forget(client: RawClient, answer: Frame) -> None:
    """Free the memory of a large answer that was checked; that it came once stays known."""
    if len(answer.raw) > MIB:
        with client._changed:
            client._record.frames.remove(answer)
