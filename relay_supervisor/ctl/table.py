"""The status as a person reads it: plain text in a pipe, colours on a terminal, 80 columns enough.

Draws what it is given; all text that comes from a relay or a backend passes `words.clean`.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from relay_supervisor.ctl.instance import (
    Backend,
    Calls,
    Client,
    Instance,
    LastSwap,
    Registry,
    Supervisor,
    Worker,
)
from relay_supervisor.ctl.outcome import outcome
from relay_supervisor.ctl.view import View
from relay_supervisor.ctl.words import (
    clean,
    count,
    duration,
    local_time,
    memory,
    milliseconds,
    seconds,
)

PIPE_COLUMNS: Final = 4096
"""Where nobody sees the width, long lines are left alone; COLUMNS sets another."""

DIGEST_CHARS: Final = 8
"""Enough to see whether two lists are the same; all of it is in `--json`."""

_COLOURS: Final = {
    **dict.fromkeys(("ok", "ready", "active"), "green"),
    **dict.fromkeys(("degraded", "failed"), "red"),
    **dict.fromkeys(("idle", "disabled", "standby", "retired"), "dim"),
}
"""Of a health or a state; whatever else there is is on its way somewhere, and yellow."""

_COLUMNS: Final = ("backend", "state", "pid", "tools", "calls", "errors", "restarts", "memory")


def console() -> Console:
    """Return a console on stdout; NO_COLOR, TERM and COLUMNS count as everywhere."""
    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPE_COLUMNS
    return made


def draw(view: View) -> RenderableType:
    """Return the whole status, to be printed."""
    parts = [_relay(msgspec.convert(instance, Instance)) for instance in view.instances]
    parts += [_unreachable(relay["id"], relay["reason"]) for relay in view.unreachable]
    return Group(*parts) if parts else Text(view.nothing)


def show(console: Console, view: View) -> None:
    """Print the whole status."""
    if console.is_terminal:
        console.print(draw(view))
        return
    with console.capture() as capture:
        console.print(draw(view))
    for line in capture.get().splitlines():  # rich fills lines up with blanks
        console.file.write(line.rstrip() + "\n")
    console.file.flush()


@contextlib.contextmanager
def screen(console: Console) -> Iterator[Callable[[View], None]]:
    """Give a function that shows a view in place of the one before.

    On a terminal the last view stays when it is over; in a pipe all of them follow one another.
    """
    if not console.is_terminal:
        yield lambda view: show(console, view)
        return
    last: RenderableType = ""

    def redraw(view: View) -> None:
        nonlocal last
        last = draw(view)
        live.update(last, refresh=True)

    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            yield redraw
    finally:
        console.print(last)


def _relay(relay: Instance) -> RenderableType:
    parts: list[RenderableType] = [_title(relay), Padding(_summary(relay), (0, 0, 0, 2))]
    if relay.backends:
        parts += ["", Padding(_backends(relay.backends), (0, 0, 0, 2))]
    parts += _section("last errors", _errors(relay.backends))
    parts += _section("left out of the lists", _quarantined(relay))
    parts += _section("problems", [clean(problem) for problem in relay.problems])
    return Group(*parts, "")


def _summary(relay: Instance) -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, style="dim")
    rows.add_column(overflow="fold")
    rows.add_row("client", _client(relay.client))
    rows.add_row("supervisor", _supervisor(relay.supervisor))
    for worker in relay.workers:
        rows.add_row("worker", _worker(worker))
    if not relay.workers:
        rows.add_row("worker", Text("none", "red"))
    rows.add_row("calls", _calls(relay.calls))
    rows.add_row("registry", _registry(relay.registry))
    if relay.last_swap is not None:
        rows.add_row("last swap", _last_swap(relay.last_swap))
    return rows


def _title(relay: Instance) -> Text:
    return Text.assemble(
        (f"relay {clean(relay.id)}", "bold"),
        "  ",
        _state(relay.health, "bold "),
        f"  up {duration(relay.supervisor.uptime_s)}",
    )


def _client(client: Client | None) -> str:
    if client is None or client.era is None:
        return "none yet"
    name = clean(f"{client.name or 'unnamed'} {client.version or ''}")
    return _facts(name, clean(f"{client.era} {client.protocol or ''}"))


def _supervisor(supervisor: Supervisor) -> str:
    return _facts(
        f"pid {supervisor.pid}",
        f"version {clean(supervisor.version)}",
        f"release {clean(supervisor.release)}" if supervisor.release else "",
        memory(supervisor.rss_bytes),
        count(supervisor.reexecs, "upgrade") if supervisor.reexecs else "",
        f"{supervisor.stderr_dropped:,} log lines dropped" if supervisor.stderr_dropped else "",
    )


def _worker(worker: Worker) -> Text:
    before = f"generation {worker.generation}, "
    after = _facts(
        f" pid {worker.pid}" if worker.pid is not None else "",
        f"release {clean(worker.release)}",
        f"{worker.in_flight:,} in flight",
        memory(worker.rss_bytes),
    )
    return Text.assemble(before, _state(worker.state), ",", after)


def _calls(calls: Calls) -> str:
    return _facts(
        f"{calls.total:,} made",
        f"{calls.in_flight:,} in flight",
        f"{calls.queued:,} queued" if calls.queued else "",
        f"{calls.retried:,} made again" if calls.retried else "",
        f"{calls.unknown_outcome:,} with unknown outcome" if calls.unknown_outcome else "",
        "" if calls.p50_ms is None else f"p50 {milliseconds(calls.p50_ms)}",
        "" if calls.p99_ms is None else f"p99 {milliseconds(calls.p99_ms)}",
    )


def _registry(registry: Registry) -> str:
    return _facts(
        count(registry.tools, "tool"),
        count(registry.prompts, "prompt"),
        count(registry.resources, "resource"),
        count(registry.templates, "template"),
        f"digest {clean(registry.digest[:DIGEST_CHARS])}" if registry.digest else "",
    )


def _last_swap(swap: LastSwap) -> str:
    took = "" if swap.seconds is None else f" after {seconds(swap.seconds)}"
    at = f"at {local_time(swap.at)}" if swap.at else ""
    return _facts(f"{outcome(swap.outcome)}{took}", at, clean(swap.reason))


def _backends(backends: list[Backend]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in _COLUMNS:
        right = column not in {"backend", "state"}
        table.add_column(
            column,
            justify="right" if right else "left",
            no_wrap=column != "backend",
            overflow="fold",
        )
    for backend in backends:
        kind = "" if backend.kind == "stdio" else f" ({clean(backend.kind)})"
        table.add_row(
            clean(backend.name) + kind,
            _state(backend.state),
            "" if backend.pid is None else str(backend.pid),
            f"{backend.tools:,}",
            f"{backend.calls:,}",
            _alarming(backend.errors),
            _alarming(backend.restarts),
            memory(backend.rss_bytes),
        )
    return table


def _errors(backends: list[Backend]) -> list[str]:
    lines = []
    for backend in backends:
        if backend.last_error:
            lines.append(f"{clean(backend.name)}: {clean(backend.last_error)}")
        if backend.skipped_lines:
            skipped = count(backend.skipped_lines, "line")
            lines.append(f"{clean(backend.name)}: skipped {skipped} of its stdout (no JSON-RPC)")
    return lines


def _quarantined(relay: Instance) -> list[str]:
    return [
        clean(f"{item.backend}: {item.kind} {item.name!r}: {item.reason}")
        for item in relay.registry.quarantined
    ]


def _section(title: str, lines: list[str]) -> list[RenderableType]:
    if not lines:
        return []
    hanging = Table.grid(padding=(0, 1))
    for line in lines:
        hanging.add_row("-", Text(line, overflow="fold"))
    return ["", Text(f"  {title}", "dim"), Padding(hanging, (0, 0, 0, 2))]


def _unreachable(name: str, reason: str) -> RenderableType:
    return Group(
        Text.assemble((f"relay {clean(name)}", "bold"), "  ", ("unreachable", "bold red")),
        Padding(Text(clean(reason)), (0, 0, 0, 2)),
        "",
    )


def _state(word: str, style: str = "") -> Text:
    return Text(clean(word), style + _COLOURS.get(word, "yellow"))


def _alarming(number: int) -> Text:
    return Text(f"{number:,}", "yellow" if number else "")


def _facts(*facts: str) -> str:
    return ", ".join(fact for fact in facts if fact)
