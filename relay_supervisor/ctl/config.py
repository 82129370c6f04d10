"""`relayctl config`: where the configuration is, and what is wrong with it. Changes nothing."""

import os
import sys

import click

from relay_supervisor.ctl.words import clean, count
from relay_worker.config.load import Loaded, load_located
from relay_worker.config.locate import locate
from relay_worker.config.model import RUNNABLE_KINDS
from relay_worker.config.problems import Severity


@click.group()
def config() -> None:
    """Look at the configuration, relay.yaml."""


@config.command()
@click.argument("file", required=False, type=click.Path())
def check(*, file: str | None) -> None:
    """Check FILE, or the configuration a relay started here would read.

    Every problem is a line with its place, its key and what was expected there. Variables such as
    ${TOKEN} are looked up in this shell's environment; your MCP client may have another one.

    \b
    Exit codes: 0 valid, perhaps with warnings
                1 something in it cannot be used
                2 the command line is wrong
    """
    location = locate(file, os.environ)
    loaded = load_located(location, os.environ)
    for problem in loaded.problems:
        click.echo(clean(str(problem)))
    errors = sum(problem.severity is Severity.ERROR for problem in loaded.problems)
    if loaded.path is None:
        click.echo(f"There is no {location.path}: the relay starts with its demonstration.")
    else:
        click.echo(_verdict(loaded, errors))
    sys.exit(1 if errors else 0)


@config.command()
def path() -> None:
    """Print the path of the configuration a relay started here would read.

    It is that of the variable RELAY_CONFIG, or else relay/relay.yaml in the directory
    XDG_CONFIG_HOME or ~/.config. `mcp-relay --config FILE` overrides it.
    """
    location = locate(None, os.environ)
    click.echo(os.fsencode(location.path))
    if not location.path.exists():
        click.echo("There is no such file yet.", err=True)


def _verdict(loaded: Loaded, errors: int) -> str:
    """Say in one line whether the file can be used, and for what."""
    if loaded.broken:
        return f"{loaded.path} cannot be used: a running relay goes on with what it has."
    enabled = {name: spec.kind for name, spec in loaded.config.backends.items() if spec.enabled}
    names = [clean(name) for name, kind in enabled.items() if kind in RUNNABLE_KINDS]
    usable = f"{count(len(names), 'backend')} enabled" + (f": {', '.join(names)}" if names else "")
    if idle := [f"{clean(n)} ({k})" for n, k in enabled.items() if k not in RUNNABLE_KINDS]:
        usable += f"; of a kind that this version does not run: {', '.join(idle)}"
    if not errors:
        return f"{loaded.path} is valid; {usable}"
    return f"{loaded.path} has {count(errors, 'error')}; the rest would run, {usable}"
