"""Houses and sessions from seeds: the same seed makes the same ones, on any machine."""

import json
from collections.abc import Iterable
from dataclasses import replace
from random import Random

from tests.differential import content
from tests.differential.features import LM, By
from tests.differential.odd import Odd
from tests.differential.script import (
    MODERN,
    QUESTION,
    Follow,
    House,
    Level,
    Op,
    Question,
    Request,
    Say,
    Session,
    Step,
    Together,
)

STEPS_MAX = 5
TOGETHER_MAX = 4
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
CODES = (-32602, -32603, -32000, -32020, -32021, -32050, 0, 7, 404)
ASKED = ("elicitation/create", "sampling/createMessage", "roots/list")
HOSTED = ("tasks/get", "tasks/result", "tasks/list", "tasks/cancel")
QUESTION_WORDS = ("question", "refusal", "report", "withdrawn", "state")


def session(seed: int, by: By, house: House) -> Session:
    """Make a session for these eras, in this house."""
    maker = _Maker(seed, by, house)
    count = 1 + maker.random.randrange(STEPS_MAX)
    steps = [step for _ in range(count) for step in maker.steps()]
    # Whatever comes late has come before the answer to the last one.
    found = (*maker.open(), *steps, *maker.close())
    return Session(seed, found, frozenset(maker.used))


class _Maker:
    def __init__(self, seed: int, by: By, house: House) -> None:
        self.random = Random(f"{seed} {by}")
        self.used: set[str] = set()
        self._odd = Odd(self.random)
        self._by = by
        self._logs = by.pair[0] == MODERN and self.random.random() < 0.7
        self._features = frozenset(by.features)
        self._house = house
        self._seed = seed
        self._count = 0
        self._followed: tuple[str, ...] = ()

    # ---- steps ------------------------------------------------------------------------------

    def steps(self) -> Iterable[Step]:
        """Something the client does."""
        kinds = ["request"] * 6
        kinds += self._known("together", "updated", "level", "roots_changed", "task")
        kind = self._pick(kinds)
        return self._task() if kind == "task" else (self._step(kind),)

    def _step(self, kind: str) -> Step:
        match kind:
            case "together":
                count = 2 + self.random.randrange(TOGETHER_MAX - 1)
                asking = self._by.attributes
                return self._together([self._request(asking=asking) for _ in range(count)])
            case "updated":
                return self._follow()
            case "level":
                return Level(self._id(), self.random.choice(LEVELS))
            case "roots_changed":
                return Say("notifications/roots/list_changed", self._odd.object())
            case _:
                return Together((self._request(),))

    def open(self) -> Iterable[Step]:
        """Have log messages, for which a modern server has to be asked."""
        if self._by.pair == LM:
            yield Level(self._id(), "debug")

    def close(self) -> Iterable[Step]:
        """Let go of what is followed, and make sure that nothing is on its way any more."""
        for uri in self._followed:
            rest = self._followed = tuple(one for one in self._followed if one != uri)
            yield Follow(self._id(), rest, uri)
        yield Together((Request(self._id(), *self._target("tool"), (("result", "{}"),)),))

    def _together(self, requests: list[Request]) -> Together:
        """Requests that are under way at once: each waits until the one after it is about to end,
        so that the first is the last to begin and the first to be answered.
        """
        keys = [f"held {self._next()}" for _ in requests[1:]]
        found = []
        for at, request in enumerate(requests):
            script = request.script
            if at > 0:
                script = (*script[:-1], ("release", keys[at - 1]), script[-1])
            if at < len(keys):
                script = (("hold", keys[at]), *script)
            found.append(replace(request, script=script))
        return Together(tuple(found))

    def _task(self) -> Iterable[Step]:
        """A call that makes a task, requests about that, and one that ends it."""
        legacy = "hosted" in self._features
        task = f'"t\\u00e9 {self._next()}"'
        method, members = self._target("tool")
        members += f',"task":{{"ttl":{self._odd.number()}}}' if legacy else ""
        shown = f'{{"taskId":{task},"status":"working"{self._odd.extras()}}}'
        made = (self._aside(), ("made", task, shown))
        token = self._token() if self._odd.maybe() else None
        call = Request(self._id(), method, members, made, self._odd.extras(), token)
        methods = ["tasks/get", "tasks/list" if legacy else "tasks/update"]
        about = [self.random.choice(methods) for _ in range(self.random.randrange(4))]
        about.append(self.random.choice(["tasks/result", "tasks/cancel"] if legacy else methods))
        return [Together((one,)) for one in (call, *(self._about(task, one) for one in about))]

    def _about(self, task: str, method: str) -> Request:
        """A request about a task; a legacy server may ask, and tell of it, meanwhile."""
        odd = self._odd
        members = f',"taskId":{task}{odd.extras()}' if method != "tasks/list" else odd.extras()
        ops = [self._aside()]
        questions: list[Question] = []
        if "hosted" in self._features:
            status = f'{{"taskId":{task},"status":"working"{odd.extras()}}}'
            ops += [
                ("late", task, self._progress()),
                ("other", "notifications/tasks/status", status),
            ]
            ops += self._ask(questions)
        roll = self.random.random()
        result = f'{{"x":{odd.value()}{odd.extras()}}}'
        end = ("error", self._error()) if roll < 0.15 else ("result", result)
        return Request(
            self._id(), method, members, (*ops, end), odd.extras(), None, tuple(questions)
        )

    def _follow(self) -> Follow:
        uri = self.random.choice(self._house.names["resources"])
        if uri in self._followed:
            self._followed = tuple(one for one in self._followed if one != uri)
        else:
            self._followed = (*self._followed, uri)
        return Follow(self._id(), self._followed, uri)

    # ---- requests ---------------------------------------------------------------------------

    def _request(self, *, asking: bool = True) -> Request:
        kind = self._pick(["tool", "tool", "prompt", "resource", "completion"])
        method, members = self._target(kind)
        token = self._token() if self.random.random() < 0.6 else None
        ops = [self._aside() for _ in range(self.random.randrange(3))]
        questions: list[Question] = []
        if kind != "completion" and asking:
            ops += self._ask(questions)
            ops += [self._aside() for _ in range(self.random.randrange(2))]
        cancel = None
        if kind == "tool" and "cancel" in self._features and self.random.random() < 0.12:
            self.used.add("cancel")
            cancel, token = f',"reason":{self._odd.string()}{self._odd.extras()}', self._token()
            quiet = [op for op in ops if op[0] not in {"progress", "ask", "withdrawn"}]
            ops = [*quiet, ("progress", self._progress()), ("hang",)]
            questions = []
        else:
            ops.append(self._end(kind))
        meta = self._odd.extras()
        asked = tuple(questions)
        request = Request(
            self._id(), method, members, tuple(ops), meta, token, asked, cancel, logs=self._logs
        )
        if "introduced" in self._features and self._odd.maybe():
            self.used.add("introduced")
            info = f'{{"name":"another","version":{self._odd.string()}{self._odd.extras()}}}'
            request = replace(request, client_info=info)
        return request

    def _target(self, kind: str) -> tuple[str, str]:
        """The method and the params of a request, without what all have."""
        self.used.add(kind)
        odd, choice = self._odd, self.random.choice
        more = odd.extras()
        match kind:
            case "tool":
                name = choice(self._house.names["tools"])
                return "tools/call", f',"name":{name},"arguments":{odd.object()}{more}'
            case "prompt":
                name = choice(self._house.names["prompts"])
                given = f'{{"a":{odd.string()},"b c":{odd.string()}}}'
                return "prompts/get", f',"name":{name},"arguments":{given}{more}'
            case "resource":
                uri = choice([*self._house.names["resources"], '"x:/unlisted/\\u00e9?a=\u2028"'])
                return "resources/read", f',"uri":{uri}{more}'
            case _:
                ref = f'"type":"ref/resource","uri":{choice(self._house.names["resources"])}'
                if self.random.random() < 0.5:
                    ref = f'"type":"ref/prompt","name":{choice(self._house.names["prompts"])}'
                argument = f'{{"name":"a","value":{odd.string()}{odd.extras()}}}'
                context = f'"context":{{"arguments":{{"b":{odd.string()}}}}}'
                ref = f'"ref":{{{ref}{odd.extras()}}}'
                return "completion/complete", f',{ref},"argument":{argument},{context}{more}'

    def _ask(self, questions: list[Question]) -> list[Op]:
        """Let the server ask the client something, at times."""
        words = self._known(*QUESTION_WORDS)
        if not words or self.random.random() < 0.6:
            return []
        word = self._pick(words)
        count = 1 + (self.random.randrange(self._by.questions_max) if word == "question" else 0)
        found = [self._question(word) for _ in range(count if word != "state" else 0)]
        questions += found
        name = "withdrawn" if word == "withdrawn" else "ask"
        return [(name, *(text for one in found for text in one.op))]

    def _question(self, word: str) -> Question:
        odd = self._odd
        key = f"{self._seed}/{self._next()} é"
        method = self.random.choice(ASKED)
        if "hosted" in self._features and self.random.random() < 0.3:
            self.used.add("hosted")
            method = self.random.choice(HOSTED)
        members = f'"{QUESTION}":{json.dumps(key)}'
        if method != "roots/list":
            members += f',"message":{odd.string()},"messages":[],"maxTokens":1e2'
        members += f'{odd.extras()},"_meta":{{"x":{odd.value()}'
        members += f',"progressToken":{self._token()}}}' if word == "report" else "}"
        reports = (self._progress(), self._progress()) if word == "report" else ()
        answer = f'"result":{odd.object()}'
        if word == "refusal":
            answer = f'"error":{self._error()}'
        answer = "" if word == "withdrawn" else answer
        raw_id = f'"q\\u00e9 {self._next()}"' if self.random.random() < 0.5 else f"{self._next()}"
        return Question(raw_id, key, method, f"{{{members}}}", answer, reports)

    # ---- what a server says -----------------------------------------------------------------

    def _aside(self) -> Op:
        match self._pick(self._known("progress", "log", "other", "updated")):
            case "progress":
                return ("progress", self._progress())
            case "log":
                level = self.random.choice(LEVELS)
                data = f'"data":{self._odd.value()},"logger":{self._odd.string()}'
                return ("log", f'{{"level":"{level}",{data}{self._odd.extras()}}}')
            case "updated":
                uri = self.random.choice(self._house.names["resources"])
                return ("updated", uri, self._odd.extras())
            case _:
                return ("other", "notifications/x-future", self._odd.object())

    def _end(self, kind: str) -> Op:
        roll = self.random.random()
        if roll < 0.12:
            self.used.add("error")
            return ("error", self._error(), self._odd.extras())
        if kind == "resource" and roll < 0.3:
            self.used.add("missing")
            return ("missing", f',"message":{self._odd.string()}{self._odd.extras()}')
        return ("result", content.RESULTS[kind](self._odd), self._odd.extras())

    def _error(self) -> str:
        code = self.random.choice(CODES)
        data = f',"data":{self._odd.value()}' if self.random.random() < 0.5 else ""
        return f'{{"code":{code},"message":{self._odd.string()}{data}{self._odd.extras()}}}'

    def _progress(self) -> str:
        odd = self._odd
        return f',"progress":{odd.number()},"total":{odd.number()}{odd.extras()}'

    # ---- names ------------------------------------------------------------------------------

    def _known(self, *names: str) -> list[str]:
        return [name for name in names if name in self._features]

    def _pick(self, names: list[str]) -> str:
        name = self.random.choice(names)
        self.used.add(name)
        return name

    def _next(self) -> int:
        self._count += 1
        return self._seed * 1000 + self._count

    def _id(self) -> str:
        """An id of the client's: an integer or a string, in some spelling."""
        return self._spelled()

    def _token(self) -> str:
        return self._spelled()

    def _spelled(self) -> str:
        number = self._next()
        forms = (f"{number}", f"-{number}", f'"{number}"', f'"\\u00e9/\\/ \u2028 {number}"')
        return self.random.choice(forms)
