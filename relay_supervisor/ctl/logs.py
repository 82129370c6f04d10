"""`relayctl logs`: shows what the relays, or one backend, have written. Reads files only."""

import os
import re
import sys
import time
from typing import Final

import click

from relay_supervisor.ctl.logfile import LogFile
from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.words import harmless

LINES: Final = 100
"""Shown where nothing else is asked for."""

FOLLOW_SECONDS: Final = 0.2
"""Between two looks of `--follow`."""

_SUFFIX: Final = ".log"


@click.command(short_help="Show what the relay, or BACKEND, has logged.")
@click.argument("backend", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=LINES,
    show_default=True,
    help="How many of the last lines to show.",
)
def logs(*, backend: str | None, follow: bool, lines: int) -> None:
    """Show the relay's own log, or what BACKEND has written to stderr.

    All relays write to the same files. They are rotated, so old lines are gone after a while.
    """
    directory = os.path.join(settings().state_dir, "logs")
    path = os.path.join(directory, f"relay{_SUFFIX}")
    if backend is not None:
        path = _backend_log(os.path.join(directory, "backends"), backend)
    log = LogFile(path)
    try:
        if not os.path.exists(path):
            _missing(path, backend, follow=follow)
        _show(log.last(lines))
        while follow:
            time.sleep(FOLLOW_SECONDS)
            _show(log.new())
    except KeyboardInterrupt:
        sys.exit(0)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from error
    finally:
        log.close()


def _backend_log(directory: str, backend: str) -> str:
    """Return the path of a backend's log.

    The worker replaces what is unfit for a file name in the backend's name, and adds a hash then.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", backend)
    names = _logged(directory)
    if safe != backend and backend not in names:
        hashed = re.compile(re.escape(safe) + "_[0-9a-f]{8}")
        safe = next((name for name in names if hashed.fullmatch(name)), safe)
    return os.path.join(directory, safe + _SUFFIX)


def _logged(directory: str) -> list[str]:
    try:
        return sorted(
            name.removesuffix(_SUFFIX) for name in os.listdir(directory) if name.endswith(_SUFFIX)
        )
    except FileNotFoundError:
        return []


def _missing(path: str, backend: str | None, *, follow: bool) -> None:
    """Say that there is no log yet, and what there is.

    Raises:
        click.ClickException: nobody wants to wait for it.
    """
    text = f"nothing is logged yet: there is no {path}"
    if backend is not None:
        names = ", ".join(_logged(os.path.dirname(path)))
        others = f"there are logs of {names}" if names else "no backend has written any yet"
        text = f"{backend!r} has written no log; {others}"
    if not follow:
        raise click.ClickException(text)
    click.echo(f"Waiting: {text}", err=True)


def _show(data: bytes) -> None:
    """Print log lines: as they are in a pipe, harmless on a terminal."""
    if not data:
        return
    if sys.stdout.isatty():
        click.echo(harmless(data.decode(errors="replace"), keep="\n\t"), nl=False)
    else:
        click.echo(data, nl=False)
