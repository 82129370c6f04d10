"""What the environment tells relayctl: the same settings the relay reads, errors as click's."""

import os

import click

from relay_supervisor.settings import Settings, from_environment


def settings(config: str | None = None) -> Settings:
    """Return the settings a relay started here would have; *config* as for `mcp-relay --config`.

    Raises:
        click.ClickException: a variable of the environment has a value that is not allowed.
    """
    found = from_environment(os.environ, os.getcwd(), os.getuid(), config)
    if found.problems:
        raise click.ClickException("; ".join(found.problems))
    return found
