"""What `relayctl swap` wants of the relays: other workers, or other supervisors."""

from pathlib import Path

import click

from relay_supervisor.ctl import refused, target
from relay_supervisor.ctl.backups import Backups
from relay_supervisor.ctl.changing import Args, Changes
from relay_supervisor.ctl.relays import Relay, Relays, apart, running
from relay_supervisor.ctl.releases import Releases
from relay_supervisor.ctl.target import Target
from relay_supervisor.settings import Settings


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
