"""The journal: what the relays of this user have been through, one JSON object a line.

    <state directory>/journal.jsonl, and journal.1.jsonl from before it was rotated

Workers append to it; here it is only read, and leniently: a line torn by a full disk or edited by
somebody is skipped and counted, what is not known of an event is kept as it is.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

FILES: Final = ("journal.1.jsonl", "journal.jsonl")
FILE_BYTES_MAX: Final = 64 << 20
"""Of a larger file only the end is read."""

LAST_WORDS: Final = ("drained", "worker_died")
"""Events that tell what became of a worker's calls."""

_Kind = TypeVar("_Kind")


class Entry(msgspec.Struct, frozen=True):
    """One event. `at` is UTC, `fields` all that is not told otherwise, `raw` the line."""

    at: str
    instance: str
    event: str
    fields: dict[str, Any]
    raw: str

    def get(self, name: str, kind: type[_Kind], default: _Kind) -> _Kind:
        """Return the field *name*, or *default* where it is missing or of another shape."""
        try:
            return msgspec.convert(self.fields.get(name), kind)
        except msgspec.ValidationError:
            return default

    @property
    def swap(self) -> str | None:
        """The id of the swap this is about, as `relayctl swap` gives it; None if it is of none."""
        number = self.fields.get("swap")
        if isinstance(number, int):
            return f"{self.instance}-{number}"
        return number if isinstance(number, str) else None


class Swap(msgspec.Struct):
    """One swap: its entries, the one of its end (if it has come to one), what else the relay went
    through meanwhile, and how the worker ended that it let go: the old one, or the new one that
    was not kept.
    """

    id: str
    entries: list[Entry] = []
    ended: Entry | None = None
    meanwhile: list[Entry] = []
    let_go: Entry | None = None

    def lets_go(self, entry: Entry) -> bool:
        """Tell whether *entry* is the end of the generation that this swap, now over, let go."""
        if self.ended is None or entry.event not in LAST_WORDS:
            return False
        kept = self.ended.get("outcome", str, "") == "committed"
        gone = self.ended.get("from" if kept else "to", dict[str, Any], {})
        return "generation" in gone and gone["generation"] == entry.fields.get("generation")


class Journal(msgspec.Struct, frozen=True):
    """All that can be read, the oldest first; `skipped` lines could not be."""

    entries: list[Entry]
    skipped: int
    path: Path

    def swaps(self) -> list[Swap]:
        """Return the swaps, in the order of their beginning."""
        swaps: dict[str, Swap] = {}
        of_relay: dict[str, list[Swap]] = {}
        for entry in self.entries:
            its = of_relay.setdefault(entry.instance, [])
            if (name := entry.swap) is None:
                for swap in its:
                    _add(swap, entry)
                continue
            if name not in swaps:
                swaps[name] = Swap(name)
                its.append(swaps[name])
            swaps[name].entries.append(entry)
            if entry.event == "swap_ended":
                swaps[name].ended = entry
        return list(swaps.values())


def _add(swap: Swap, entry: Entry) -> None:
    """Let *swap* have an event of its relay, if it has to do with it."""
    if swap.ended is None:
        swap.meanwhile.append(entry)
    elif swap.lets_go(entry):
        swap.let_go = entry


def read(state_dir: str) -> Journal:
    """Return the journal in the state directory; one that was never written is empty.

    Raises:
        click.ClickException: it cannot be read.
    """
    entries: list[Entry] = []
    skipped = 0
    for name in FILES:
        path = Path(state_dir) / name
        try:
            for line in _lines(path):
                entry = _entry(line)
                if entry is None:
                    skipped += 1
                else:
                    entries.append(entry)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise click.ClickException(f"{path} cannot be read: {error.strerror}") from error
    return Journal(entries, skipped, Path(state_dir) / FILES[-1])


def _lines(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        start = max(0, path.stat().st_size - FILE_BYTES_MAX)
        file.seek(start)
        if start:
            file.readline()  # the rest of a line
        for line in file:
            if line := line.strip():
                yield line


def _entry(line: bytes) -> Entry | None:
    try:
        found = msgspec.json.decode(line, type=dict[str, Any])
        text = line.decode()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    at, instance, event = (found.pop(key, "") for key in ("at", "instance", "event"))
    if not isinstance(event, str) or not event:
        return None
    return Entry(str(at), str(instance), event, found, text)
