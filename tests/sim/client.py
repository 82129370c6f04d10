"""The model client: writes lines of every kind, and holds each answer against what it asked."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from relay_supervisor.core import events
from relay_supervisor.core.mcp import LISTS, Kind
from relay_supervisor.core.registry import EMPTY
from tests.sim.model import Asked, Key, Sent, Violation, must
from tests.sim.parked import ParkedRequests
from tests.sim.setup import WEB_TOOL

if TYPE_CHECKING:
    from tests.sim.world import World

ROUTED = {
    "tools/call": (
        "name",
        ("files__read", "files__list", "slow__think", WEB_TOOL, "unheard of"),
    ),
    "prompts/get": ("name", ("files__ask",)),
    "resources/read": ("uri", ("file:///a", "file:///b")),
    "resources/subscribe": ("uri", ("file:///a", "file:///b")),
    "resources/unsubscribe": ("uri", ("file:///a", "file:///b")),
    "completion/complete": ("ref", ({"type": "ref/prompt", "name": "files__ask"},)),
}
REPEATABLE = ("prompts/get", "resources/read", "completion/complete")
OWN = (
    "ping",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "logging/setLevel",
    "server/discover",
    "subscriptions/listen",
    "no/such/method",
)
NEWS = {
    "notifications/tools/list_changed": (Kind.TOOLS,),
    "notifications/prompts/list_changed": (Kind.PROMPTS,),
    "notifications/resources/list_changed": (Kind.RESOURCES, Kind.TEMPLATES),
}
META = "io.modelcontextprotocol/"
MODERN = {META + "protocolVersion": "2026-07-28"}
ASKABLE: dict[str, Any] = {"elicitation": {}, "roots": {}, "sampling": {}}
KEYS: tuple[Key, ...] = (*range(8), *(str(n) for n in range(8)))


class Client:
    """Everything on the client's side of stdio."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.open: dict[Key, Asked] = {}
        self.parked = ParkedRequests(world)
        self.modern_only = world.dice.chance(0.25)
        """It never shakes hands."""
        self._unknown: list[Sent] = []
        self.nulls = 0
        """Errors without an id that are due."""
        self.batch_nulls: dict[int, int] = {}
        self.questions: set[int] = set()
        """Questions of the relay's without an answer."""
        self.last_question = 0
        self.ready = False
        self._told: tuple[float, str] = (0.0, "")
        self._markers = 0
        self._batches = 0
        self.received: list[Any] = []
        self.seen: dict[Kind, bytes] = {}
        """The lists as it was last sent or told of."""

    # ---- writing ----------------------------------------------------------------------------

    def write(self, message: object) -> None:
        """Write one line, which must leave no error due."""
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._world.happen(events.ClientLine(line))
        must(self.nulls == 0, "{} errors without an id are missing", self.nulls)

    def request(self, method: str, *, modern: bool, batch: int = 0) -> dict[str, Any]:
        """A request of this method, noted as asked; under an id in use it is to be refused."""
        twice = [key for key, asked in self.open.items() if batch and asked.batch == batch]
        key = self._key(twice)
        self._markers += 1
        params: dict[str, Any] = {"marker": self._markers}
        if method in ROUTED:
            name, values = ROUTED[method]
            params[name] = self._world.dice.pick(values)
        elif method == "logging/setLevel":
            params["level"] = self._world.dice.pick(("info", "error", "nonsense"))
        elif method == "subscriptions/listen":
            uris = ["file:///a"] if self._world.dice.chance(0.5) else []
            params["notifications"] = {"toolsListChanged": True, "resourceSubscriptions": uris}
        meta: dict[str, Any] = self.modern_meta() if modern else {}
        if self._world.dice.chance(0.5):
            meta["progressToken"] = self._world.dice.pick((self._markers, f"t{self._markers}"))
        if meta:
            params["_meta"] = meta
        return self.ask(key, method, params, modern=modern, batch=batch)

    def _key(self, but: Iterable[Key]) -> Key:
        # What is answered within a batch that is not sent yet is open for us and not for the core.
        unsent = [key for key in self.open if key not in self._world.core.requests]
        free = [key for key in KEYS if key not in unsent and key not in but]
        return self._world.dice.pick(free or (f"x{self._markers}",))

    def free_key(self) -> Key:
        """An id that is not in use."""
        return self._key(self.open)

    def modern_meta(self) -> dict[str, Any]:
        """The envelope of a request; not each says that the client can be asked."""
        capabilities = ASKABLE if self._world.dice.chance(0.9) else {}
        return {**MODERN, META + "clientCapabilities": capabilities}

    def ask(
        self, key: Key, method: str, params: dict[str, Any], *, modern: bool = False, batch: int = 0
    ) -> dict[str, Any]:
        """Note a request as asked, and return it."""
        if key in self.open:
            self._null(batch)
        else:
            name = params.get("name", params.get("uri", ""))
            marker, born = params.get("marker", 0), self._world.awake
            self.open[key] = Asked(key, method, marker, modern, born, name, batch)
        return {"jsonrpc": "2.0", "id": key, "method": method, "params": params}

    def batch(self, methods: list[str], *, allowed: bool, modern: bool) -> None:
        """Write a batch of requests, with a notification and now and then rubbish in it."""
        if not allowed:
            self.nulls += 1
            return self.write([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])
        self._batches += 1
        number = self._batches
        self.batch_nulls[number] = 0
        items: list[Any] = [self.request(m, modern=modern, batch=number) for m in methods]
        items.append({"jsonrpc": "2.0", "method": "notifications/unheard_of"})
        if self._world.dice.chance(0.3):
            items.append(self._world.dice.pick((5, [], {"jsonrpc": "2.0", "id": 1.5})))
            self.batch_nulls[number] += 1
        self._world.dice.rng.shuffle(items)
        return self.write(items)

    def rubbish(self) -> None:
        """Write what is no message."""
        self.nulls += 1
        self.write(
            self._world.dice.pick(
                (b"{", b"nonsense", b"\xff\xfe", b"[[", b"7", b'{"jsonrpc":"2.0","id":1.5}', b"[]")
            )
        )

    def cancel(self, key: Key) -> None:
        """Cancel what may or may not be open; from here on it must not be answered."""
        asked = self.open.get(key)
        under_way = key in self._world.core.requests
        if asked is not None and asked.method != "initialize" and under_way:
            del self.open[key]
        params = {"requestId": key, "reason": "test"}
        self.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    def answer_questions(self) -> None:
        """Answer whatever was asked."""
        for number in sorted(self.questions):
            self.questions.discard(number)
            self.write({"jsonrpc": "2.0", "id": number, "result": {}})

    def by_marker(self, marker: int) -> Asked | None:
        """The open request with this marker."""
        found = [asked for asked in self.open.values() if asked.marker == marker and not asked.bad]
        return found[0] if marker and found else self.parked.by_marker(marker)

    def _null(self, batch: int) -> None:
        if batch:
            self.batch_nulls[batch] += 1
        else:
            self.nulls += 1

    # ---- reading ----------------------------------------------------------------------------

    def read(self, line: bytes) -> None:
        """Take in one line from the relay."""
        must(line.endswith(b"\n") and line.count(b"\n") == 1, "not one line: {!r}", line[:200])
        try:
            message = json.loads(line)
        except ValueError as error:
            raise Violation(f"the client got what is no JSON: {line[:200]!r}") from error
        self.received.append(message)
        if isinstance(message, list):
            self._read_batch(message)
        elif "method" not in message:
            self._read_answer(message, 0)
        elif "id" in message:
            self._read_question(message)
        else:
            self._read_notification(message)

    def _read_batch(self, answers: list[Any]) -> None:
        keys = [answer["id"] for answer in answers if answer["id"] is not None]
        batches = {self.open[key].batch for key in keys if key in self.open}
        if not keys:
            full = {asked.batch for asked in self.open.values()}
            nulls = {b for b, due in self.batch_nulls.items() if due == len(answers)}
            batches = nulls - full
        must(batches, "a batch nobody asked for: {}", answers)
        must(len(batches) == 1 or not keys, "answers of several batches in one: {}", answers)
        batch = min(batches)
        for answer in answers:
            self._read_answer(answer, batch)
        left = [asked for asked in self.open.values() if asked.batch == batch]
        must(not left, "the batch was answered without {}", left)
        must(self.batch_nulls.pop(batch) == 0, "errors without an id are missing in a batch")

    def _read_answer(self, answer: dict[str, Any], batch: int) -> None:
        must(("result" in answer) != ("error" in answer), "neither or both: {}", answer)
        key = answer["id"]
        if key is None:
            must("error" in answer, "a result without an id: {}", answer)
            due = self.batch_nulls.get(batch, 0) if batch else self.nulls
            must(due > 0, "an error without an id that is not due: {}", answer)
            if batch:
                self.batch_nulls[batch] -= 1
            else:
                self.nulls -= 1
            return
        must(type(key) in {int, str}, "an id of another type: {}", answer)
        asked = self.open.pop(key, None)
        if asked is None:
            raise Violation(f"an answer to nothing that is open: {answer}")
        must(asked.batch == batch, "{} was answered in batch {}", asked, batch)
        self._check_result(asked, answer)

    def _check_result(self, asked: Asked, answer: dict[str, Any]) -> None:
        result = answer.get("result")
        if self.parked.is_refusal(answer):
            self.parked.refused(asked, answer["error"])
            return
        must(not asked.bad, "{} was taken: {}", asked, answer)
        if result is None or result.get("isError"):
            self._check_failure(asked, json.dumps(answer))
            return
        if result.get("resultType") == "input_required":
            self.parked.park(asked, result)
            return
        if asked.method in ROUTED:
            sent = self._world.sent.get(result["call"])
            must(result["marker"] == asked.marker, "{} got the answer {}", asked, answer)
            must(sent and sent.marker == asked.marker, "{} is not the call for {}", sent, asked)
        if (kind := LISTS.get(asked.method)) is not None:
            page = self._page(kind) if not asked.batch else json.dumps(result[kind.value]).encode()
            must(result[kind.value] == json.loads(page), "{} got {}", asked, answer)
            must(not asked.modern or result["resultType"] == "complete", "{}: {}", asked, answer)
            # In a batch it may be a list of long ago, and news of it may have come before.
            self.seen[kind] = page if not asked.batch else b"of a batch"

    def _check_failure(self, asked: Asked, answer: str) -> None:
        """An outcome may be called unknown only where it is."""
        if "outcome is unknown" in answer:
            attempts = self._world.attempts.get(asked.marker, [])
            must(attempts, "nothing is unknown of {}, which was never sent", asked)
            self._unknown.append(attempts[-1])
        for limit in ("drain_max_seconds", "call_timeout_seconds"):
            late = asked.batch or asked.turns  # its answer may be of long ago
            if limit in answer and not late:
                sent = self._world.attempts[asked.marker][-1]
                worker = self._world.workers[sent.generation]
                told = sent.number not in worker.calls or not worker.open
                if sent.generation in self._world.keepers:
                    messages = [errand.message for errand in self._world.core.errands.values()]
                    told = (
                        any(getattr(m, "call", 0) == sent.number for m in messages)
                        or not worker.open
                    )
                must(told, "{} is over its limit, and not cancelled at {}", sent, worker)

    def check_unknown(self) -> None:
        """What was answered as unknown in this event is: by a death, or with its backend."""
        for sent in self._unknown:
            servers = [s for s in self._world.servers.values() if sent.number in s.ran]
            over = any(server.closed or not server.alive for server in servers)
            must(sent.doubt or over, "nothing is unknown of {}", sent)
        self._unknown.clear()

    def _page(self, kind: Kind) -> bytes:
        return self._world.relay.shared.registry.pages.get(kind, EMPTY)

    def _read_question(self, question: dict[str, Any]) -> None:
        number = question["id"]
        must(self.ready, "asked before it is ready: {}", question)
        must(type(number) is int and number > 0, "a question with the id {!r}", number)
        must(number not in self.questions, "asked twice: {}", question)
        self.questions.add(number)

    def _read_notification(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message.get("params", {})
        if method == "notifications/cancelled":
            must(params["requestId"] in self.questions, "cancelled though not asked: {}", message)
            self.questions.discard(params["requestId"])
        elif method == "notifications/progress":
            marker = int(str(params["progressToken"]).removeprefix("t"))
            known = {asked.marker for asked in self.open.values()}
            must(marker in known, "progress of a request that is not open: {}", message)
        elif (stamp := params.get("_meta", {}).get(META + "subscriptionId")) is not None:
            asked = self.open.get(stamp)
            must(asked and asked.method == "subscriptions/listen", "no such stamp: {}", message)
            if method.endswith("list_changed"):
                self._check_news(method)
        elif method.endswith("list_changed"):
            must(self.ready, "told before it is ready: {}", message)
            self._check_news(method)

    def _check_news(self, method: str) -> None:
        """A change is told of where there is one, and then it is known; to all at the same time
        who want to hear of it. Who is listed in a batch may hear of it before it has the batch.
        """
        kinds = NEWS[method]
        news = [kind for kind in kinds if self.seen.get(kind) not in {None, self._page(kind)}]
        told = self._told == (self._world.now, method)
        late = any(a.batch and LISTS.get(a.method) in kinds for a in self.open.values())
        must(news or told or late, "{} though nothing has changed", method)
        self._told = (self._world.now, method)
        for kind in news:
            self.seen[kind] = self._page(kind)
