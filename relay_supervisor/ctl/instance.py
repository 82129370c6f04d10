"""One relay as `relayctl status` sees it: the shape that scripts rely on, read leniently.

Add-only. Everything but id and health has a default, as the relay may be older than relayctl.
Times are in seconds (`_s`) or milliseconds (`_ms`), memory is resident, in bytes.
"""

from typing import Any

import msgspec

from relay_supervisor.ctl.outcome import WORKER


class Supervisor(msgspec.Struct, frozen=True):
    """The process that owns the client's stdio."""

    pid: int = 0
    version: str = "?"
    uptime_s: float = 0.0
    rss_bytes: int | None = None
    reexecs: int = 0
    stderr_dropped: int = 0
    release: str = ""
    """Empty: what the relay was started from."""


class Client(msgspec.Struct, frozen=True):
    """Who is at the other end of stdio, and which protocol it speaks."""

    name: str | None = None
    version: str | None = None
    era: str | None = None
    protocol: str | None = None


class Worker(msgspec.Struct, frozen=True):
    """One generation of the part that talks to the backends. `release` is the build as well, where
    it is of the environment the relay is installed in.
    """

    generation: int = 0
    pid: int | None = None
    state: str = "?"
    release: str = "?"
    build: str = ""
    in_flight: int = 0
    rss_bytes: int | None = None


class Calls(msgspec.Struct, frozen=True):
    """Backend calls since the relay's start; the percentiles are of the recent ones."""

    total: int = 0
    in_flight: int = 0
    queued: int = 0
    retried: int = 0
    unknown_outcome: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None


class Quarantined(msgspec.Struct, frozen=True):
    """A list item the client is not shown, because it could trip over it."""

    backend: str = "?"
    kind: str = "item"
    name: str = ""
    reason: str = ""


class Registry(msgspec.Struct, frozen=True):
    """What the client is shown."""

    tools: int = 0
    prompts: int = 0
    resources: int = 0
    templates: int = 0
    digest: str | None = None
    quarantined: list[Quarantined] = []


class Backend(msgspec.Struct, frozen=True):
    """One backend as configured, and how it does."""

    name: str = "?"
    kind: str = "stdio"
    state: str = "?"
    pid: int | None = None
    tools: int = 0
    calls: int = 0
    errors: int = 0
    restarts: int = 0
    last_error: str | None = None
    skipped_lines: int = 0
    rss_bytes: int | None = None


class LastSwap(msgspec.Struct, frozen=True):
    """How the last swap of this relay ended; `from` and `to` say which versions."""

    outcome: str = "?"
    from_: str | dict[str, Any] | None = msgspec.field(default=None, name="from")
    to: str | dict[str, Any] | None = None
    seconds: float | None = None
    at: str | None = None
    reason: str = ""
    kind: str = WORKER


class Instance(msgspec.Struct, frozen=True):
    """One running relay. `health` is ok, starting or degraded; `config_path` is null where it has
    no configuration file. `releases_kept` are those it may start again or go back to.
    """

    id: str
    health: str
    supervisor: Supervisor = Supervisor()
    client: Client | None = None
    workers: list[Worker] = []
    calls: Calls = Calls()
    registry: Registry = Registry()
    backends: list[Backend] = []
    problems: list[str] = []
    last_swap: LastSwap | None = None
    config_path: str | msgspec.UnsetType | None = msgspec.UNSET
    releases_kept: list[str] = []
