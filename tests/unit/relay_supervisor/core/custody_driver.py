"""A driver that also plays workers that take backends over from one another, and these backends.

Like `driver` it decides nothing. A custody is a few bytes here: the core does not look into it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from relay_supervisor.core import effects, events
from relay_supervisor.core.state import Charge, Hold
from relay_supervisor.wire import cache, v1
from relay_supervisor.wire.mailbox import Record
from tests.unit.relay_supervisor.core.driver import BODY
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver

FILES = v1.BackendInfo("files", "stdio", None, "print", "spec")
SLOW = v1.BackendInfo("slow", "stdio", 30.0, "print", "spec")
CHANGED = v1.BackendInfo("files", "stdio", None, "print 2", "spec 2")
KEPT = (FILES, SLOW)
BOTH = ["files", "slow"]
SAFE = cache.Entry("files__list", "files", b'{"name":"files__list"}', repeatable=True)
TOOLS = cache.Body(
    tools=[SAFE, *BODY.tools], resources=BODY.resources, capabilities=BODY.capabilities
)


class CustodyDriver(SwapDriver):
    """A relay whose workers keep backends; those of generation 1 are `files` and `slow`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.pid_of: dict[str, int] = {}
        """The last process of each backend."""
        self._adopts = True

    # ---- coming up ----------------------------------------------------------------------------

    def configure(self, generation: int = 1, **settings: Any) -> None:
        """The worker has read its configuration; with `adopts=False` it is an old one."""
        adopts = settings.pop("adopts", self._adopts)
        backends: Iterable[v1.BackendInfo] = settings.pop("backends", KEPT)
        limits = settings.pop("limits", None) or v1.Limits()
        digest = settings.pop("digest", "")
        message = v1.Configured(list(backends), limits, config_digest=digest, adopts=adopts)
        self.frame(message, b"Use it.", generation)

    def serve(self, *, limits: v1.Limits | None = None, **capabilities: Any) -> int:
        """A worker that serves, with both backends at work, and a greeted client."""
        pid = super().serve(limits=limits, **capabilities)
        self.catalogue(TOOLS, "with a safe tool")
        for name in BOTH:
            self.spawn(name)
            self.join(name)
        self.wanted.clear()
        return pid

    def warm(self, number: int, **settings: Any) -> int:
        """Bring a candidate up to all but its readiness; returns its pid."""
        self._adopts = settings.pop("adopts", True)
        settings.setdefault("backends", KEPT)
        settings.setdefault("body", TOOLS)
        try:
            return super().warm(number, **settings)
        finally:
            self._adopts = True

    def swap_from_an_old_worker(self) -> None:
        """One that keeps backends comes after one that does not."""
        self.do(events.Started())
        self.hatch(1)
        self.configure(1, adopts=False, limits=FAST)
        self.catalogue(TOOLS)
        self.greet()
        self.healthy(1)
        self.ready(1)
        self.wanted.clear()
        self.swap()
        self.candidate(2, body=TOOLS)
        assert self.active == 2

    def spawn(self, name: str, generation: int = 1, *, token: int = 1) -> int | None:
        """A worker starts a backend; returns its pid, None where it may not."""
        spawn = v1.Spawn(token, name, ["server"], {}, "/", 4096)
        self.frame(spawn, b"", generation)
        if not self.take(effects.SpawnBackend):
            return None
        self._pid += 1
        self.pid_of[name] = self._pid
        self.do(events.BackendSpawned(generation, token, name, self._pid))
        return self._pid

    def join(self, name: str, generation: int = 1, left: bytes = b"joined") -> None:
        """The handshake with a backend is complete."""
        self.frame(v1.Joined(name, self.pid_of[name]), left, generation)

    # ---- moving -------------------------------------------------------------------------------

    def cut_over(self, number: int = 2, **settings: Any) -> None:
        """relayctl swaps, and the candidate serves; nothing has moved yet."""
        self.swap()
        settings.setdefault("states", {"files": "awaited", "slow": "awaited"})
        self.candidate(number, **settings)
        assert self.active == number

    def frozen(
        self, name: str, generation: int = 1, unsent: Iterable[int] = (), left: bytes = b"left"
    ) -> None:
        """A worker gives a backend back."""
        pid = self.charge(name).pid
        self.frame(v1.Frozen(name, pid, list(unsent)), left, generation)

    def adopted(self, name: str, generation: int = 2, refusal: str = "") -> None:
        """A worker has taken a backend over."""
        pid = self.charge(name).pid
        self.frame(v1.Adopted(name, pid, refusal), b"", generation)

    def hand_over(self, name: str, old: int = 1, new: int = 2, unsent: Iterable[int] = ()) -> None:
        """A backend moves from one to the other."""
        self.frozen(name, old, unsent)
        self.adopted(name, new)

    def kill(
        self,
        generation: int = 1,
        stages: Mapping[int, int] | None = None,
        records: Mapping[str, Record] | None = None,
    ) -> None:
        """A worker is dead: *stages* is what its ledger says, None where it does not know;
        *records* what is in the mailboxes, by backend.
        """
        by_pid = {self.pid_of[name]: record for name, record in (records or {}).items()}
        pid = self.pids[generation]
        self.do(events.ProcessExited(pid, -9, stages, "", by_pid))

    def backend_dies(self, name: str, status: int = 1) -> None:
        """A backend's process ends."""
        self.do(events.ProcessExited(self.pid_of[name], status))

    # ---- what has become of it ----------------------------------------------------------------

    def charge(self, name: str, spec: str = "spec") -> Charge:
        """The charge of a backend."""
        return self.state.charges[f"{name} {spec}"]

    def hold(self, name: str, spec: str = "spec") -> tuple[Hold, int]:
        """Where a charge is, and with whom."""
        charge = self.charge(name, spec)
        return charge.hold, charge.holder

    def given(self) -> list[tuple[int, v1.Adopt, bytes]]:
        """Take out what was given away, processes and grants."""
        gifts = self.take(effects.GiveBackend)
        with_process = [(e.generation, e.message, bytes(e.payload)) for e in gifts]
        return with_process + self.frames(v1.Adopt)

    def frozen_names(self) -> dict[int, list[str]]:
        """Take out who was asked to give back what."""
        return {generation: m.backends for generation, m in self.to_worker(v1.Freeze)}
