"""A configured worker: its backends, registry and files, and the messages that concern them all.

News of the backends are gathered during a loop turn and dealt with once, at its end.
"""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from relay_supervisor.wire import handshake, v1
from relay_supervisor.wire.ledger import Ledger
from relay_worker import builtin_tools
from relay_worker.backends.base import Backend, State
from relay_worker.backends.client import client_of
from relay_worker.backends.descriptors import Descriptors
from relay_worker.backends.surroundings import Surroundings
from relay_worker.builtin_tools import BuiltinBackend
from relay_worker.charges import Charges
from relay_worker.checks import Checks
from relay_worker.configuration import Settings
from relay_worker.fleet import Fleet
from relay_worker.instructions import instructions
from relay_worker.life import Life
from relay_worker.log import Log
from relay_worker.loop import Loop
from relay_worker.persist import Writer
from relay_worker.plans import limits_of, policy_of
from relay_worker.readiness import Readiness
from relay_worker.registry import Registry
from relay_worker.router import Router

CLOSE_SECONDS: Final = 1.0
"""Time to write out cache and logs when the worker ends."""

FIRST: Final = 1
"""The first generation. Any later one may be a candidate that fails: it leaves the cache alone for
as long as that can be, or the next session would begin with its lists.
"""


class Base(msgspec.Struct, frozen=True):
    """What the worker has before it is configured."""

    loop: Loop
    send: Callable[..., None]
    when_written: Callable[[Callable[[int], None], int], None]
    router: Router
    descriptors: Descriptors
    life: Life
    log: Log
    hello: handshake.Hello
    ledger: Ledger


class Service:
    """Everything that follows from a configuration. `handlers` are its lines of the table of
    messages; it implements `backends.base.Watcher`.
    """

    def __init__(self, base: Base, message: v1.Configure, settings: Settings) -> None:
        self._base = base
        self._settings = settings
        self._router = base.router
        self._connected = False
        self._review_due = False
        self._rebuild_planned = False
        self._changed: dict[str, Backend] = {}
        self._states: dict[str, v1.BackendState] = {}
        relay = settings.config.relay
        base.life.mark(message.instance)
        base.log.hide(settings.secrets)
        self._writer = Writer(
            Path(message.state_dir),
            log_bytes_max=relay.log_bytes_max,
            log_files_max=relay.log_files_max,
            report=base.log.warning,
        )
        self._writer.start()
        base.log.write_to(self._writer.log_relay)
        for problem in settings.problems:
            base.log.warning(problem)
        self._builtin = BuiltinBackend(base.send, base.router.finish)
        self._fleet = Fleet(
            *(settings, message, self._surroundings(), base.router, self),
            builtin=self._builtin if relay.builtin_tools else None,
        )
        self._router.backends = self._fleet.all
        self._router.refresh = self._rebuild
        self._instructions = instructions(settings.config, embedded_default=settings.is_default)
        self._registry = self._make_registry()
        self._readiness = self._make_readiness()
        self.handlers = self._table()
        if not self._registry.lasting:
            base.loop.after(relay.ready_seconds_max + relay.probation_seconds, self._outlived)
        self._announce()

    def close(self, *, for_good: bool) -> None:
        """Write out what is queued for the disk; *for_good*: no other worker follows."""
        if for_good:
            self._fleet.remote.farewell()
        self._writer.close(CLOSE_SECONDS)

    def learned(self, backend: Backend) -> None:
        """The lists of a backend are known or have changed."""
        self._registry.learned(backend)
        self._review_later()

    def changed(self, backend: Backend) -> None:
        """A backend has changed in a way that `status` shows."""
        self._changed[backend.name] = backend
        self._review_later()

    # ---- at the start -----------------------------------------------------------------------

    def _surroundings(self) -> Surroundings:
        base = self._base
        tokens = itertools.count(1)
        return Surroundings(
            loop=base.loop,
            send=base.send,
            when_written=base.when_written,
            descriptors=base.descriptors,
            life=base.life,
            log=base.log,
            keep_stderr=self._writer.log_backend,
            next_token=lambda: next(tokens),
            generation=base.hello.generation,
            policy=policy_of(self._settings.config.relay),
            ledger=base.ledger,
        )

    def _make_registry(self) -> Registry:
        base, config = self._base, self._settings.config
        registry = Registry(
            config,
            hashes=self._fleet.hashes,
            builtin=builtin_tools.LISTS if config.relay.builtin_tools else None,
            instructions=self._instructions,
            send=base.send,
            save=self._writer.replace,
            log=base.log,
        )
        registry.lasting = base.hello.generation == FIRST
        return registry

    def _table(self) -> Mapping[type[Any], Callable[[Any, bytes], None]]:
        return {
            v1.KnownLists: self._known_lists,
            v1.Session: self._session,
            **Charges(self._fleet.stdio, self._router, self._base.send).handlers,
            v1.StatusReply: lambda reply, payload: self._builtin.status(reply.token, payload),
            v1.Log: self._log_lines,
            v1.Journal: self._journal,
            v1.Refuse: self._refuse,
            v1.RunChecks: self._readiness.run_checks,
            v1.KnownSession: self._fleet.known_session,
            v1.Attend: self._fleet.attend,
        }

    def _make_readiness(self) -> Readiness:
        base, config = self._base, self._settings.config
        checks = Checks(
            config.checks,
            base.router,
            base.loop,
            generation=base.hello.generation,
            seconds_max=config.relay.check_seconds_max,
            redact=base.log.redact,
        )
        return Readiness(
            checks,
            base.loop,
            base.send,
            hello=base.hello,
            settings=config.relay,
            broken=self._settings.broken,
        )

    def _announce(self) -> None:
        """Say what the configuration gave, backends that cannot run at all included."""
        settings = self._settings
        if settings.snapshot is not None:
            self._base.send(v1.ConfigRead(), settings.snapshot)
        configured = v1.Configured(
            self._fleet.infos(),
            limits_of(settings.config.relay),
            settings.problems,
            broken=settings.broken is not None,
            config_digest=settings.digest,
            adopts=True,
        )
        self._base.send(configured, self._instructions.encode())
        for name, reason in settings.unusable.items():
            self._base.send(v1.BackendState(name, State.FAILED.word, last_error=reason))
        self._changed = dict(self._fleet.all)
        self._review_later()

    # ---- messages ---------------------------------------------------------------------------

    def _known_lists(self, message: v1.KnownLists, payload: bytes) -> None:
        lists = self._registry.known(message, payload)
        if lists is not None:
            self._fleet.remember(message.backend, lists)

    def _session(self, message: v1.Session, payload: bytes) -> None:
        client = client_of(message, payload)
        self._connected = True
        self._router.client = client
        self._registry.keep_at(message.cache_path)
        if message.log_level is not None:
            self._router.set_level(message.log_level)
        for backend in self._fleet.all.values():
            backend.introduce(client)
        self._review_later()

    def _journal(self, _message: v1.Journal, payload: bytes) -> None:
        self._writer.journal(payload)

    def _refuse(self, message: v1.Refuse, _payload: bytes) -> None:
        reason = self._base.log.redact(message.reason)
        self._writer.refuse(message.build, message.config_digest, reason)

    def _outlived(self) -> None:
        """This worker would be gone by now, had its swap failed."""
        self._registry.lasting = True
        self._review_later()

    def _log_lines(self, _message: v1.Log, payload: bytes) -> None:
        self._writer.log_relay(payload)

    # ---- at the end of a turn ---------------------------------------------------------------

    def _review_later(self) -> None:
        if not self._review_due:
            self._review_due = True
            self._base.loop.at_turn_end(self._review)

    def _review(self) -> None:
        self._review_due = False
        if self._connected:
            if self._registry.due(self._fleet.all):
                self._rebuild()
            self._registry.report(self._fleet.all)
            self._router.look_again()
            self._rebuild_later()
        changed, self._changed = self._changed, {}
        for backend in changed.values():
            self._report(backend)
        # Last, as the supervisor judges by all that it was told before.
        if self._connected and self._registry.exhausted:
            self._readiness.begin()

    def _rebuild(self) -> bool:
        """Show and route by all that is known; False where that is done already."""
        if not self._connected or not self._registry.outdated:
            return False
        self._router.adopt(self._registry.rebuild())
        self._changed = dict(self._fleet.all)  # their numbers of tools may differ
        self._review_later()
        return True

    def _rebuild_later(self) -> None:
        if self._registry.outdated and not self._rebuild_planned:
            self._rebuild_planned = True
            self._base.loop.at(self._registry.rest_until, self._rest_is_over)

    def _rest_is_over(self) -> None:
        self._rebuild_planned = False
        self._review_later()

    def _report(self, backend: Backend) -> None:
        state = v1.BackendState(
            backend=backend.name,
            state=backend.state.word,
            pid=backend.pid,
            tools=self._registry.tools_of(backend.name),
            restarts=backend.restarts,
            last_error=self._base.log.redact(backend.last_error) if backend.last_error else None,
            skipped_lines=backend.skipped_lines,
        )
        if self._states.get(backend.name) != state:
            self._states[backend.name] = state
            self._base.send(state)
