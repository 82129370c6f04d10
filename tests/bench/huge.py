"""The known limit: one loop carries all calls, so one huge line costs everybody its decoding."""

import time

from relay_supervisor.core import envelope, mcp

LINE_BYTES = 64 << 20
"""`frame_bytes_max`, as it is by default."""
ITEM = b'[{"a":[1,2,{"b":"c"}]}],'


def decode_ms() -> float:
    """What the supervisor's reading of the envelope of a maximal call of nested JSON takes."""
    items = ITEM * (LINE_BYTES // len(ITEM))
    line = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"x":['
        + items
        + b"0]}}}"
    )
    begin = time.perf_counter()
    message = mcp.parse(line)
    assert isinstance(message, mcp.Request)
    envelope.read(message.params)
    return (time.perf_counter() - begin) * 1e3
