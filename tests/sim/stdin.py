"""A worker's end of a backend's stdin: every store and every system call is a step of its own.

Between any two of them the worker may be killed; the order is that of `wire.mailbox`.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator

from relay_supervisor.wire.ledger import Stage
from relay_supervisor.wire.mailbox import LAST_BYTES, PIPE_BUF, Word
from tests.sim.model import Dice
from tests.sim.server import Server


@dataclasses.dataclass(frozen=True)
class Frame:
    """A line for a backend. `number` is its call or errand, 0 where it is neither."""

    number: int
    data: bytes


class Stdin:
    """What is on its way to a backend."""

    def __init__(
        self, server: Server, dice: Dice, ledger: dict[int, int], done: Callable[[int], None]
    ) -> None:
        """*done* is told the number of each frame that is wholly written."""
        self._server = server
        self._dice = dice
        self._ledger = ledger
        self._done = done
        self.outbox: collections.deque[Frame] = collections.deque()
        self.sent = 0
        self.broken = False
        """It has noticed that nobody reads any more."""
        self._steps: Iterator[bool] | None = None
        self._resting = True
        found = server.record()
        self.newline_due = found is not None and found.torn

    def go_on(self, frames: list[Frame], sent: int) -> None:
        """Go on where the worker before this one has stopped."""
        self.outbox.extend(frames)
        self.sent = sent
        if sent:
            self.newline_due = False
        elif not self.newline_due:
            self._clear()

    def step(self) -> bool:
        """Take the next step; False where there is none."""
        if self._steps is None:
            if self.broken or not (self.newline_due or self.outbox):
                return False
            self._steps = self._newline() if self.newline_due else self._frame(self.outbox[0])
        try:
            self._resting = next(self._steps)
        except StopIteration:
            self._steps, self._resting = None, True
        return True

    def rest(self) -> None:
        """Come to where a worker looks at its messages again: never within a write."""
        while not self._resting:
            self.step()

    def drop(self, number: int) -> bool:
        """Take out a frame of which nothing is written; False where it is too late."""
        for frame in list(self.outbox)[self._steps is not None or self.sent > 0 :]:
            if frame.number == number:
                self.outbox.remove(frame)
                return True
        return False

    def _clear(self) -> None:
        self._server.words[Word.LENGTH] = 0
        self._server.words[Word.BUSY] = 0

    def _newline(self) -> Iterator[bool]:
        while not self._dice.chance(0.8):
            yield True
        if not self._server.alive:
            self.broken = True
            return
        self._server.take(b"\n")
        yield False
        self._clear()
        self.newline_due = False

    def _frame(self, frame: Frame) -> Iterator[bool]:
        words, length = self._server.words, len(frame.data)
        if not self.sent:
            words[Word.OFFSET] = 0
            yield False
            words[Word.NUMBER] = frame.number
            yield False
            words[Word.LENGTH] = length
            yield False
        while self.sent < length:
            words[Word.BUSY] = 1
            yield False
            if not self._server.alive:
                words[Word.BUSY], self.broken = 0, True
                return
            taken = self._taken(length)
            self._server.take(frame.data[self.sent : self.sent + taken])
            yield False
            self.sent += taken
            words[Word.OFFSET] = self.sent
            yield False
            words[Word.BUSY] = 0
            yield self.sent < length
        if frame.number in self._ledger:
            self._ledger[frame.number] = Stage.WRITTEN
            yield False
        words[Word.LENGTH] = 0
        self.outbox.popleft()
        self.sent = 0
        self._done(frame.number)

    def _taken(self, length: int) -> int:
        """How much the pipe takes now."""
        if length <= PIPE_BUF:
            return length if self._dice.chance(0.8) else 0
        if (rest := length - LAST_BYTES - self.sent) > 0:
            return rest if self._dice.chance(0.5) else self._dice.rng.randint(0, rest)
        return LAST_BYTES if self._dice.chance(0.7) else 0
