"""The relays a command is about to change, in the order in which it takes them."""

import os

import click
import msgspec

from relay_supervisor.ctl.client import find
from relay_supervisor.ctl.instance import Instance
from relay_supervisor.ctl.outcome import NOBODY, Version
from relay_supervisor.ctl.view import View, ask
from relay_supervisor.ctl.words import clean
from relay_supervisor.settings import Settings
from relay_supervisor.socket_files import SUFFIX, socket_path


class Relay(msgspec.Struct, frozen=True):
    """One running relay and the path of its control socket."""

    path: str
    status: Instance

    @property
    def id(self) -> str:
        """Its id."""
        return self.status.id

    def config_path(self, settings: Settings) -> str | None:
        """Return where its configuration is, None where it has none; a relay that does not say is
        taken to have the one that a relay started here would have.
        """
        path = self.status.config_path
        return settings.config_path if isinstance(path, msgspec.UnsetType) else path

    def supervisor(self) -> str:
        """Say which version the supervisor is."""
        supervisor = self.status.supervisor
        return Version(release=supervisor.release, build=supervisor.version).words()

    def serving(self) -> str:
        """Say which version serves, as far as its status tells."""
        for worker in self.status.workers:
            if worker.state == "active":
                return Version(worker.generation, worker.release, worker.build).words()
        return NOBODY


class Relays(msgspec.Struct, frozen=True):
    """All relays that are wanted. `silent` are those that do not answer, with the reason; `all` is
    false where others run that are not wanted.
    """

    relays: list[Relay]
    silent: dict[str, str]
    all: bool

    def serving(self) -> str:
        """Say in a sentence which versions serve."""
        if len(self.relays) == 1:
            return f"Now serving: {self.relays[0].serving()}."
        each = "; ".join(f"{clean(relay.id)}: {relay.serving()}" for relay in self.relays)
        return f"Now serving: {each}."


def running(settings: Settings, wanted: str | None) -> Relays:
    """Return the running relays, or the one whose id begins with *wanted*.

    Raises:
        click.ClickException: none is reached (exit code 3), or the runtime directory is unsafe.
    """
    directory = settings.runtime_dir
    view = ask(directory, wanted)
    found = _relays(directory, view)
    silent = {one["id"]: one["reason"] for one in view.unreachable}
    if not found:
        raise NotReached(
            "\n".join(f"relay {name}: {reason}" for name, reason in silent.items()) or view.nothing
        )
    everybody = wanted is None or len(find(directory, os.getuid())) == len(found) + len(silent)
    return Relays(found, silent, everybody)


def again(relay: Relay) -> Relay | None:
    """Ask a relay anew; None where it does not answer."""
    directory, name = os.path.split(relay.path)
    found = _relays(directory, ask(directory, name.removesuffix(SUFFIX)))
    return found[0] if found else None


class NotReached(click.ClickException):
    """There is no relay to talk to."""

    exit_code = 3


def _relays(directory: str, view: View) -> list[Relay]:
    return [
        Relay(socket_path(directory, name), msgspec.convert(status, Instance))
        for name, status in zip(view.sockets, view.instances, strict=True)
    ]
