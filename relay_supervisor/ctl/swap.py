"""`relayctl swap`: the command line of it. The relays do the work; here is the order of things:
the configuration is backed up, the release is made, and then the relays follow one another.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from relay_supervisor.ctl import refused, target
from relay_supervisor.ctl.backups import Backups
from relay_supervisor.ctl.changing import Args, Changes, change_all
from relay_supervisor.ctl.command import tidy_at_signals
from relay_supervisor.ctl.progress import shown
from relay_supervisor.ctl.relays import Relay, Relays, apart, running
from relay_supervisor.ctl.releases import Releases
from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.target import Target
from relay_supervisor.settings import Settings

NOTHING_BEGUN: Final = "no swap was begun"
GOES_ON: Final = (
    "what has begun goes on in its relay, and `relayctl history` tells how it ends; the relays "
    "after it are left as they are, and new relays start what they did before"
)


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


class Swapping:
    """Swaps, with the options of one command line."""

    operation = "swap"
    """What a relay is asked for."""

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
        """Back up the relays' configurations, those in force and those in the files; return the
        one to go back to by the id of its relay.

        Raises:
            click.ClickException: it failed, and nobody forces it.
        """
        made: dict[str, str] = {}
        failed: set[str] = set()
        for relay in relays.relays:
            path = relay.config_path(self.settings)
            if path is None or path in failed:
                continue
            try:
                made[relay.id] = str(self._backups.make(Path(path), relay.in_force()) or "")
            except OSError as error:
                failed.add(path)
                text = f"{path} cannot be backed up: {error}"
                if not self._force:
                    raise click.ClickException(
                        f"{text}. Nothing was changed; --force goes on without. {relays.serving()}"
                    ) from error
                click.echo(f"Going on without a backup: {text}", err=True)
        return made

    def args(self, to: Target, backups: dict[str, str], relay: Relay) -> Args:
        """Return what a relay is sent."""
        return {
            "python": to.python,
            "release": to.release,
            "force": self._force,
            "no_wait": self._no_wait,
            "backup": backups.get(relay.id, ""),
            "refused": refused.as_argument(self.settings.state_dir),
        }

    def settle(self, to: Target, relays: Relays, changes: Changes) -> str:
        """Let fresh relays start what all the others now run for good; say what was done."""
        before = self.releases.current()
        if to == target.KEEP or to.release == before:
            return ""
        if not any(change.ok for change in changes.done):
            return ""
        name = to.release or "what is installed"
        started = before or "what is installed"
        if not relays.all or not changes.ok:
            why = "other relays have not taken it"
        elif not changes.committed:
            why = "it is on probation"
        else:
            why = apart(self.settings, to.release)
        if why:
            return f"New relays still start {started}, as {why}."
        try:
            self.releases.make_current(to.release)
        except OSError as error:
            return f"New relays still start {started}: {error}."
        return f"New relays start {name} from now on."


class ReplacingSupervisors(Swapping):
    """The supervisors instead of the workers: it touches neither the configurations nor what fresh
    relays start.
    """

    operation = "reexec"

    def back_up(self, relays: Relays) -> dict[str, str]:
        """Back up nothing."""
        return {}

    def args(self, to: Target, backups: dict[str, str], relay: Relay) -> Args:
        """Return what a relay is sent."""
        return {"python": to.python, "release": to.release}

    def settle(self, to: Target, relays: Relays, changes: Changes) -> str:
        """Let fresh relays start what they did before."""
        return ""


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


@contextlib.contextmanager
def ending_with(relays: Relays) -> Iterator[None]:
    """Let a failure end by saying what serves."""
    try:
        yield
    except click.UsageError:
        raise
    except (click.ClickException, OSError) as error:
        text = error.message if isinstance(error, click.ClickException) else str(error)
        raise click.ClickException(f"{text}. {relays.serving()}") from error


def report(changes: Changes, settled: str) -> None:
    """Print what is to be said after the results of the relays that were changed."""
    for line in [*changes.rest(), settled]:
        if line:
            click.echo(line)


@contextlib.contextmanager
def interruptible(relays: Relays, text: str) -> Iterator[None]:
    """At Ctrl-C say *text*, and what serves."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted: {text}. {relays.serving_now()}") from None


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
