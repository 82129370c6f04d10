"""`relayctl backend`: what concerns one backend of the configuration."""

import click

from relay_supervisor.ctl.login import login


@click.group()
def backend() -> None:
    """Look after a single backend of the configuration."""


backend.add_command(login)
