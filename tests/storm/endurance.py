"""One session through everything: a backend that remembers, and always a long call on it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from relay_supervisor.core.recovery import STEADY_CALLS
from tests.harness import Relay, json_of, side_effects, text_of

CALL_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 60.0


def endure(
    relay: Relay,
    backend: str,
    log: Path,
    trials: list[tuple[str, Callable[[], bool], int]],
    seconds: float = CALL_SECONDS,
) -> dict[str, Any]:
    """Do each of the *trials* (what it is called, what it does, how often) in turn, while there is
    always a call of so many *seconds*; return figures, with what went wrong as `faults`.
    """
    client, faults = relay.client, []
    pid = json_of(client.call_tool(f"{backend}__pid"))["pid"]
    counted, long_calls, done = 0, 0, {}

    def begin() -> Any:
        nonlocal long_calls
        long_calls += 1
        arguments = {"seconds": seconds, "steps": 30, "tag": str(long_calls)}
        return client.start_tool(f"{backend}__slow", arguments)

    def take(call: Any, number: int) -> None:
        result = client.response(call, ANSWER_SECONDS).result
        if result.get("isError") or text_of(result) != f"slow {number}":
            faults.append(f"long call {number}: {text_of(result)[:200]}")

    began, call = time.monotonic(), begin()
    for name, once, times in trials:
        for _ in range(times):
            once()
            if client.answered(call):
                take(call, long_calls)
                call = begin()
            for _ in range(STEADY_CALLS):  # or twenty kills would be a crash loop
                counted += 1
                count = json_of(client.call_tool(f"{backend}__counter", {"tag": f"e{counted}"}))
                if count != {"count": counted, "pid": pid}:
                    faults.append(f"after {name} {counted}: {count} of {pid}")
        done[name] = times
    take(call, long_calls)
    tags = [entry["tag"] for entry in side_effects(log)]
    if len(tags) != len(set(tags)) or len(tags) != counted:
        faults.append(f"{counted} calls have had {len(tags)} effects")
    took = round(time.monotonic() - began, 1)
    shown = {"mode": "endure", **done, "long calls": long_calls, "seconds": took}
    return shown | {"faults": faults}
