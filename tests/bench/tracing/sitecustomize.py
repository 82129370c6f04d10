"""Counts the opcodes of a Python process, function by function, between two SIGUSR1.

Python imports it at the start where its folder is on PYTHONPATH. What was counted goes into a file
named after the process, in the folder that BENCH_OPCODES names.
"""

import collections
import json
import os
import signal
import sys
from types import FrameType
from typing import Any

counts: collections.Counter[str] = collections.Counter()


def trace(frame: FrameType, event: str, _arg: object) -> Any:
    """Count."""
    frame.f_trace_opcodes = True
    if event == "opcode":
        code = frame.f_code
        counts[f"{os.path.basename(code.co_filename)}:{code.co_name}"] += 1
    return trace


def toggle(_number: int, frame: FrameType | None) -> None:
    """Begin, or end and write."""
    if sys.gettrace() is None:
        sys.settrace(trace)
        while frame is not None:  # those that run already
            frame.f_trace = trace
            frame = frame.f_back
        return
    sys.settrace(None)
    path = os.path.join(os.environ["BENCH_OPCODES"], f"{os.getpid()}.json")
    with open(path + ".part", "w") as file:
        json.dump(counts, file)
    os.rename(path + ".part", path)


signal.signal(signal.SIGUSR1, toggle)
