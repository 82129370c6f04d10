"""Where the rooms of the core put their effects; emptied once per event."""

from typing import Literal

from relay_supervisor.core import effects, mcp
from relay_supervisor.wire import handshake, v1
from relay_supervisor.wire.framing import Buffer


class Outbox:
    """Effects in the order they are to be carried out."""

    __slots__ = ("effects",)

    def __init__(self) -> None:
        self.effects: list[effects.AnyEffect] = []

    def take(self) -> list[effects.AnyEffect]:
        """Return the effects collected since the last call."""
        taken, self.effects = self.effects, []
        return taken

    def put(self, effect: effects.AnyEffect) -> None:
        """Add any effect."""
        self.effects.append(effect)

    def client(self, buffers: tuple[bytes, ...]) -> None:
        """Send one line to the client."""
        self.effects.append(effects.SendToClient(buffers))

    def error(self, raw_id: bytes, code: int, message: str, data: object = None) -> None:
        """Send an error response to the client."""
        self.client(mcp.response(raw_id, mcp.error(code, message, data)))

    def worker(
        self, generation: int, message: v1.Message | handshake.Hello, payload: Buffer = b""
    ) -> None:
        """Send a message to a generation."""
        self.effects.append(effects.SendToWorker(generation, message, payload))

    def journal(self, event: str, **fields: object) -> None:
        """Add an event to the journal."""
        self.effects.append(effects.Journal(event, fields))

    def log(self, level: Literal["debug", "info", "warning", "error"], text: str) -> None:
        """Tell the user."""
        self.effects.append(effects.Log(level, text))
