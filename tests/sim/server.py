"""A backend's process: it outlives the workers, and knows for certain what has reached it.

Its stdin is bytes, so that a frame that is cut off and the next one may come to lie in one line. It
serves a line as soon as it has all of it. Its mailbox is what a worker stores in it: the words of
the header are real, and the output is counted in messages, each of which lies at its own offset.
"""

import dataclasses
import json
from collections.abc import Callable

from relay_supervisor.wire.mailbox import Record, Word, record


@dataclasses.dataclass(frozen=True)
class Said:
    """A message that it wrote: `what` is reply, more, progress, news, question or withdrawn."""

    what: str
    call: int = 0
    text: str = ""


class Server:
    """One process of a backend."""

    def __init__(self, pid: int, name: str, spec: str, ran: Callable[[int], None]) -> None:
        """*ran* is told the marker of each call it carries out."""
        self.pid, self.name, self.spec = pid, name, spec
        self._ran = ran
        self.alive = True
        self.closed = False
        """The supervisor has begun to end it."""
        self.joined = False
        """Its handshake is complete, and the core knows."""
        self.tended = False
        """The supervisor reads its stderr."""
        self.given_to: set[int] = set()
        """The generations that have its descriptors and may use them."""
        self.refused = False
        """Whoever was given it last could not use it."""
        self._header = bytearray(len(Word) * 8)
        self.words = memoryview(self._header).cast("q")
        self.head = 0
        """What of its output was passed on for good, as the mailbox says."""
        self._line = b""
        self.ran: set[int] = set()
        self.replied: set[int] = set()
        self.cancelled: set[int] = set()
        self.legs: dict[int, int] = {}
        """For which time each call was made last."""
        self.waiting: set[int] = set()
        """The calls it has answered by asking for more, until they are made once more."""
        self.asked: dict[str, bool] = {}
        """Its questions, and whether it has the answer or wants none."""
        self.out: list[Said] = []
        self.told: set[int] = set()
        """Offsets of what the core was told."""

    def give_to(self, generation: int) -> None:
        """Its descriptors are on their way."""
        self.given_to.add(generation)
        self.refused = False

    def refused_by(self, generation: int) -> None:
        """They were of no use."""
        self.given_to.discard(generation)
        self.refused = True

    def record(self) -> Record | None:
        """What its mailbox says is being written to it."""
        return record(memoryview(self._header))

    def take(self, data: bytes) -> None:
        """Bytes have come through its stdin."""
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue  # cut off, or an empty line
            self._serve(message)

    def _serve(self, message: dict[str, str | int]) -> None:
        if "call" in message:
            call, leg = int(message["call"]), int(message.get("leg", 1))
            wanted = leg == self.legs.get(call, 0) + 1 and (leg == 1 or call in self.waiting)
            assert wanted or call in self.cancelled, f"{self.pid} gets leg {leg} of {call}"
            self.legs[call] = leg
            self.waiting.discard(call)
            self.ran.add(call)
            if leg == 1:
                self._ran(int(message["marker"]))
        elif "cancel" in message:
            self.cancelled.add(int(message["cancel"]))
        elif "answer" in message:
            question = str(message["answer"])
            assert question in self.asked, f"an answer to {question}, which {self.pid} never asked"
            self.asked[question] = True

    def busy(self) -> list[int]:
        """The calls that it works on."""
        return sorted(self.ran - self.replied - self.cancelled - self.waiting)

    def reply(self, call: int, *, good: bool) -> None:
        """Finish a call."""
        self.replied.add(call)
        self.out.append(Said("reply", call, "" if good else "failed"))

    def want_more(self, call: int) -> None:
        """Answer a call by asking for more: it is to be made once more."""
        self.waiting.add(call)
        self.out.append(Said("more", call, str(self.legs[call])))

    def ask(self, call: int) -> None:
        """Put a question to the client, in a call it works on or, with 0, who knows in which."""
        question = f"{self.pid}-{len(self.asked)}"
        self.asked[question] = False
        self.out.append(Said("question", call, question))

    def withdraw(self) -> None:
        """Want no answer any more to the last question that has none."""
        if waiting := [question for question, over in self.asked.items() if not over]:
            self.asked[waiting[-1]] = True
            self.out.append(Said("withdrawn", text=waiting[-1]))
