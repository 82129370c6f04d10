"""The worker's life: handshake, configuration, then messages until the supervisor ends it.

Every message of the supervisor's has its line in one table. Whatever goes wrong with one call or
one backend is answered and logged; the worker ends when the supervisor says so or is gone.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec

from relay_supervisor.wire import handshake, v1
from relay_supervisor.wire.errors import RemoteProtocolError
from relay_supervisor.wire.ledger import Ledger
from relay_worker.arguments import Arguments
from relay_worker.backends.descriptors import Descriptors
from relay_worker.configuration import read
from relay_worker.ledger import UNREAD, attach
from relay_worker.life import Life
from relay_worker.log import Log
from relay_worker.loop import Loop
from relay_worker.pipe import Pipe
from relay_worker.router import Router
from relay_worker.service import Base, Service

LIFE_WAIT_SECONDS: Final = 0.5
"""So long the end of the life pipe may follow the end of the pipe when the supervisor dies."""

EXIT_BROKEN: Final = 1
"""Exit status of a worker that cannot go on, because of a bug in the relay."""

_decode: Final = v1.decode_to_worker


class Worker:
    """One worker process. *build*: what it is made of."""

    def __init__(self, arguments: Arguments, life: Life, ledger: Ledger, build: str) -> None:
        self._build = build
        self._ledger = ledger
        self.log = Log()
        self.loop = Loop(self._report)
        self.life = life
        self.descriptors = Descriptors(arguments.socket)
        self.pipe = Pipe(
            self.loop,
            arguments.pipe_in,
            arguments.pipe_out,
            on_frame=self._hello,
            on_end=self._ended,
            on_full=self._full,
            ledger=ledger,
        )
        self.router = Router(self.loop, self.pipe.send, self.pipe.reply, ledger)
        self._service: Service | None = None
        self._hello_message: handshake.Hello | None = None
        self._handlers: dict[type[Any], Callable[[Any, bytes], None]] = {
            v1.Call: self.router.call,
            v1.Cancel: self._cancel,
            v1.ClientAnswer: self._answer,
            v1.ClientNotification: self.router.notification,
            v1.Subscriptions: self._subscriptions,
            v1.KnownLinks: self._known_links,
            v1.SetLevel: lambda message, _payload: self.router.set_level(message.level),
            v1.Configure: self._configure,
            v1.Ping: lambda message, _payload: self.pipe.send(v1.Pong(message.token)),
            v1.Retire: self._retire,
            v1.Unknown: self._unknown,
        }

    def _subscriptions(self, message: v1.Subscriptions, _payload: bytes) -> None:
        self.router.resources.subscribe(message.uris)
        self.router.extensions.watch(message.tasks, self.router.backends)

    def _known_links(self, message: v1.KnownLinks, _payload: bytes) -> None:
        self.router.resources.known(message)
        self.router.extensions.known(message)
        self.router.client_tasks.known(message)

    def run(self) -> NoReturn:
        """Serve until the end; does not return."""
        self.loop.run()
        self.exit(EXIT_BROKEN)

    def exit(self, status: int, *, for_good: bool = False) -> NoReturn:
        """End the process. The backends are the supervisor's and live on; *for_good*: no other
        worker follows.
        """
        self.pipe.flush_last()
        if self._service:
            self._service.close(for_good=for_good)
        os._exit(status)

    def _hello(self, header: bytes, _payload: bytes) -> None:
        try:
            hello = msgspec.msgpack.decode(header, type=handshake.Hello)
        except msgspec.MsgspecError as error:
            self._ended(f"the first frame was no Hello: {error}")
            return
        self.log.generation = hello.generation
        version = handshake.choose(hello.versions)
        if version is None:
            spoken = f"{list(hello.versions)}, this worker {list(handshake.VERSIONS)}"
            self.log.error(f"the supervisor speaks pipe versions {spoken}")
            self.exit(handshake.EXIT_INCOMPATIBLE)
        self._hello_message = hello
        self.pipe.on_frame = self._frame
        welcome = handshake.Welcome(
            version, self._build, hello.generation, hello.nonce, os.getpid()
        )
        self.pipe.send_header(msgspec.msgpack.encode(welcome))

    def _frame(self, header: bytes, payload: bytes) -> None:
        try:
            message = _decode(header)
        except RemoteProtocolError as error:
            self.log.warning(f"message skipped: {error}")
            return
        try:
            self._handlers.get(type(message), self._early)(message, payload)
        except Exception as error:  # noqa: BLE001 - one message must not end the worker
            self._report(f"at {type(message).__name__}", error)
            if isinstance(message, v1.Call):
                self.router.failed(message)
            elif isinstance(message, v1.Configure):
                self.exit(EXIT_BROKEN)

    def _cancel(self, message: v1.Cancel, params: bytes) -> None:
        self._take(message.errand)
        self.router.cancel(message, params)
        self._ledger.release(message.call)

    def _answer(self, message: v1.ClientAnswer, members: bytes) -> None:
        self._take(message.errand)
        self.router.answer(message, members)

    def _take(self, errand: int) -> None:
        """Take note of an errand, where there is one; it leaves the ledger with its `Done`."""
        if errand:
            self._ledger.take(errand)

    def _configure(self, message: v1.Configure, payload: bytes) -> None:
        assert self._hello_message is not None
        self.log.configure(level=message.log_level, fmt=message.log_format)
        base = Base(
            loop=self.loop,
            send=self.pipe.send,
            when_written=self.pipe.when_written,
            router=self.router,
            descriptors=self.descriptors,
            life=self.life,
            log=self.log,
            hello=self._hello_message,
            ledger=self._ledger,
        )
        self._service = Service(base, message, read(message, payload))
        self._handlers.update(self._service.handlers)
        # What was made so far stays: collecting garbage need not look at it again.
        self.loop.at_turn_end(gc.freeze)

    def _retire(self, message: v1.Retire, _payload: bytes) -> None:
        # Not at once: what it was told before, such as cancellations, goes out to the backends.
        self.loop.at_turn_end(lambda: self.exit(0, for_good=message.for_good))

    def _early(self, message: object, _payload: bytes) -> None:
        self.log.error(f"{type(message).__name__} before Configure")

    def _unknown(self, message: v1.Unknown, _payload: bytes) -> None:
        self.log.debug(f"message with unknown tag {message.tag} skipped")

    def _full(self, full: bool) -> None:  # noqa: FBT001 - a callback's only argument
        for backend in self.router.backends.values():
            backend.pause(paused=full)

    def _ended(self, reason: str) -> None:
        self.log.info(f"worker ends: {reason}")
        # If the supervisor is gone, the life thread kills the backends and then this process.
        self.life.wait(LIFE_WAIT_SECONDS)
        self.exit(0)

    def _report(self, where: str, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))
        self.log.error(f"{type(error).__name__} {where}: {error}", trace=trace)


def run(arguments: Arguments, life: Life, build: str) -> NoReturn:
    """Run a worker, whose supervisor's *life* is watched already. Does not return."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # at once, whatever the loop is doing
    try:
        ledger = UNREAD if arguments.ledger is None else attach(arguments.ledger)
    except (OSError, ValueError) as error:
        sys.exit(f"its ledger (descriptor {arguments.ledger}) cannot be used: {error!r}")
    Worker(arguments, life, ledger, build).run()
