"""What the floor does to each message: decode the envelope, replace id and token, encode again.

No I/O. Params and results stay raw bytes. One Remap serves one chain link, both directions.
"""

import msgspec

Raw = msgspec.Raw
# msgspec omits a default by identity, and takes no `Raw | None`.
ABSENT = Raw(b"")


class Envelope(msgspec.Struct, omit_defaults=True):
    """A JSON-RPC message of any kind, payloads undecoded."""

    jsonrpc: str = ""
    id: Raw = ABSENT
    method: str = ""
    params: Raw = ABSENT
    result: Raw = ABSENT
    error: Raw = ABSENT


class Remap:
    """The ids and tokens under way through one hop."""

    __slots__ = ("_decode", "_decode_object", "_encode", "_last", "_pending")

    def __init__(self) -> None:
        self._pending: dict[bytes, tuple[Raw, Raw | None]] = {}
        self._last = 0
        self._decode = msgspec.json.Decoder(Envelope).decode
        self._decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
        self._encode = msgspec.json.Encoder().encode

    def request(self, line: bytes) -> bytes:
        """Client to backend: a fresh number in place of id and progress token."""
        message = self._decode(line)
        if message.method and message.id is not ABSENT:
            self._last += 1
            number = str(self._last).encode()
            fresh, token = Raw(number), None
            if message.params is not ABSENT:
                token, message.params = self._swap_token(message.params, fresh)
            self._pending[number] = (message.id, token)
            message.id = fresh
        return self._encode(message)

    def response(self, line: bytes) -> bytes:
        """Backend to client: the client's own id and token again."""
        message = self._decode(line)
        if not message.method:
            message.id = self._pending.pop(bytes(message.id))[0]
        elif message.method == "notifications/progress":
            params = self._decode_object(message.params)
            token = self._pending[bytes(params["progressToken"])][1]
            if token is not None:
                params["progressToken"] = token
                message.params = Raw(self._encode(params))
        return self._encode(message)

    def _swap_token(self, params: Raw, fresh: Raw) -> tuple[Raw | None, Raw]:
        """Return the client's token and the params with `fresh` in its place."""
        members = self._decode_object(params)
        if "_meta" not in members:
            return None, params
        meta = self._decode_object(members["_meta"])
        token = meta.get("progressToken")
        if token is None:
            return None, params
        meta["progressToken"] = fresh
        members["_meta"] = Raw(self._encode(meta))
        return token, Raw(self._encode(members))
