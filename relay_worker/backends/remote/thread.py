"""The one thread in which everything that speaks HTTP runs, beside the worker's loop.

It is started when a remote backend is first connected to, so that nobody else pays for asyncio.
It never touches what belongs to the loop; the loop never waits for it.
"""

import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

Task = Callable[[], None]

LAST_WORDS_SECONDS_MAX: Final = 0.2
"""At the end of the worker what is still to be said to servers gets this long."""


class HttpThread:
    """An asyncio loop in a daemon thread. *report* is told, in that thread, of what went wrong
    where nobody else was, *hide* of what must not be logged.
    """

    def __init__(
        self,
        report: Callable[[str, Exception], None],
        hide: Callable[[Iterable[str]], None],
    ) -> None:
        self.hide = hide
        self.report = report
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._early: deque[Task] = deque()
        self._lock = threading.Lock()
        self._kept: set[asyncio.Task[None]] = set()

    def post(self, task: Task) -> None:
        """Run *task* in the thread, after all that was posted before."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(task)
                return
            self._early.append(task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="relay-http", daemon=True)
                self._thread.start()

    def say_last(self, words: Coroutine[Any, Any, None]) -> None:
        """Have `flush` wait for *words*; to be called in the thread."""
        assert self._loop is not None
        task = self._loop.create_task(words)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    def flush(self) -> None:
        """Wait, for a short time only, until all that was posted and said last is done."""
        if self._thread is None:
            return
        finished = threading.Event()
        self.post(lambda: self._settle(finished.set))
        finished.wait(LAST_WORDS_SECONDS_MAX)

    def _settle(self, done: Task) -> None:
        waiting = len(self._kept)
        if not waiting:
            return done()
        for task in list(self._kept):
            task.add_done_callback(lambda _task: None if self._kept else done())
        return None

    def _run(self) -> None:
        import asyncio  # noqa: PLC0415 - in this thread alone, and only if there is one
        import logging  # noqa: PLC0415 - what speaks HTTP has loaded it anyhow

        logging.lastResort = None  # stderr may block, and what is logged there may be a secret
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(self._failed)
        with self._lock:
            while self._early:
                loop.call_soon(self._early.popleft())
            self._loop = loop
        loop.run_forever()

    def _failed(self, _loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Exception):
            error = RuntimeError(str(context.get("message")))
        self.report("in the HTTP thread", error)
