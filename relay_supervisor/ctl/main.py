"""relayctl's command line: the commands there are, and nothing else."""

import io
import sys

import click

from relay_supervisor import __version__
from relay_supervisor.ctl.backend import backend
from relay_supervisor.ctl.config import config
from relay_supervisor.ctl.history import history
from relay_supervisor.ctl.logs import logs
from relay_supervisor.ctl.release import release, releases
from relay_supervisor.ctl.report import report
from relay_supervisor.ctl.rollback import rollback
from relay_supervisor.ctl.status import status
from relay_supervisor.ctl.swap import swap


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="relayctl")
def relayctl() -> None:
    """Look after mcp-relay, the MCP server in front of your MCP servers.

    A relay is started by your MCP client, once per window or session, and keeps its settings in
    one file, relay.yaml. relayctl finds all relays of yours that are running.

    \b
    First steps:
      relayctl status            are my relays and their backends well?
      relayctl config check      is my relay.yaml right?
      relayctl logs -f NAME      what does the backend NAME write to stderr?
      relayctl swap              take up changed code and configuration, without a restart
    """


for _command in (status, swap, rollback, history, report, releases, release, backend, config, logs):
    relayctl.add_command(_command)


def run() -> None:
    """Run relayctl with the process's arguments; ends with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 is no reason to fail
    relayctl.main(prog_name="relayctl")
