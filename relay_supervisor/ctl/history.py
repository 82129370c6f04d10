"""`relayctl history`: what the relays have been through, a line for each event."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import click
import msgspec

from relay_supervisor.ctl import journal
from relay_supervisor.ctl.journal import Entry, Journal
from relay_supervisor.ctl.outcome import SUPERVISOR, WORKER, Version, outcome
from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.words import clean, count, local_time, seconds

EVENTS: Final = 20
"""Shown where nothing else is asked for."""

PHASE: Final = "swap_phase"


@click.command(short_help="Show swaps, crashes and recoveries of the relays.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.option(
    "-n",
    "--events",
    type=click.IntRange(min=0),
    default=EVENTS,
    show_default=True,
    help="How many of the last events to show.",
)
def history(*, as_json: bool, events: int) -> None:
    """Show what the relays have been through: swaps, crashes, recoveries.

    The last event comes last. Relays that have ended are in it too. `relayctl report ID` tells
    more of a swap.
    """
    found = journal.read(settings().state_dir)
    if as_json:
        entries = [msgspec.Raw(entry.raw.encode()) for entry in _last(found.entries, events)]
        whole = {"entries": entries, "skipped_lines": found.skipped}
        click.echo(msgspec.json.encode(whole))
        return
    lines = [_line(entry) for entry in _last(_telling(found), events)]
    if not found.entries:
        click.echo(f"Nothing is recorded yet in {found.path}.")
    for line in lines:
        click.echo(line)
    if found.skipped:
        click.echo(f"{count(found.skipped, 'line')} of the journal made no sense.", err=True)


def _telling(found: Journal) -> list[Entry]:
    """Leave out the phases of swaps, but for the last one of a swap that has not ended."""
    unended = {id(swap.entries[-1]) for swap in found.swaps() if swap.ended is None}
    return [entry for entry in found.entries if entry.event != PHASE or id(entry) in unended]


def _last(entries: list[Entry], number: int) -> list[Entry]:
    return entries[-number:] if number else []


def _line(entry: Entry) -> str:
    return clean(f"{local_time(entry.at)}  {entry.instance:<8}  {event_words(entry)}")


def event_words(entry: Entry) -> str:
    """Return an event as words."""
    return _TELLING.get(entry.event, _anything)(entry)


def version_words(value: object) -> str:
    """Return a version of the journal, an object or a text, as words."""
    if isinstance(value, str) and value:
        return value
    try:
        found = msgspec.convert(value, Version)
    except msgspec.ValidationError:
        return "nothing"
    return found.words() if value else "nothing"


def fields_words(fields: Mapping[str, Any]) -> str:
    """Return fields that nobody knows better as `name value, name value`."""
    texts = (f"{spoken(name)} {value_words(value)}" for name, value in fields.items())
    return ", ".join(texts)


def spoken(name: str) -> str:
    """Return a key of the journal as words."""
    return name.replace("_", " ")


def value_words(value: object) -> str:
    """Return a value of the journal as text: JSON, but for a text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def op_words(ended: Entry) -> str:
    """Return what a swap was: `swap`, `rollback` or `swap of the supervisor`."""
    of = " of the supervisor" if ended.get("kind", str, WORKER) == SUPERVISOR else ""
    return ended.get("op", str, "swap") + of


def _swap_ended(entry: Entry) -> str:
    before, after = (version_words(entry.fields.get(name)) for name in ("from", "to"))
    words = outcome(entry.get("outcome", str, "?"))
    took = seconds(entry.get("seconds", float, 0.0))
    text = f"{op_words(entry)} {entry.swap} {words} after {took}: {before} to {after}"
    reason = entry.get("reason", str, "")
    return f"{text}: {reason}" if reason else text


def _swap_phase(entry: Entry) -> str:
    return f"swap {entry.swap} is {entry.get('phase', str, '?')}, its end is not recorded"


def _worker_died(entry: Entry) -> str:
    rest = {name: value for name, value in entry.fields.items() if name not in _TOLD}
    calls = _calls_words(entry.get("calls", dict[str, Any], {}))
    text = f"worker of generation {entry.fields.get('generation', '?')} ended"
    text += f" ({entry.get('how', str, 'for no known reason')})"
    text += f"; of its calls {calls}" if calls else ""
    return f"{text}; {fields_words(rest)}" if rest else text


def _calls_words(calls: Mapping[str, Any]) -> str:
    """Return what became of calls; what became of none is left out."""
    texts = (
        f"{value_words(n)} {LOSSES.get(name) or spoken(name)}" for name, n in calls.items() if n
    )
    return ", ".join(texts)


LOSSES: Final = {
    "going_on": "gone on at their backends, for the next worker to deliver",
    "resent": "given to the next worker",
    "unknown": "answered with an unknown outcome",
    "given_up": "given up, as worker after worker died of them",
}
"""What became of the calls of a dead worker, after their number or before it."""

_TOLD: Final = ("generation", "how", "calls")


def _started(entry: Entry) -> str:
    return f"relay started, version {entry.get('build', str, '?')}"


def _drained(entry: Entry) -> str:
    took = seconds(entry.get("seconds", float, 0.0))
    text = f"worker of generation {entry.fields.get('generation', '?')} was done after {took}"
    under_way, cancelled = entry.get("calls", int, 0), entry.get("cancelled", int, 0)
    if under_way:
        text += f" with {count(under_way, 'call')}"
    if handed_over := entry.get("handed_over", int, 0):
        text += f", {handed_over} handed over with their backends"
    return text + f", {cancelled} cancelled" if cancelled else text


def _degraded(entry: Entry) -> str:
    condition = entry.get("condition", str, "?")
    return _CONDITIONS.get(condition) or _anything(entry)


_CONDITIONS: Final = {
    "last good": "crash loop: the last good version is started",
    "degraded": "degraded: no worker stays up; one is tried now and then",
}


def _anything(entry: Entry) -> str:
    name = spoken(entry.event)
    return f"{name}: {fields_words(entry.fields)}" if entry.fields else name


_TELLING: Final[Mapping[str, Callable[[Entry], str]]] = {
    "started": _started,
    "swap_ended": _swap_ended,
    PHASE: _swap_phase,
    "worker_died": _worker_died,
    "drained": _drained,
    "degraded": _degraded,
}
