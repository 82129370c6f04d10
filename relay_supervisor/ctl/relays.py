"""The relays a command is about to change, in the order in which it takes them."""

import os

import click
import msgspec

from relay_supervisor.ctl import client
from relay_supervisor.ctl.client import ask_all, find
from relay_supervisor.ctl.instance import Instance
from relay_supervisor.ctl.outcome import NOBODY, Version
from relay_supervisor.ctl.view import View, ask
from relay_supervisor.ctl.words import clean
from relay_supervisor.settings import Settings
from relay_supervisor.socket_files import SUFFIX, socket_path
from relay_supervisor.wire.control_v1 import Request


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

    def in_force(self) -> bytes | None:
        """Ask for the configuration it runs with; None where it cannot tell."""
        answers = ask_all([self.path], Request("configuration"), client.ANSWER_SECONDS_MAX)
        try:
            told = msgspec.json.decode(answers[0].result or b"null", type=_Told | None)
        except (IndexError, msgspec.MsgspecError, RecursionError):
            return None
        return told.content if told is not None else None

    def release(self) -> str | None:
        """Return the release that serves for good, empty for what is installed; None: none does."""
        last = self.status.last_swap
        for worker in self.status.workers:
            if worker.state == "active" and (last is None or last.outcome != "probation"):
                return "" if worker.release == worker.build else worker.release
        return None

    def serving(self) -> str:
        """Say which version serves, as far as its status tells."""
        for worker in self.status.workers:
            if worker.state == "active":
                return Version(worker.generation, worker.release, worker.build).words()
        return NOBODY


class _Told(msgspec.Struct, frozen=True):
    content: bytes | None = None


class Relays(msgspec.Struct, frozen=True):
    """All relays that are wanted. `silent` are those that do not answer, with the reason; `all` is
    false where others run that are not wanted.
    """

    relays: list[Relay]
    silent: dict[str, str]
    all: bool

    def serving_now(self) -> str:
        """Ask again, and say in a sentence which versions serve."""
        now = []
        for relay in self.relays:
            try:
                now.append(again(relay) or relay)
            except NotReached:
                continue
        if not now:
            return "Now serving: nothing, as no relay runs any more."
        return Relays(now, self.silent, self.all).serving()

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
    """Ask a relay anew; None where it does not answer.

    Raises:
        NotReached: it has ended.
        click.ClickException: the runtime directory is unsafe.
    """
    directory, name = os.path.split(relay.path)
    view = ask(directory, name.removesuffix(SUFFIX))
    if not view.sockets and not view.unreachable:
        raise NotReached("it has ended")
    return next(iter(_relays(directory, view)), None)


def apart(settings: Settings, release: str) -> str:
    """Return who of all running relays does not run *release* for good; empty: nobody.

    Raises:
        click.ClickException: the runtime directory is unsafe.
    """
    view = ask(settings.runtime_dir, None)
    for relay in _relays(settings.runtime_dir, view):
        if relay.release() != release:
            return f"relay {clean(relay.id)} runs {clean(relay.serving())}"
    return "".join(f"relay {clean(one['id'])} does not answer" for one in view.unreachable[:1])


class NotReached(click.ClickException):
    """There is no relay to talk to."""

    exit_code = 3


def _relays(directory: str, view: View) -> list[Relay]:
    return [
        Relay(socket_path(directory, name), msgspec.convert(status, Instance))
        for name, status in zip(view.sockets, view.instances, strict=True)
    ]
