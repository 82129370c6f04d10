"""The model client's requests that are parked: it was told what is asked, and comes back or not."""

import json
from typing import TYPE_CHECKING, Any

from relay_supervisor.core import parking
from relay_supervisor.core.state import ClientRequest
from tests.sim.model import Asked, must

if TYPE_CHECKING:
    from tests.sim.world import World

ROUNDING = 1e-6
"""Seconds by which a sum of times may be off."""

METHODS = ("tools/call", "prompts/get", "resources/read")


class ParkedRequests:
    """Those that wait for a retry, by the state that was given for it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.by_state: dict[str, Asked] = {}
        self.used: list[tuple[str, Asked]] = []
        """States that are no good any more, with what they were for."""

    # ---- reading ------------------------------------------------------------------------------

    def park(self, asked: Asked, result: dict[str, Any]) -> None:
        """A request was answered with what is asked in it."""
        world, state = self._world, result["requestState"]
        must(asked.modern and asked.method in METHODS, "{} was parked", asked)
        known = state in self.by_state or state in [old for old, _ in self.used]
        must(not known, "a state was given twice: {}", state)
        must(result["inputRequests"], "{} was parked for nothing", asked)
        world.seen["parked again" if asked.turns else "parked"] += 1
        asked.key, asked.batch = f"parked {asked.marker}", 0
        asked.turns += 1
        asked.parked, asked.since, asked.questions = True, world.now, [*result["inputRequests"]]
        active = world.relay.shared.workers.active()
        asked.worker = active.number if active is not None else 0
        self.by_state[state] = asked

    def is_refusal(self, answer: dict[str, Any]) -> bool:
        """Whether a retry was refused for what it says of itself."""
        text = str(answer.get("error", {}).get("message"))
        return "requestState" in text or "inputResponses" in text

    def refused(self, asked: Asked, error: dict[str, Any]) -> None:
        """A retry was refused: it must have deserved it."""
        must(error["code"] == -32602, "{} was refused with {}", asked, error)
        over = self._world.now - asked.since >= parking.RETRY_SECONDS_MAX - ROUNDING
        must(asked.bad or over, "{} was refused: {}", asked, error)
        self._world.seen["expired"] += not asked.bad

    def by_marker(self, marker: int) -> Asked | None:
        """The parked request with this marker."""
        found = [asked for asked in self.by_state.values() if asked.marker == marker]
        return found[0] if found else None

    def in_core(self, asked: Asked) -> ClientRequest | None:
        """The core's record of a request, whatever it is kept under."""
        requests = self._world.core.requests
        if not asked.parked:
            return requests.get(asked.key)
        parked = [request for request in requests.values() if not request.raw_id]
        found = [r for r in parked if json.loads(r.params)["marker"] == asked.marker]
        return found[0] if found else None

    # ---- writing ------------------------------------------------------------------------------

    def retry(self, state: str, *, whole: bool = False) -> None:
        """Come back to one under a new id, with answers to some of what was asked; *whole*: all."""
        world = self._world
        asked = self.by_state.pop(state)
        self.used.append((state, asked))
        active = world.relay.shared.workers.active()
        elsewhere = active is None or active.number != asked.worker
        world.seen["retried under another worker" if elsewhere else "retried"] += 1
        keys = [key for key in asked.questions if whole or world.dice.chance(0.8)]
        asked.parked = False
        self._write(asked, state, {key: {"action": "accept"} for key in keys})

    def retry_badly(self) -> None:
        """Come back with a state that was used, is another's, or nobody's."""
        world = self._world
        states = [*self.used, *self.by_state.items()]
        if not states:
            return
        state, about = world.dice.pick(states)
        fresh = state in self.by_state
        wrong = f"{state}0" if world.dice.chance(0.5) else state[:-1]
        responses: object = {}
        name = about.name
        if fresh and world.dice.chance(0.5):
            state = wrong
        elif fresh and world.dice.chance(0.5):
            responses = world.dice.pick(([], 5, {"a": 5}))
        elif fresh:
            name = "another"
        asked = Asked("", about.method, about.marker, modern=True, born=world.awake, name=name)
        asked.bad, asked.since = True, world.now
        world.seen["retried badly"] += 1
        self._write(asked, state, responses)

    def _write(self, asked: Asked, state: str, responses: object) -> None:
        client = self._world.client
        member = "uri" if asked.method == "resources/read" else "name"
        meta = dict(client.modern_meta())
        if self._world.dice.chance(0.5):
            meta["progressToken"] = asked.marker
        params = {
            "marker": asked.marker,
            member: asked.name,
            "requestState": state,
            "inputResponses": responses,
            "_meta": meta,
        }
        asked.key = client.free_key()
        asked.born = self._world.awake
        client.open[asked.key] = asked
        request = {"jsonrpc": "2.0", "id": asked.key, "method": asked.method, "params": params}
        client.write(request)
