"""The supervisor's own code replaced in a simulated world: tried, done between turns, or not."""

from typing import TYPE_CHECKING

from relay_supervisor.core import effects, events
from tests.sim.model import must

if TYPE_CHECKING:
    from tests.sim.world import World


class Upgrade:
    """Plays the other code, and the system that may refuse to run it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.checking = False
        self._replacing = False
        self.done = 0
        """How often the code was replaced because relayctl wanted it."""

    # ---- what the core wants ------------------------------------------------------------------

    def check(self, effect: effects.CheckSupervisor) -> None:
        """Other code is to be tried; it answers in its time, or never."""
        must(not (self.checking or self._replacing), "the supervisor is replaced twice at once")
        self.checking = True

    def stop_check(self, effect: effects.StopCheck) -> None:
        """Nobody wants to know any more."""
        self.checking = False

    def replace(self, effect: effects.ReplaceSupervisor) -> None:
        """Other code is to go on at the end of this turn."""
        must(not self._world.watch.ending, "the code is replaced at the end")
        self._replacing = True

    # ---- what happens -------------------------------------------------------------------------

    def answer(self) -> None:
        """The other code says whether it can go on from here."""
        if self.checking:
            self.checking = False
            refusal = "no such module" if self._world.dice.chance(0.2) else ""
            self._world.happen(events.SupervisorChecked("9.9.9", refusal))

    def answer_late(self) -> None:
        """An answer that nobody waits for."""
        if not self.checking:
            self._world.happen(events.SupervisorChecked("9.9.8"))

    def at_the_end_of_a_turn(self) -> None:
        """Replace the code, if that is wanted and the relay does not end."""
        world = self._world
        if not self._replacing or world.dice.chance(0.3):
            return  # in the same turn something else may happen
        self._replacing = False
        if world.exited or not world.relay.reexec.replacing:
            return
        if world.dice.chance(0.2):
            world.queue.append(events.SupervisorStayed("execve: no such file"))
            return
        world.reexec("9.9.9")
        self.done += 1
        world.queue.append(events.SupervisorReplaced())
