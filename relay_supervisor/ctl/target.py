"""What a swap is to: the words of its command line made an interpreter and a release."""

import sys
from typing import Final

import click
import msgspec

from relay_supervisor.ctl import building, source
from relay_supervisor.ctl.environment import Pip
from relay_supervisor.ctl.progress import Progress
from relay_supervisor.ctl.releases import (
    CURRENT,
    INSTALLED,
    Release,
    Releases,
    check_name,
    looks_like_path,
)


class Target(msgspec.Struct, frozen=True):
    """The interpreter and the release to swap to, as the relay takes them; both empty: keep what
    each relay has, and take up changed code and configuration.
    """

    python: str = ""
    release: str = ""


KEEP: Final = Target()


def check_words(text: str | None) -> None:
    """See whether *text* can be meant.

    Raises:
        click.UsageError: it is neither a path nor the name of a release.
    """
    if text not in {None, INSTALLED, CURRENT} and not looks_like_path(text or ""):
        check_name(text or "")


def check(releases: Releases, text: str | None) -> None:
    """See whether *text* can be resolved, before anything is done.

    Raises:
        click.ClickException: it names nothing.
    """
    if text is None or text == INSTALLED:
        return
    if looks_like_path(text):
        source.look(text)
    elif text != CURRENT:
        _existing(releases, text)


def resolve(releases: Releases, text: str | None, progress: Progress) -> Target:
    """Return what *text* means; a path is made a release first, unless it is one already.

    Raises:
        click.ClickException: there is no such release, or it could not be made.
    """
    if text is None:
        return KEEP
    if text == CURRENT:
        text = releases.current() or INSTALLED
    if text == INSTALLED:
        return Target(python=sys.executable)
    if looks_like_path(text):
        text = _made(releases, source.look(text), progress).name
    release = _existing(releases, text)
    return Target(releases.python(release.name), release.name)


def _existing(releases: Releases, name: str) -> Release:
    if (release := releases.find(check_name(name))) is not None:
        return release
    names = ", ".join(one.name for one in releases.all()) or "none yet"
    raise click.ClickException(
        f"there is no release {name} (there are: {names}). "
        f"To make one of a directory or a wheel, name its path, with a / in it"
    )


def _made(releases: Releases, origin: source.Source, progress: Progress) -> Release:
    there = releases.find(origin.name)
    if there is not None and there.digest == origin.digest:
        progress.step(f"release {there.name} has the same content already")
        return there
    return building.add(releases, origin, origin.name, Pip(), progress)
