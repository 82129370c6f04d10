"""`relayctl swap`: the command line of it. The relays do the work; here is the order of things:
the configuration is backed up, the release is made, and then the relays follow one another.
"""

import sys

import click

from relay_supervisor.ctl import target
from relay_supervisor.ctl.account import (
    GOES_ON,
    NOTHING_BEGUN,
    as_object,
    ending_with,
    interruptible,
    report,
)
from relay_supervisor.ctl.changing import change_all
from relay_supervisor.ctl.command import tidy_at_signals
from relay_supervisor.ctl.progress import shown
from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.swapping import ReplacingSupervisors, Swapping


@click.command()
@click.argument("wanted", metavar="[RELEASE|PATH]", required=False)
@click.option("--force", is_flag=True, help="Take it even if tools or health are lost.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end of the probation.")
@click.option("--instance", metavar="ID", help="Only the relay with this id, or its beginning.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.option("--watch", is_flag=True, help="Swap whenever code or configuration change.")
@click.option("--supervisor", is_flag=True, help="Replace the supervisors, and not the workers.")
def swap(
    *,
    wanted: str | None,
    force: bool,
    no_wait: bool,
    instance: str | None,
    as_json: bool,
    watch: bool,
    supervisor: bool,
) -> None:
    """Replace the worker of every running relay, under its calls.

    Without an argument each relay takes up what has changed in its code and in its configuration.
    RELEASE is the name of a release (see `relayctl releases`), "current", or "installed" for the
    environment of relayctl itself. A PATH has a / in it: a wheel, a directory with sources or a git
    checkout is made a release first.

    The relays follow one another, and the first failure ends it. A new worker that fails within its
    probation is taken back, and the old one serves again: your client notices nothing.

    With --supervisor each relay goes on with the supervisor's code of RELEASE or PATH, or with its
    own as it is on the disk now: the same process, with its client, workers, backends and calls.
    Code that cannot do that is refused, and the old one goes on.

    \b
    Exit codes: 0 all relays have it
                1 it failed or was taken back, and the old version serves
                2 the command line is wrong
                3 no relay was reached
    """
    target.check_words(wanted)
    if supervisor and (force or no_wait or watch):
        raise click.UsageError("--supervisor takes neither --force, --no-wait nor --watch")
    if watch and wanted is not None:
        raise click.UsageError("--watch swaps to what changes here, so it takes no RELEASE or PATH")
    kind = ReplacingSupervisors if supervisor else Swapping
    work = kind(settings(), force=force, no_wait=no_wait, instance=instance)
    if not watch:
        sys.exit(_once(work, wanted, as_json=as_json))
    from relay_supervisor.ctl.watching import watch_and_swap  # noqa: PLC0415 - seldom wanted

    watch_and_swap(work, as_json=as_json)


def _once(work: Swapping, wanted: str | None, *, as_json: bool) -> int:
    relays = work.relays()
    with ending_with(relays):
        target.check(work.releases, wanted)
    backups = work.back_up(relays)
    with tidy_at_signals(), shown(silent=as_json) as progress:
        with interruptible(relays, NOTHING_BEGUN), ending_with(relays):
            to = target.resolve(work.releases, wanted, progress)
        with interruptible(relays, GOES_ON):
            changes = change_all(
                relays,
                work.operation,
                lambda relay: work.args(to, backups, relay),
                progress,
                done=lambda change: progress.result(change.words()),
            )
    settled = work.settle(to, relays, changes)
    settled = f"{settled} {relays.serving_now()}" if settled else ""
    if as_json:
        click.echo(as_object(changes, to.release, backups, work.releases.current()))
    else:
        report(changes, settled)
    return 0 if changes.ok else 1
