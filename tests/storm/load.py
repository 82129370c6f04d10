"""Calls in flight under a storm: which answers are right, which are honest, which are neither."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.harness import Frame, RawClient, RpcError, json_of, side_effects, text_of

IN_FLIGHT: Final = 64
ANSWER_SECONDS: Final = 60.0
SIZES: Final = (0, 100, 4_000, 70_000, 2 << 20)
SIZE_WEIGHTS: Final = (10, 40, 30, 10, 1)
UNKNOWN: Final = "The outcome is unknown"


class Tally:
    """What came of the calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.unknown = 0
        self.wrong: list[str] = []
        self.latencies: list[float] = []
        self.times: list[float] = []

    def gap(self) -> float:
        """The longest time without any answer, in seconds."""
        times = sorted(self.times)
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)

    def percentile(self, share: float) -> float:
        """A percentile of the latencies, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Load:
    """Keeps 64 calls in flight and checks every answer."""

    def __init__(self, client: RawClient, backends: list[str], seed: int) -> None:
        self.client = client
        self.tally = Tally()
        self.done: set[str] = set()
        self._backends = backends
        self._random = random.Random(seed)
        self._seed = seed
        self._tags = 0
        self._open: dict[Any, tuple[Callable[[Frame], None], float]] = {}

    def run(self, until: float) -> None:
        """Go on until a time of the monotonic clock, then wait for what is open."""
        self._run(lambda: time.monotonic() < until)

    def make(self, calls: int) -> None:
        """Make so many calls, the same ones with the same seed, and wait for them."""
        self._run(lambda: self.tally.calls < calls)

    def _run(self, more: Callable[[], bool]) -> None:
        while more() or self._open:
            while len(self._open) < IN_FLIGHT and more():
                self._random.choice((self._echo, self._big, self._count, self._wait))()
            self._settle()

    def _echo(self) -> None:
        size = self._random.choices(SIZES, SIZE_WEIGHTS)[0]
        text = f"{self._random.random():.12f}" * (size // 14 + 1)
        self._start("echo", {"text": text}, lambda got: json_of(got) == {"text": text})

    def _big(self) -> None:
        size = self._random.choices(SIZES, SIZE_WEIGHTS)[0]
        self._start("big", {"bytes": size, "fill": "ab"}, lambda got: len(text_of(got)) == size)

    def _count(self) -> None:
        self._tags += 1
        tag = f"s{self._seed}.{self._tags}"
        arguments = {"tag": tag, "seconds": self._random.choice((0, 0.02, 0.2))}

        def right(result: dict[str, Any]) -> bool:
            self.done.add(tag)
            return bool(json_of(result)["count"] > 0)

        self._start("counter", arguments, right)

    def _wait(self) -> None:
        arguments = {"seconds": self._random.choice((0.05, 0.5, 1.5)), "steps": 2, "tag": "w"}
        self._start("slow", arguments, lambda got: text_of(got) == "slow w")

    def _start(
        self, tool: str, arguments: dict[str, Any], right: Callable[[dict[str, Any]], bool]
    ) -> None:
        name = f"{self._random.choice(self._backends)}__{tool}"
        begun = time.monotonic()
        request = self.client.start_tool(name, arguments)
        self.tally.calls += 1

        def judge(answer: Frame) -> None:
            self.tally.latencies.append(answer.at - begun)
            self.tally.times.append(answer.at)
            try:
                result = answer.result
            except RpcError as error:
                self.tally.wrong.append(f"{name}: {error}")
                return
            if result.get("isError") and UNKNOWN in text_of(result):
                self.tally.unknown += 1
            elif result.get("isError") or not right(result):
                self.tally.wrong.append(f"{name}: {text_of(result)[:200]}")

        self._open[request] = (judge, begun)

    def _settle(self) -> None:
        """Take in all answers that are there, of which there is one at least."""
        if not self._open:
            return
        self.client.wait_any(self._open, ANSWER_SECONDS)
        for request in [request for request in self._open if self.client.answered(request)]:
            judge, _ = self._open.pop(request)
            judge(self.client.response(request))

    def twice(self, log: Path) -> list[str]:
        """Return the tags that ran more than once, and those answered that never ran."""
        runs = Counter(entry["tag"] for entry in side_effects(log))
        return [tag for tag, times in runs.items() if times > 1] + sorted(self.done - set(runs))
