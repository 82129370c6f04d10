"""Which releases are in use, and for what: these must not be removed.

The process table is asked as well as the relays: a relay may be stopped, or have its sockets in
another directory, and still run a release.
"""

import os
from collections import defaultdict
from collections.abc import Iterator

import msgspec

from relay_supervisor.ctl.instance import Instance
from relay_supervisor.ctl.releases import CURRENT, PREVIOUS, Releases
from relay_supervisor.ctl.view import ask

RUNNING = "running"
REMEMBERED = "remembered"
"""A relay may go back to it, or start it again."""


def uses(releases: Releases, runtime_dir: str) -> dict[str, set[str]]:
    """Return the uses (current, previous, running, remembered) of those releases that have any.

    Raises:
        click.ClickException: the runtime directory is not safely ours.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for use, name in ((CURRENT, releases.current()), (PREVIOUS, releases.previous())):
        if name:
            found[name].add(use)
    for name, use in _told(runtime_dir):
        found[name].add(use)
    for name in _seen(releases):
        found[name].add(RUNNING)
    return {name: kinds for name, kinds in found.items() if releases.find(name) is not None}


def _told(runtime_dir: str) -> Iterator[tuple[str, str]]:
    """Yield the releases that the relays which answer run or remember, and which of the two."""
    for status in ask(runtime_dir, None).instances:
        relay = msgspec.convert(status, Instance)
        running = {relay.supervisor.release, *(worker.release for worker in relay.workers)}
        yield from ((name, RUNNING) for name in running)
        yield from ((name, REMEMBERED) for name in relay.releases_kept if name not in running)


def _seen(releases: Releases) -> Iterator[str]:
    """Yield the releases whose interpreter or programs a process was started with."""
    import psutil  # noqa: PLC0415 - slow to import

    places = {str(releases.directory) + os.sep, os.path.realpath(releases.directory) + os.sep}
    for process in psutil.process_iter(["cmdline"]):
        for word in process.info["cmdline"] or ():
            for place in places:
                if word.startswith(place):
                    yield word.removeprefix(place).split(os.sep, 1)[0]
