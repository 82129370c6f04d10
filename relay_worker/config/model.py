"""What a configuration may say: every key, its type, its default and its range.

This is the one place where keys are declared; decoding, error messages and the reference in
`docs/configuration.md` derive from it. It must never read anything, nor expand `${…}`: the
texts here are those of the file. Reprs show no values, as users write secrets into files too.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

SECONDS_MAX: Final = 7 * 86_400
NAME_CHARS_MAX: Final = 64
"""Length of a backend's or panel's name; names become part of tool names and of file names."""

CLIENT_PREFIX: Final = "mcp__relay__"
"""What Claude Code puts in front of our tool names when the server is called `relay`."""
FULL_NAME_CHARS_MAX: Final = 64
"""Longest full tool name that every client and model API accepts."""

Kind = Literal["stdio", "http", "sse", "llm"]
REMOTE_KINDS: Final = frozenset({"http", "sse"})
RUNNABLE_KINDS: Final = frozenset({"stdio", *REMOTE_KINDS})
"""Kinds of backends that this release can run; the others are read and checked only."""

Seconds = Annotated[float, Meta(ge=0, le=SECONDS_MAX)]
PositiveSeconds = Annotated[float, Meta(ge=0.1, le=SECONDS_MAX)]
NonEmpty = Annotated[str, Meta(min_length=1)]


class ToolRules(msgspec.Struct, frozen=True):
    """Which tools of a backend are shown, and how. Patterns are shell globs on the backend's own
    tool names; `allow` None means all; `deny` wins. `rename` and `describe` are keyed by own name.
    """

    allow: tuple[NonEmpty, ...] | None = None
    deny: tuple[NonEmpty, ...] = ()
    rename: dict[str, NonEmpty] = {}
    describe: dict[str, str] = {}


class LlmSpec(msgspec.Struct, frozen=True):
    """An LLM behind an OpenAI-compatible API."""

    base_url: NonEmpty
    model: NonEmpty
    api_key: str | None = None
    max_input_tokens: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None

    def __repr__(self) -> str:
        return f"LlmSpec(model={self.model!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("model", self.model)]


class BackendSpec(msgspec.Struct, frozen=True):
    """One backend: exactly one of `command`, `url` and `llm` is set."""

    command: NonEmpty | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: NonEmpty | None = None
    url: NonEmpty | None = None
    type: Literal["stdio", "http", "sse"] | None = None
    headers: dict[str, str] = {}
    llm: LlmSpec | None = None
    enabled: bool = True
    start: Literal["eager", "lazy"] = "eager"
    start_timeout_seconds: PositiveSeconds = 120.0
    idle_stop_seconds: Seconds = 0.0
    call_timeout_seconds: PositiveSeconds | None = None
    trust_hints: bool = False
    tools: ToolRules = ToolRules()

    @property
    def kind(self) -> Kind:
        """How the backend is reached; for a URL without `type` guessed from its path."""
        if self.llm is not None:
            return "llm"
        if self.url is None:
            return "stdio"
        if self.type is not None:
            return self.type
        path = self.url.split("?", 1)[0].rstrip("/")
        return "sse" if path.endswith("/sse") else "http"

    def __repr__(self) -> str:
        return f"BackendSpec(kind={self.kind!r}, enabled={self.enabled})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("kind", self.kind), ("enabled", self.enabled)]


class PanelSpec(msgspec.Struct, frozen=True):
    """Several LLM backends that are asked together; `members` are names of backends."""

    members: Annotated[tuple[NonEmpty, ...], Meta(min_length=1)]


class Expectation(msgspec.Struct, frozen=True):
    """What the answer to a check must be like, beyond being no error."""

    text_contains: NonEmpty | None = None


class CheckSpec(msgspec.Struct, frozen=True):
    """A tool call that must succeed before a new worker is ready; `tool` is the exposed name."""

    tool: NonEmpty
    arguments: dict[str, Any] = {}
    expect: Expectation = Expectation()


class RelaySettings(msgspec.Struct, frozen=True):
    """Settings and limits of the relay itself; the unit is the end of the name."""

    separator: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,8}$")] = "__"
    prefix: bool = True
    builtin_tools: bool = True
    strict_schemas: bool = False
    tool_name_chars_max: Annotated[int, Meta(ge=24, le=128)] = FULL_NAME_CHARS_MAX - len(
        CLIENT_PREFIX
    )

    first_list_wait_seconds: Seconds = 4.0
    list_timeout_seconds: PositiveSeconds = 30.0
    list_pages_max: Annotated[int, Meta(ge=1, le=100_000)] = 1000

    queue_max_requests: Annotated[int, Meta(ge=0, le=100_000)] = 256
    queue_bytes_max: Annotated[int, Meta(ge=64 * KIB, le=GIB)] = 8 * MIB
    queue_wait_seconds: Seconds = 10.0
    requests_in_flight_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    frame_bytes_max: Annotated[int, Meta(ge=64 * KIB, le=GIB)] = 64 * MIB
    retained_bytes_max: Annotated[int, Meta(ge=64 * KIB, le=4 * GIB)] = 256 * MIB

    restart_delay_seconds: PositiveSeconds = 0.5
    restart_delay_max_seconds: PositiveSeconds = 30.0
    restart_reset_seconds: PositiveSeconds = 60.0
    restart_attempts_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 10

    drain_seconds: Seconds = 30.0
    drain_max_seconds: Seconds = 600.0
    probation_seconds: Seconds = 10.0
    probation_calls: Annotated[int, Meta(ge=0, le=100_000)] = 20
    ready_seconds_max: PositiveSeconds = 60.0
    check_seconds_max: PositiveSeconds = 10.0

    log_bytes_max: Annotated[int, Meta(ge=4 * KIB, le=GIB)] = 5 * MIB
    log_files_max: Annotated[int, Meta(ge=1, le=100)] = 3


class Config(msgspec.Struct, frozen=True):
    """A whole configuration, or what is valid of one."""

    backends: dict[str, BackendSpec] = {}
    panels: dict[str, PanelSpec] = {}
    checks: tuple[CheckSpec, ...] = ()
    relay: RelaySettings = RelaySettings()
