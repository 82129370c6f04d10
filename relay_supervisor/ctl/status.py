"""`relayctl status`: the command line of it. Looking is in `view`, drawing in `table`."""

import sys
import time
from collections.abc import Callable
from typing import Final

import click
import msgspec

from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.view import View, look

WATCH_SECONDS: Final = 1.0
"""Between two looks of `--watch`."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@click.option("--instance", metavar="ID", help="Only the relay with this id, or its beginning.")
def status(*, as_json: bool, watch: bool, instance: str | None) -> None:
    """Show the health of every running relay.

    There is one relay per window of Claude Code. With --json and --watch together there is one
    object per line and second.

    \b
    Exit codes: 0 all is well (also when --watch is ended with Ctrl-C)
                1 the directory of the control sockets cannot be used
                2 the command line is wrong
                3 no relay was reached
                4 a relay is degraded, or does not answer
    """
    directory = settings().runtime_dir
    show = _print_json if as_json else _print_table
    show(lambda: look(directory, instance), watch=watch)


def _print_json(once: Callable[[], View], *, watch: bool) -> None:
    if watch:
        _until_interrupted(lambda: click.echo(once().to_json()))
    view = once()
    click.echo(msgspec.json.format(view.to_json()))
    sys.exit(view.exit_code())


def _print_table(once: Callable[[], View], *, watch: bool) -> None:
    from relay_supervisor.ctl import table  # noqa: PLC0415 - rich is half of the start-up time

    console = table.console()
    if watch:
        with table.screen(console) as redraw:
            _until_interrupted(lambda: redraw(once()))
    view = once()
    table.show(console, view)
    sys.exit(view.exit_code())


def _until_interrupted(show: Callable[[], None]) -> None:
    """Show again and again; Ctrl-C is how a watch ends, and so no failure."""
    try:
        while True:
            show()
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        sys.exit(0)
