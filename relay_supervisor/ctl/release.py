"""`relayctl releases` and `relayctl release`: the command lines of them."""

from typing import Final

import click
import msgspec

from relay_supervisor.ctl import building, source
from relay_supervisor.ctl.command import tidy_at_signals
from relay_supervisor.ctl.environment import Pip
from relay_supervisor.ctl.in_use import uses
from relay_supervisor.ctl.progress import shown
from relay_supervisor.ctl.releases import Release, Releases, check_name
from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.words import clean, count, local_time

KEEP: Final = 3
"""Releases that `prune` keeps where nothing else is asked for, besides those that are in use."""

_COMMIT_CHARS: Final = 12


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def releases(*, as_json: bool) -> None:
    """List the releases, the oldest first, and what each is used for."""
    found = settings()
    there = Releases(found.state_dir)
    used = uses(there, found.runtime_dir)
    listed = there.all()
    if as_json:
        objects = [
            {**msgspec.to_builtins(one), "uses": sorted(used.get(one.name, ()))} for one in listed
        ]
        whole = {"releases": objects, "current": there.current()}
        click.echo(msgspec.json.encode(whole))
        return
    for one in listed:
        click.echo("\n".join(_lines(one, used.get(one.name, set()))))
    if not listed:
        click.echo("There are no releases yet; `relayctl release add PATH` makes one.")
    current = there.current()
    if current and there.find(current) is None:
        click.echo(f"{current} is current and not there: new relays start what is installed.")
    if not current:
        click.echo("New relays start what is installed, and no release.")


@click.group(short_help="Make and remove releases.")
def release() -> None:
    """Make and remove releases: copies of the relay's worker to swap to and back.

    A release has its own virtual environment in the state directory and never changes. Relays go on
    serving while releases come and go.
    """


@release.command(short_help="Make a release of a wheel, a directory or a checkout.")
@click.argument("path")
@click.option("--name", help="What to call it; by default its version and commit or digest.")
def add(*, path: str, name: str | None) -> None:
    """Make a release of PATH: a wheel, a directory with sources, or a git checkout.

    Of a checkout the files are taken as they are on the disk, committed or not, without those that
    git ignores; if they differ from the commit the release is marked dirty. pip installs it, with
    all it needs, into an environment of its own. No relay is touched: that is what
    `relayctl swap NAME` is for.

    \b
    Exit codes: 0 the release is there
                1 it could not be made, and nothing of it is left
                2 the command line is wrong
    """
    there = Releases(settings().state_dir)
    origin = source.look(path)
    chosen = check_name(name if name is not None else origin.name)
    try:
        with tidy_at_signals(), shown() as progress:
            made = building.add(there, origin, chosen, Pip(), progress)
            progress.result(f"Release {made.name} is there (version {clean(made.version)}).")
    except OSError as error:
        raise click.ClickException(f"release {chosen} could not be made: {error}") from error
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; nothing of the release is left") from None
    click.echo(f"To run it: relayctl swap {made.name}")


@release.command(short_help="Remove old and unfinished releases.")
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(min=0),
    default=KEEP,
    show_default=True,
    help="How many of the newest to keep, besides those in use.",
)
def prune(*, keep: int) -> None:
    """Remove old releases, and what is left of ones that were never finished.

    What is current, what was current before and what a relay runs is never removed.
    """
    found = settings()
    there = Releases(found.state_dir)
    used = uses(there, found.runtime_dir)
    try:
        for name in building.clear_abandoned(there):
            click.echo(f"{name}: removed, it was never finished.")
        listed = there.all()
        kept = {one.name for one in listed[len(listed) - min(keep, len(listed)) :]}
        removed = [one.name for one in listed if one.name not in kept | used.keys()]
        for name in removed:
            building.remove(there, name)
            click.echo(f"{name}: removed.")
    except OSError as error:
        raise click.ClickException(f"a release cannot be removed: {error}") from error
    click.echo(f"{count(len(there.all()), 'release')} left.")


def _lines(one: Release, used: set[str]) -> list[str]:
    title = f"{one.name}  ({', '.join(sorted(used))})" if used else one.name
    facts = [f"version {one.version}", f"python {one.python}", f"made {local_time(one.created)}"]
    origin = f"of {one.source}"
    if one.commit:
        origin += f", commit {one.commit[:_COMMIT_CHARS]}" + (" and more" if one.dirty else "")
    return [title, f"  {clean(', '.join(facts))}", f"  {clean(origin)}"]
