"""`relayctl report`: one swap as a Markdown post-mortem, for a person to read or to pass on."""

from pathlib import Path

import click

from relay_supervisor.ctl import journal
from relay_supervisor.ctl.journal import Journal, Swap
from relay_supervisor.ctl.postmortem import write
from relay_supervisor.ctl.releases import Releases
from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.words import count


@click.command(short_help="Tell all about a swap, in Markdown.")
@click.argument("wanted", metavar="[ID]", required=False)
@click.option("-o", "--output", metavar="FILE", help="Write it there, and not to stdout.")
def report(*, wanted: str | None, output: str | None) -> None:
    """Tell all about a swap, in Markdown: the last one, or the one whose id begins with ID.

    `relayctl history` shows the ids.
    """
    found = settings()
    events = journal.read(found.state_dir)
    swap = _chosen(events, wanted)
    text = write(swap, events.path, Releases(found.state_dir))
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
        click.echo(f"The report of swap {swap.id} is in {output}.")
    if events.skipped:
        click.echo(f"{count(events.skipped, 'line')} of the journal made no sense.", err=True)


def _chosen(events: Journal, wanted: str | None) -> Swap:
    swaps = events.swaps()
    if not swaps:
        raise click.ClickException(f"no swap is recorded in {events.path}")
    if wanted is None:
        return swaps[-1]
    exact = [swap for swap in swaps if swap.id == wanted]
    fitting = exact or [swap for swap in swaps if swap.id.startswith(wanted)]
    if not fitting:
        last = ", ".join(swap.id for swap in swaps[-5:])
        raise click.ClickException(f"no swap's id begins with {wanted}; the last ones are {last}")
    if len(fitting) > 1:
        names = ", ".join(swap.id for swap in fitting[-5:])
        raise click.UsageError(f"{wanted} fits several swaps: {names}")
    return fitting[0]
