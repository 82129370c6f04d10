"""The backends of a configuration, each made as its kind wants it. Their lives are their own."""

from pathlib import Path

from relay_supervisor.wire import v1
from relay_worker.backends.base import Backend, Host, Watcher
from relay_worker.backends.handover import MovableBackend
from relay_worker.backends.remote.workshop import Workshop
from relay_worker.backends.surroundings import Surroundings
from relay_worker.builtin_tools import BuiltinBackend
from relay_worker.config.expand import spec_hash
from relay_worker.config.model import REMOTE_KINDS, BackendSpec
from relay_worker.configuration import Settings
from relay_worker.lists import RawLists
from relay_worker.plans import plan_of, remote_plan_of


class Fleet:
    """`all` has the backends by name in the order of the file, the relay's own tools last; `hashes`
    tell which of them are what they were in another worker.
    """

    def __init__(
        self,
        settings: Settings,
        message: v1.Configure,
        around: Surroundings,
        host: Host,
        watcher: Watcher,
        *,
        builtin: BuiltinBackend | None,
    ) -> None:
        self.hashes = {name: spec_hash(spec) for name, spec in settings.expanded.items()}
        self.stdio: dict[str, MovableBackend] = {}
        self.remote = Workshop(around, host, watcher)
        self.all: dict[str, Backend] = {}
        self._settings = settings
        self._message = message
        self._around = around
        self._host = host
        self._watcher = watcher
        for name, spec in settings.config.backends.items():
            if spec.kind in REMOTE_KINDS:
                self.all[name] = self._make_remote(name, spec)
            elif spec.kind == "stdio":
                self.all[name] = self.stdio[name] = self._make_stdio(name, spec)
        if builtin is not None:
            self.all[builtin.name] = builtin

    def infos(self) -> list[v1.BackendInfo]:
        """Return what the supervisor is to know of them, those that cannot run at all included."""
        settings = self._settings
        kinds = {backend.name: backend.kind for backend in self.all.values()}
        return [
            v1.BackendInfo(
                name,
                kind,
                self._call_timeout(name),
                settings.fingerprints[name],
                self.hashes.get(name, "") if name in self.stdio else "",
            )
            for name, kind in (dict.fromkeys(settings.unusable, "stdio") | kinds).items()
        ]

    def remember(self, name: str, lists: RawLists) -> None:
        """A backend had these lists before this worker was there."""
        backend = self.stdio.get(name) or self.remote.backends.get(name)
        if backend is not None and backend.lists is None:
            backend.lists = lists

    def known_session(self, message: v1.KnownSession, payload: bytes) -> None:
        """Another worker has begun a session with a remote backend."""
        if backend := self.remote.backends.get(message.backend):
            backend.known(message, payload)

    def attend(self, message: v1.Attend, _payload: bytes) -> None:
        """Hear what remote servers say by themselves, or leave that to another worker."""
        self.remote.attend(attending=message.attend)

    def _make_remote(self, name: str, spec: BackendSpec) -> Backend:
        plan = remote_plan_of(
            name,
            spec,
            self._settings.expanded.get(name),
            settings=self._settings.config.relay,
            state_dir=Path(self._message.state_dir),
        )
        return self.remote.add(plan)

    def _make_stdio(self, name: str, spec: BackendSpec) -> MovableBackend:
        plan = plan_of(
            name,
            spec,
            self._settings.expanded.get(name),
            project=self._message.project,
            instance=self._message.instance,
        )
        return MovableBackend(plan, self._around, self._host, self._watcher)

    def _call_timeout(self, name: str) -> float | None:
        spec = self._settings.config.backends.get(name)
        return spec.call_timeout_seconds if spec else None
