"""A JSON-RPC client of a child process: sends any bytes, keeps every frame, waits with a bound.

It must never be cleverer than the wire: what a test does not ask for is not sent. It knows ids and
answers, and nothing of MCP.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.harness.child import EXIT_SECONDS_MAX, Child
from tests.harness.frames import Frame, Record, RpcError, id_key

ANSWER_SECONDS_MAX = 20.0

Handler = Callable[[Frame], Any]


class Connection:
    """A connection to the stdio server started with argv. Use as a context manager, or close() it.

    `violations` lists what the server did that no server may; close() fails if there are any.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        new_session: bool = True,
    ) -> None:
        self._record = Record()
        self._changed = threading.Condition()
        self._handlers: dict[str, Handler] = {}
        self._next_id = 0
        self._ended = False
        self.child = Child(
            argv, on_line=self._line, on_end=self._end, env=env, cwd=cwd, new_session=new_session
        )

    @property
    def pid(self) -> int:
        """The pid of the server."""
        return self.child.pid

    # -- sending

    def send_line(self, line: bytes | str) -> None:
        """Send raw bytes and a newline, whatever they are. expect() first what it will answer."""
        self.child.write((line.encode() if isinstance(line, str) else line) + b"\n")

    def send(self, message: Any) -> None:
        """Send a message (or a batch of them) as JSON; requests in it are noted as asked."""
        with self._changed:
            for one in message if isinstance(message, list) else [message]:
                if isinstance(one, dict) and "id" in one and "method" in one:
                    self._record.ask(one)
        self.child.write(msgspec.json.encode(message) + b"\n")

    def send_exactly(self, line: bytes) -> None:
        """Send a message in the very bytes it is spelled in; a request is noted as asked."""
        message = json.loads(line)
        with self._changed:
            if "id" in message and "method" in message:
                self._record.ask(message)
            elif message.get("method") == "notifications/cancelled":
                self._record.cancel(message["params"]["requestId"])
        self.send_line(line)

    def expect(self, request_id: Any, method: str = "raw") -> None:
        """Announce that a line sent with send_line() will be answered under this id."""
        with self._changed:
            self._record.ask({"id": request_id, "method": method})

    def new_id(self) -> int:
        """The next free integer id, from 0 like Claude Code's."""
        with self._changed:
            self._next_id += 1
            return self._next_id - 1

    def start(
        self, method: str, params: Mapping[str, Any] | None = None, *, request_id: Any = ...
    ) -> Any:
        """Send a request and return its id at once; see response()."""
        request_id = self.new_id() if request_id is ... else request_id
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method}
        self.send(message if params is None else message | {"params": params})
        return request_id

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        self.send(message if params is None else message | {"params": params})

    def cancel(self, request_id: Any, reason: str = "test") -> None:
        """Cancel a request of ours; whether it is answered all the same is not judged."""
        with self._changed:
            self._record.cancel(request_id)
        self.notify("notifications/cancelled", {"requestId": request_id, "reason": reason})

    def answer(self, request: Frame, result: Any = None, *, error: Any = None) -> None:
        """Answer a request of the server's with a result, or with an error object."""
        body = {"result": {} if result is None else result} if error is None else {"error": error}
        self.send({"jsonrpc": "2.0", "id": request.id, **body})

    def on_request(self, method: str, handler: Handler) -> None:
        """Answer the server's requests of this method from now on with handler(frame).

        It returns the result, or raises RpcError; it runs on the reader thread and must not wait.
        """
        self._handlers[method] = handler

    # -- waiting

    def response(self, request_id: Any, seconds: float = ANSWER_SECONDS_MAX) -> Frame:
        """Wait for the answer to a request. TimeoutError; ConnectionError if the server ended."""
        asked = self._record.asked[id_key(request_id)]
        self._wait(lambda: asked.answers, seconds, f"answer to {asked.method} id {request_id!r}")
        return asked.answers[0]

    def wait_any(self, request_ids: Iterable[Any], seconds: float = ANSWER_SECONDS_MAX) -> None:
        """Wait until one of these requests is answered."""
        asked = [self._record.asked[id_key(request_id)] for request_id in request_ids]
        self._wait(lambda: any(one.answers for one in asked), seconds, "any of several answers")

    def answered(self, request_id: Any) -> bool:
        """True if the answer is here already."""
        with self._changed:
            return bool(self._record.asked[id_key(request_id)].answers)

    def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        seconds: float = ANSWER_SECONDS_MAX,
    ) -> Any:
        """Send a request and wait for its result; RpcError if the answer is an error."""
        return self.response(self.start(method, params), seconds).result

    def wait_notification(
        self,
        method: str,
        predicate: Callable[[Any], object] = lambda params: True,
        seconds: float = ANSWER_SECONDS_MAX,
    ) -> Any:
        """Take the first notification, past or future, with predicate(params); its params."""
        return self._take(method, predicate, seconds, is_request=False).params

    def wait_request(
        self,
        method: str,
        predicate: Callable[[Any], object] = lambda params: True,
        seconds: float = ANSWER_SECONDS_MAX,
    ) -> Frame:
        """Take the first request of the server's with predicate(params); answer() it."""
        return self._take(method, predicate, seconds, is_request=True)

    def wait_error_without_id(self, seconds: float = ANSWER_SECONDS_MAX) -> Any:
        """Take the next error response with id null (parse errors have that); return the error."""
        errors = self._record.errors_without_id
        self._wait(lambda: errors, seconds, "error response with id null")
        with self._changed:
            return errors.pop(0).error

    def wait_end(self, seconds: float = EXIT_SECONDS_MAX) -> None:
        """Wait until the server has closed its stdout."""
        self._wait(lambda: self._ended, seconds, "end of stdout")

    def _take(
        self, method: str, predicate: Callable[[Any], object], seconds: float, *, is_request: bool
    ) -> Frame:
        inbox = self._record.inbox

        def first() -> Frame | None:
            for frame in inbox:
                if (
                    frame.method == method
                    and ("id" in frame.message) == is_request
                    and predicate(frame.params)
                ):
                    return frame
            return None

        with self._changed:
            self._wait(first, seconds, method)
            frame = first()
            assert frame is not None
            inbox.remove(frame)
            return frame

    def _wait(self, predicate: Callable[[], object], seconds: float, what: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: predicate() or self._ended, seconds)
            if predicate():
                return
            last = "\n".join(str(frame.raw[:300]) for frame in self._record.frames[-5:])
            context = f"\nlast frames:\n{last}\nstderr:\n{self.child.stderr_text()[-2000:]}"
            if self._ended:
                raise ConnectionError(f"the server ended before: {what}{context}")
            raise TimeoutError(f"after {seconds} s no {what}{context}")

    # -- what was seen

    def frame(self, index: int, seconds: float = ANSWER_SECONDS_MAX) -> Frame:
        """Wait for the frame with this place in `frames`."""
        frames = self._record.frames
        self._wait(lambda: len(frames) > index, seconds, f"frame {index}")
        with self._changed:
            return frames[index]

    @property
    def frames(self) -> list[Frame]:
        """All frames so far, in order; a copy."""
        with self._changed:
            return list(self._record.frames)

    def notifications(self, method: str) -> list[Any]:
        """The params of all notifications of this method so far, taken or not."""
        return [frame.params for frame in self.frames if frame.method == method]

    @property
    def violations(self) -> list[str]:
        """What the server did that no server may; a copy."""
        with self._changed:
            return list(self._record.violations)

    def assert_clean(self) -> None:
        """Fail if the server broke a rule."""
        broken = self.violations
        assert not broken, "the server broke the protocol:\n" + "\n".join(broken[:20])

    def assert_all_answered(self) -> None:
        """Fail if a request that was not cancelled has no answer yet."""
        with self._changed:
            open_ids = [
                key
                for key, asked in self._record.asked.items()
                if not asked.answers and not asked.cancelled
            ]
        assert not open_ids, f"never answered: {open_ids}"

    # -- the end

    def close_stdin(self) -> None:
        """EOF for the server."""
        self.child.close_stdin()

    def close(self, seconds: float = EXIT_SECONDS_MAX) -> int:
        """EOF, wait for the exit and for all descendants, check the rules; return the exit code."""
        code = self.child.close(seconds)
        self.assert_clean()
        return code

    def kill(self) -> None:
        """SIGKILL the server and all it started."""
        self.child.kill()

    def wait_exit(self, seconds: float = EXIT_SECONDS_MAX) -> int:
        """Wait for the server's end; return its exit code (negative: the signal)."""
        return self.child.wait_exit(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.child.__exit__(kind, error, trace)
        if error is None:
            self.assert_clean()

    # -- on the reader thread

    def _line(self, raw: bytes) -> None:
        with self._changed:
            frames = self._record.line(raw)
            asking = [f for f in frames if "id" in f.message and f.method in self._handlers]
            self._record.inbox += [f for f in frames if not f.is_response and f not in asking]
            self._changed.notify_all()
        for frame in asking:
            self._answer_by_handler(frame)

    def _answer_by_handler(self, frame: Frame) -> None:
        assert frame.method is not None
        try:
            result = self._handlers[frame.method](frame)
        except RpcError as error:
            self.answer(frame, error={"code": error.code, "message": error.message})
        else:
            self.answer(frame, result)

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
