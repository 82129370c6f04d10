"""What `relayctl status` found: every relay's own account, and who could not be asked.

What a relay sends is kept as it is, so that `--json` does not lose a newer relay's fields.
"""

import os
from typing import Any, Final

import click
import msgspec

from relay_supervisor.ctl import client
from relay_supervisor.ctl.instance import Instance
from relay_supervisor.errors import ConfigurationError
from relay_supervisor.socket_files import SUFFIX
from relay_supervisor.wire.control_v1 import Request

NOT_REACHED: Final = 3
DEGRADED: Final = 4


class View(msgspec.Struct, frozen=True):
    """`instances` are the relays' JSON objects, of `Instance`'s shape; `unreachable` holds
    `{"id", "reason"}`; `nothing` says to people why there is neither. `sockets` are the names of
    the instances' sockets, in their order.
    """

    instances: list[dict[str, Any]]
    unreachable: list[dict[str, str]]
    nothing: str
    sockets: list[str] = []

    def exit_code(self) -> int:
        """0 all is well, 3 no relay was reached, 4 one is degraded or does not answer."""
        if not self.instances:
            return NOT_REACHED
        degraded = any(instance["health"] == "degraded" for instance in self.instances)
        return DEGRADED if degraded or self.unreachable else 0

    def to_json(self) -> bytes:
        """The object of `--json`, on one line."""
        return msgspec.json.encode({"instances": self.instances, "unreachable": self.unreachable})


def look(directory: str, wanted: str | None) -> View:
    """Ask as `ask` does, and fill in the memory figures.

    Raises:
        click.ClickException: the directory is not safely ours, or *wanted* fits several.
    """
    view = ask(directory, wanted)
    if view.instances:
        from relay_supervisor.ctl import memory  # noqa: PLC0415 - psutil is slow to import

        memory.fill(view.instances)
    return view


def ask(directory: str, wanted: str | None) -> View:
    """Ask all relays of the runtime directory, or the one whose id begins with *wanted*.

    Raises:
        click.ClickException: the directory is not safely ours, or *wanted* fits several.
    """
    if wanted == "":
        raise click.UsageError("--instance wants the id of a relay, or its first letters")
    try:
        paths = client.find(directory, os.getuid())
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    nothing = (
        f"No relay is running (no control socket in {directory}).\n"
        "Your MCP client starts one by itself: claude mcp add relay -- mcp-relay"
    )
    if wanted is not None and paths:
        nothing = f"No relay's id begins with {wanted}; running are: {', '.join(map(_id, paths))}"
        paths = _chosen(paths, wanted)
    instances, unreachable, sockets = [], [], []
    for answer in client.ask_all(paths, Request("status"), client.ANSWER_SECONDS_MAX):
        try:
            instances.append(_instance(answer))
            sockets.append(answer.id)
        except ValueError as error:
            unreachable.append({"id": answer.id, "reason": str(error)})
    return View(instances, unreachable, nothing, sockets)


def _id(path: str) -> str:
    return os.path.basename(path).removesuffix(SUFFIX)


def _chosen(paths: list[str], wanted: str) -> list[str]:
    exact = [path for path in paths if _id(path) == wanted]
    fitting = exact or [path for path in paths if _id(path).startswith(wanted)]
    if len(fitting) > 1:
        names = ", ".join(map(_id, fitting))
        raise click.UsageError(f"--instance {wanted} fits several relays: {names}")
    return fitting


def _instance(answer: client.Answer) -> dict[str, Any]:
    """Return the relay's object once it is known to have the agreed shape.

    Raises:
        ValueError: there is none, or it has another shape (msgspec's errors are ValueErrors).
    """
    if answer.result is None:
        raise ValueError(answer.trouble)
    try:
        found = msgspec.json.decode(answer.result, type=dict[str, Any])
        msgspec.convert(found, Instance)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"its status has not the shape agreed on: {error}") from error
    return found
