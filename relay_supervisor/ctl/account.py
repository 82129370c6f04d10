"""What commands that change relays say at their end, whatever it was: to people and programs."""

import contextlib
from collections.abc import Iterator
from typing import Final

import click
import msgspec

from relay_supervisor.ctl.changing import Changes
from relay_supervisor.ctl.relays import Relays

NOTHING_BEGUN: Final = "no swap was begun"
GOES_ON: Final = (
    "what has begun goes on in its relay, and `relayctl history` tells how it ends; the relays "
    "after it are left as they are, and new relays start what they did before"
)


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
