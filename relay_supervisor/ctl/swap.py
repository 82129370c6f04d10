"""`relayctl swap`: the command line of it. The relays do the work; here is the order of things:
the configuration is backed up, the release is made, and then the relays follow one another.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from relay_supervisor.ctl import refused, target
from relay_supervisor.ctl.backups import Backups
from relay_supervisor.ctl.changing import Args, Changes, change_all
from relay_supervisor.ctl.command import tidy_at_signals
from relay_supervisor.ctl.progress import Progress, shown
from relay_supervisor.ctl.relays import Relay, Relays, running
from relay_supervisor.ctl.releases import Releases
from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.target import Target
from relay_supervisor.ctl.words import clean
from relay_supervisor.settings import Settings


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
    work = Swapping(settings(), force=force, no_wait=no_wait, instance=instance)
    if supervisor:
        if force or no_wait or watch:
            raise click.UsageError("--supervisor takes neither --force, --no-wait nor --watch")
        sys.exit(_replace_supervisors(work, wanted, as_json=as_json))
    if not watch:
        sys.exit(_once(work, wanted, as_json=as_json))
    if wanted is not None:
        raise click.UsageError("--watch swaps to what changes here, so it takes no RELEASE or PATH")
    from relay_supervisor.ctl.watching import watch_and_swap  # noqa: PLC0415 - seldom wanted

    watch_and_swap(work, as_json=as_json)


class Swapping:
    """Swaps, with the options of one command line."""

    def __init__(
        self, found: Settings, *, force: bool, no_wait: bool, instance: str | None
    ) -> None:
        self.settings = found
        self.releases = Releases(found.state_dir)
        self.instance = instance
        self._force = force
        self._no_wait = no_wait
        self._backups = Backups(found.state_dir)

    def relays(self) -> Relays:
        """Return the relays to swap; see `running`."""
        return running(self.settings, self.instance)

    def back_up(self, relays: Relays) -> dict[str, str]:
        """Back up the relays' configurations; return each one's backup by its path.

        Raises:
            click.ClickException: it failed, and nobody forces it.
        """
        made: dict[str, str] = {}
        for path in {relay.config_path(self.settings) for relay in relays.relays} - {None}:
            assert path is not None
            try:
                backup = self._backups.make(Path(path))
            except OSError as error:
                text = f"{path} cannot be backed up: {error}"
                if not self._force:
                    raise click.ClickException(
                        f"{text}. Nothing was changed; --force goes on without. {relays.serving()}"
                    ) from error
                click.echo(f"Going on without a backup: {text}", err=True)
            else:
                made[path] = str(backup or "")
        return made

    def args(self, to: Target, backups: dict[str, str], relay: Relay) -> Args:
        """Return what a relay is sent."""
        return {
            "python": to.python,
            "release": to.release,
            "force": self._force,
            "no_wait": self._no_wait,
            "backup": backups.get(relay.config_path(self.settings) or "", ""),
            "refused": refused.as_argument(self.settings.state_dir),
        }

    def settle(self, to: Target, relays: Relays, changes: Changes) -> str:
        """Let fresh relays start what all the others now run for good; say what was done."""
        before = self.releases.current()
        if to == target.KEEP or to.release == before:
            return ""
        if not changes.ok:
            return ""
        name = to.release or "what is installed"
        started = before or "what is installed"
        if not relays.all or not changes.committed:
            why = "other relays have not taken it" if not relays.all else "it is on probation"
            return f"New relays still start {started}, as {why}."
        try:
            self.releases.make_current(to.release)
        except OSError as error:
            return f"New relays still start {started}: {error}."
        return f"New relays start {name} from now on."


def _once(work: Swapping, wanted: str | None, *, as_json: bool) -> int:
    target.check(work.releases, wanted)
    relays = work.relays()
    backups = work.back_up(relays)
    with interruptible(relays), tidy_at_signals(), shown(silent=as_json) as progress:
        to = _resolved(work, wanted, relays, progress)
        changes = change_all(
            relays,
            "swap",
            lambda relay: work.args(to, backups, relay),
            progress,
            done=lambda change: progress.result(change.words()),
        )
    settled = work.settle(to, relays, changes)
    if as_json:
        click.echo(as_object(changes, to.release, backups, work.releases.current()))
    else:
        report(changes, settled)
    return 0 if changes.ok else 1


def _replace_supervisors(work: Swapping, wanted: str | None, *, as_json: bool) -> int:
    target.check(work.releases, wanted)
    relays = work.relays()
    with interruptible(relays), tidy_at_signals(), shown(silent=as_json) as progress:
        to = _resolved(work, wanted, relays, progress)
        changes = change_all(
            relays,
            "reexec",
            lambda relay: {"python": to.python, "release": to.release},
            progress,
            done=lambda change: progress.result(change.words()),
        )
    if as_json:
        click.echo(as_object(changes, to.release, {}, work.releases.current()))
    else:
        report(changes, "")
    return 0 if changes.ok else 1


def _resolved(work: Swapping, wanted: str | None, relays: Relays, progress: Progress) -> Target:
    try:
        return target.resolve(work.releases, wanted, progress)
    except (click.ClickException, OSError) as error:
        text = error.message if isinstance(error, click.ClickException) else str(error)
        raise click.ClickException(f"{text}. {relays.serving()}") from error


def report(changes: Changes, settled: str) -> None:
    """Print what is to be said after the results of the relays that were changed."""
    for line in [*changes.rest(), settled]:
        if line:
            click.echo(line)


@contextlib.contextmanager
def interruptible(relays: Relays) -> Iterator[None]:
    """At Ctrl-C say that the relay goes on."""
    try:
        yield
    except KeyboardInterrupt:
        ids = ", ".join(clean(relay.id) for relay in relays.relays)
        raise click.ClickException(
            "interrupted: a swap that has begun goes on in its relay; "
            f"`relayctl history` tells how it ended, `relayctl status` what serves now in {ids}"
        ) from None


def as_object(changes: Changes, release: str, backups: dict[str, str], current: str) -> bytes:
    """Return the object of `--json`, as text."""
    done = [
        {
            "id": change.relay,
            "ok": change.ok,
            "result": change.raw,
            "error": msgspec.to_builtins(change.failure),
        }
        for change in changes.done
    ]
    whole = {
        "ok": changes.ok,
        "release": release,
        "instances": done,
        "left": list(changes.left),
        "unreachable": [{"id": name, "reason": why} for name, why in changes.silent.items()],
        "backups": sorted(set(backups.values()) - {""}),
        "current": current,
    }
    return msgspec.json.encode(whole)
