"""`relayctl swap --watch`: a swap for every change of the code or the configuration.

Looks at times and sizes of files; reads none of them. What does not come up is the relay's to
refuse: the last good version serves on, and the next change is the next try.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

import click

import relay_supervisor.wire
import relay_worker.config
from relay_supervisor.ctl import target
from relay_supervisor.ctl.account import as_object
from relay_supervisor.ctl.changing import Changes, change_all
from relay_supervisor.ctl.outcome import Phase
from relay_supervisor.ctl.progress import Progress, shown
from relay_supervisor.ctl.swapping import Swapping
from relay_supervisor.ctl.words import clean, count

POLL_SECONDS: Final = 0.5
DEBOUNCE_SECONDS: Final = 0.3
"""So long nothing may change before a change counts: an editor, or git, is done then."""

CUT_OVER: Final = "active"
"""The phase that a swap is in while it is on probation."""

Seen: TypeAlias = Mapping[str, tuple[int, int]]


class Superseded(Exception):
    """Something has changed again while the version before is on probation."""


class Watcher:
    """Knows what has changed since it was last told that this is known."""

    def __init__(self, files: Iterable[str], roots: Iterable[Path]) -> None:
        """Watch these *files*, which need not exist, and all Python sources below *roots*."""
        self._files = list(files)
        self._roots = list(roots)
        self._seen = self._scan()

    def __len__(self) -> int:
        return len(self._seen)

    def changed(self) -> list[str]:
        """Return the paths that are new, changed or gone. A watched file that is gone does not
        count: it is about to be replaced, or the relay could not read it anyway.
        """
        return self._differing(self._scan())

    def _differing(self, now: Seen) -> list[str]:
        paths = now.keys() | self._seen.keys()
        differing = {path for path in paths if now.get(path) != self._seen.get(path)}
        return sorted(path for path in differing if path in now or path not in self._files)

    def wait(self) -> list[str]:
        """Return what has changed, once something has and then nothing for a while."""
        while True:
            while not self.changed():
                time.sleep(POLL_SECONDS)
            changed, now = self._settled()
            if changed:
                self._seen = now
                return changed

    def _settled(self) -> tuple[list[str], Seen]:
        """Wait until nothing changes any more; return what is different then, and what is there."""
        while True:
            before = self._scan()
            time.sleep(DEBOUNCE_SECONDS)
            if self._scan() == before:
                return self._differing(before), before

    def _scan(self) -> Seen:
        seen: dict[str, tuple[int, int]] = {}
        for path in self._files:
            try:
                status = os.stat(path)
            except OSError:
                continue
            seen[path] = (status.st_mtime_ns, status.st_size)
        for root in self._roots:
            seen.update(_sources(root))
        return seen


def watch_and_swap(work: Swapping, *, as_json: bool) -> NoReturn:
    """Swap at every change, until Ctrl-C.

    Raises:
        click.ClickException: at the start no relay is reached.
    """
    relays = work.relays().relays
    configs = sorted({path for relay in relays if (path := relay.config_path(work.settings))})
    watcher = Watcher(configs, _code())
    if not as_json:
        names = clean(", ".join([*configs, *map(str, _code())]))
        click.echo(f"Watching {count(len(watcher), 'file')} in {names}; Ctrl-C ends it.")
        for relay in relays:
            if name := relay.release():
                click.echo(
                    f"relay {clean(relay.id)} runs release {clean(name)}, which never changes: its "
                    "configuration is taken up. `relayctl swap installed` takes it to this code."
                )
    try:
        while True:
            _swap(work, watcher, watcher.wait(), as_json=as_json)
    except KeyboardInterrupt:
        sys.exit(0)


def _swap(work: Swapping, watcher: Watcher, changed: list[str], *, as_json: bool) -> None:
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    title = f"{time.strftime('%H:%M:%S')} {clean(os.path.basename(changed[0]))}{more}: "

    def tick(phase: Phase) -> None:
        # Before the cut-over the relay would refuse another swap.
        if phase.phase == CUT_OVER and watcher.changed():
            raise Superseded

    try:
        with shown(silent=as_json, keep=False) as progress:
            changes, backups = _change(work, progress, title, tick)
    except Superseded:
        if not as_json:
            click.echo(f"{title}superseded, as something has changed again.")
    except click.ClickException as error:
        click.echo(title + error.message, err=True)
    else:
        if as_json:
            click.echo(as_object(changes, "", backups, work.releases.current()))


def _change(
    work: Swapping, progress: Progress, title: str, tick: Callable[[Phase], None]
) -> tuple[Changes, dict[str, str]]:
    relays = work.relays()
    backups = work.back_up(relays)
    changes = change_all(
        relays,
        "swap",
        lambda relay: work.args(target.KEEP, backups, relay),
        progress,
        done=lambda change: progress.result(title + change.words()),
        tick=tick,
    )
    for line in changes.rest():
        progress.result(title + line)
    return changes, backups


def _code() -> list[Path]:
    """Return the directories with the code that a worker runs, and relayctl runs on."""
    worker = Path(relay_worker.config.__path__[0]).parent
    return [worker, Path(relay_supervisor.wire.__path__[0])]


def _sources(folder: str | Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the Python sources below *folder*, without what editors put beside them."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((".", "#")) or entry.name == "__pycache__":
                    continue
                if entry.is_dir():
                    yield from _sources(entry.path)
                elif entry.name.endswith(".py"):
                    status = entry.stat()
                    yield entry.path, (status.st_mtime_ns, status.st_size)
    except OSError:
        return  # just being replaced; the next look sees what became of it
