"""`relayctl rollback`: back to the version before, and if wanted to the configuration before."""

import sys
from pathlib import Path

import click

from relay_supervisor.ctl.account import GOES_ON, as_object, interruptible, report
from relay_supervisor.ctl.backups import Backups
from relay_supervisor.ctl.changing import Changes, change_all
from relay_supervisor.ctl.progress import shown
from relay_supervisor.ctl.relays import NotReached, Relays, apart, running
from relay_supervisor.ctl.releases import Releases
from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.words import clean
from relay_supervisor.settings import Settings


@click.command()
@click.option("--config", is_flag=True, help="Put the configuration's last backup back as well.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end of the probation.")
@click.option("--instance", metavar="ID", help="Only the relay with this id, or its beginning.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def rollback(*, config: bool, no_wait: bool, instance: str | None, as_json: bool) -> None:
    """Let every running relay go back to the version before.

    During a swap or its probation that is the old worker, which still runs; later it is the pair of
    code and configuration that was committed before, started anew.

    With --config the newest backup that differs from the configuration file replaces it first, and
    what was there is backed up: a second time takes it back.

    \b
    Exit codes: 0 all relays have gone back
                1 one could not, and serves what it served
                2 the command line is wrong
                3 no relay was reached
    """
    found = settings()
    try:
        relays = running(found, instance)
    except NotReached:
        if config:
            _restore(found, {found.config_path}, silent=as_json)
        raise
    restored: dict[str, str] = {}
    if config:
        paths = {path for relay in relays.relays if (path := relay.config_path(found))}
        restored = _restore(found, paths, silent=as_json, serving=relays.serving())
    with shown(silent=as_json) as progress, interruptible(relays, GOES_ON):
        changes = change_all(
            relays,
            "rollback",
            lambda relay: {"no_wait": no_wait},
            progress,
            done=lambda change: progress.result(change.words()),
        )
    releases = Releases(found.state_dir)
    settled = _settle(found, releases, relays, changes)
    settled = f"{settled} {relays.serving_now()}" if settled else ""
    if as_json:
        click.echo(as_object(changes, _release_of(changes) or "", restored, releases.current()))
    else:
        report(changes, settled)
    sys.exit(0 if changes.ok else 1)


def _restore(
    found: Settings, paths: set[str], *, silent: bool, serving: str = ""
) -> dict[str, str]:
    """Put the backups of the configurations at *paths* back; return them by these paths.

    Raises:
        click.ClickException: one cannot be; the relays were not asked for anything yet.
    """
    restored: dict[str, str] = {}
    for path in sorted(paths):
        try:
            backup = Backups(found.state_dir).restore(Path(path))
        except OSError as error:
            text = f"{path} was not changed: {error}. {serving}"
            raise click.ClickException(text.rstrip()) from error
        restored[path] = str(backup)
        if not silent:
            click.echo(f"{clean(path)} is what {backup.name} holds; what it was is backed up too.")
    return restored


def _release_of(changes: Changes) -> str | None:
    """Return the release that all relays now run, empty for what is installed, else None."""
    names = {change.release for change in changes.done}
    return names.pop() if changes.ok and len(names) == 1 else None


def _settle(found: Settings, releases: Releases, relays: Relays, changes: Changes) -> str:
    """Let fresh relays start what all the others have gone back to; say what was done."""
    name = _release_of(changes)
    if name is None or not relays.all or not changes.committed or name == releases.current():
        return ""
    if why := apart(found, name):
        return f"New relays do not start that, as {why}."
    try:
        releases.make_current(name)
    except OSError as error:
        return f"New relays do not start that: {error}."
    return f"New relays start {name or 'what is installed'} from now on."
