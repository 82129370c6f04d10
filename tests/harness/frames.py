"""What a client saw, frame by frame, and the rules a server has to keep towards it.

The rules hold for the relay without exception: every request is answered once, nothing is answered
that was not asked, progress belongs to a request under way, every line is one JSON-RPC object in
strict UTF-8 and strict JSON. Whoever breaks one is noted in `violations`.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Frame:
    """One JSON-RPC message, as bytes and as data. `at` is time.monotonic() of its arrival."""

    raw: bytes
    message: dict[str, Any]
    at: float

    @property
    def id(self) -> Any:
        """The id with its type, None also if absent."""
        return self.message.get("id")

    @property
    def method(self) -> str | None:
        """The method, or None for a response."""
        return self.message.get("method")

    @property
    def params(self) -> Any:
        """The params, {} if absent."""
        return self.message.get("params", {})

    @property
    def result(self) -> Any:
        """The result; RpcError if the response is an error."""
        if "error" in self.message:
            error = self.message["error"]
            raise RpcError(error.get("code"), error.get("message"), error.get("data"))
        return self.message["result"]

    @property
    def error(self) -> Any:
        """The error object of a response, or None."""
        return self.message.get("error")

    @property
    def is_response(self) -> bool:
        """True for a result or an error."""
        return "method" not in self.message


class RpcError(Exception):
    """A JSON-RPC error response: code, message, data."""

    def __init__(self, code: Any, message: Any, data: Any = None) -> None:
        super().__init__(f"{code}: {message}" + ("" if data is None else f" {data!r}"))
        self.code = code
        self.message = message
        self.data = data


def id_key(request_id: Any) -> str:
    """An id as a dictionary key: 1, "1", 1.0 and null stay four different ids."""
    return json.dumps(request_id)


@dataclass(slots=True)
class Asked:
    """A request of ours, by id."""

    method: str
    cancelled: bool = False
    answers: list[Frame] = field(default_factory=list)

    @property
    def made_task(self) -> bool:
        """Whether it was answered with a task, whose progress is reported under its token."""
        result = self.answers[0].message.get("result")
        return isinstance(result, dict) and "task" in result


@dataclass(slots=True)
class Record:
    """Everything received, in order, and what was wrong with it. Not thread-safe: callers lock."""

    frames: list[Frame] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    errors_without_id: list[Frame] = field(default_factory=list)
    inbox: list[Frame] = field(
        default_factory=list
    )  # server's requests and notifications, not yet taken
    asked: dict[str, Asked] = field(default_factory=dict)
    tokens: dict[str, Asked] = field(default_factory=dict)
    batches: list[bytes] = field(default_factory=list)

    def ask(self, message: dict[str, Any]) -> None:
        """Note a request we are about to send."""
        params = message.get("params")
        meta = params.get("_meta") if isinstance(params, dict) else None
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        key = id_key(message["id"])
        assert key not in self.asked, f"the test uses id {key} twice; send_line() does not mind"
        self.asked[key] = Asked(message["method"])
        if token is not None:
            self.tokens[id_key(token)] = self.asked[key]

    def cancel(self, request_id: Any) -> None:
        """Note that we cancel a request: from now on its answer may come or not."""
        self.asked[id_key(request_id)].cancelled = True

    def line(self, raw: bytes) -> list[Frame]:
        """Take in one line; return the frames in it, more than one only for a batch."""
        data = self._decode(raw)
        if isinstance(data, list):
            self.batches.append(raw)
        messages = data if isinstance(data, list) else [data]
        frames = []
        for message in messages:
            if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
                self.violations.append(f"not a JSON-RPC message: {raw[:200]!r}")
                continue
            frames.append(Frame(raw, message, time.monotonic()))
        for frame in frames:
            self.frames.append(frame)
            if frame.is_response:
                self._response(frame)
            else:
                self._check_progress(frame)
        return frames

    def _decode(self, raw: bytes) -> Any:
        try:
            return msgspec.json.decode(raw.decode())
        except (UnicodeDecodeError, msgspec.DecodeError) as error:
            if "out of range" not in str(error):  # 1e400 is JSON
                self.violations.append(f"not strict JSON in UTF-8 ({error}): {raw[:200]!r}")
        try:
            return json.loads(raw.decode(errors="replace"))
        except ValueError:
            return None

    def _response(self, frame: Frame) -> None:
        if "id" not in frame.message or ("result" in frame.message) == ("error" in frame.message):
            self.violations.append(f"not a response: {frame.raw[:200]!r}")
            return
        asked = self.asked.get(id_key(frame.id))
        if asked is not None:
            asked.answers.append(frame)
            if len(asked.answers) > 1:
                self.violations.append(f"answered twice: {frame.raw[:200]!r}")
        elif frame.id is None and frame.error is not None:
            self.errors_without_id.append(frame)
        else:
            self.violations.append(f"answer to nothing we asked: {frame.raw[:200]!r}")

    def _check_progress(self, frame: Frame) -> None:
        if frame.method != "notifications/progress":
            return
        asked = self.tokens.get(id_key(frame.params.get("progressToken")))
        # A cancelled request's progress may have crossed our cancellation on the way.
        if asked is None or (asked.answers and not asked.cancelled and not asked.made_task):
            self.violations.append(f"progress for no request under way: {frame.raw[:200]!r}")
