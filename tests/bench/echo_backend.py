"""A minimal MCP stdio server; each of its 97 tools echoes `text`.

`echo_backend [TOOLS [SECONDS]]`: with so many tools, and taking so long to start.

It is what every contestant stands in front of, so it does as little as a server can: one poll
loop, raw frames, payloads passed on as raw bytes. It must never be the bottleneck that is measured.
"""

import os
import select
import sys
import time
from collections.abc import Iterator

import msgspec

from tests.bench.framing import NOTHING, READ_BYTES_MAX, Splitter, write_some

TOOL_COUNT = 97
LEGACY_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


# msgspec takes no `Raw | None`.
ABSENT = msgspec.Raw(b"")


class Request(msgspec.Struct):
    """The envelope; a notification has no id."""

    method: str = ""
    id: msgspec.Raw = ABSENT
    params: msgspec.Raw = msgspec.Raw(b"{}")


class Arguments(msgspec.Struct):
    """The arguments of every tool; `text` stays as the JSON it came in."""

    text: msgspec.Raw = msgspec.Raw(b'""')


class CallParams(msgspec.Struct):
    """What tools/call carries, as far as an echo needs it."""

    arguments: Arguments = msgspec.field(default_factory=Arguments)


class InitializeParams(msgspec.Struct):
    """Only the version matters here."""

    protocolVersion: str = LEGACY_VERSIONS[-1]


request_decoder = msgspec.json.Decoder(Request)
call_decoder = msgspec.json.Decoder(CallParams)
initialize_decoder = msgspec.json.Decoder(InitializeParams)


def tool_name(number: int) -> str:
    """`echo`, then `tool_01` … `tool_96`."""
    return f"tool_{number:02d}" if number else "echo"


def tool_list(count: int) -> bytes:
    """The result of tools/list: of the size real tools have, about 450 bytes each."""
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "What the tool gives back, unchanged."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
        },
        "required": ["text"],
        "additionalProperties": False,
    }
    about = "Returns its text unchanged. Stands in for a tool of an ordinary server, number "
    return msgspec.json.encode(
        {
            "tools": [
                {"name": tool_name(n), "description": f"{about}{n}.", "inputSchema": schema}
                for n in range(count)
            ]
        }
    )


def initialize_result(params: msgspec.Raw) -> bytes:
    """Agree to the client's version if it is a legacy one, else offer the newest of those."""
    asked = initialize_decoder.decode(params).protocolVersion
    return msgspec.json.encode(
        {
            "protocolVersion": asked if asked in LEGACY_VERSIONS else LEGACY_VERSIONS[-1],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "bench-echo", "version": "1"},
        }
    )


def answer(request: Request, tools: bytes) -> bytes:
    """Return the member `"result":…` or `"error":…` for a request."""
    match request.method:
        case "tools/call":
            text = bytes(call_decoder.decode(request.params).arguments.text)
            return b'"result":{"content":[{"type":"text","text":' + text + b"}]}"
        case "tools/list":
            return b'"result":' + tools
        case "initialize":
            return b'"result":' + initialize_result(request.params)
        case "ping":
            return b'"result":{}'
    return b'"error":{"code":-32601,"message":"the echo backend has tools only"}'


def answers(data: bytes, splitter: Splitter, tools: bytes) -> Iterator[bytes]:
    """Yield a frame for each request that `data` completes."""
    for line in splitter.feed(data):
        request = request_decoder.decode(line)
        if request.id is not ABSENT and request.method:
            member = answer(request, tools)
            yield b'{"jsonrpc":"2.0","id":' + bytes(request.id) + b"," + member + b"}\n"


def main() -> None:
    """Serve fd 0 and fd 1 until the input ends."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TOOL_COUNT
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
    splitter, tools, backlog = Splitter(), tool_list(count), NOTHING
    os.set_blocking(0, False)
    os.set_blocking(1, False)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while True:
        for fd, _event in poll.poll():
            if fd == 1:
                backlog = write_some(1, backlog)
                if not backlog:
                    poll.unregister(1)
                continue
            data = os.read(0, READ_BYTES_MAX)
            if not data:
                return
            frames = b"".join(answers(data, splitter, tools))
            if backlog:
                backlog = memoryview(bytes(backlog) + frames)
            elif backlog := write_some(1, frames):
                poll.register(1, select.POLLOUT)


if __name__ == "__main__":
    main()
