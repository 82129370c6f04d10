"""Numbers and foreign text as a person reads them on a terminal."""

import datetime
import re
from typing import Final

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TERMINAL_SEQUENCES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)"
)


def harmless(text: str, keep: str = "") -> str:
    """Return *text* without what a terminal acts on; other control characters become blanks.

    Names, errors and log lines come from backends; an escape sequence in them could rewrite the
    screen. The characters of *keep* are left alone.
    """
    text = _TERMINAL_SEQUENCES.sub("", text)
    return "".join(letter if letter.isprintable() or letter in keep else " " for letter in text)


def clean(text: str) -> str:
    """Return *text* on one line and harmless to a terminal."""
    return harmless(text).strip()


def duration(seconds: float) -> str:
    """Return a time span in its two largest units: `42 s`, `3 min 5 s`, `2 h 13 min`, `4 d 1 h`."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def seconds(value: float) -> str:
    """Return a short time span as `0.42 s` or `12.3 s`, a longer one as `duration` does."""
    if value < 10:
        return f"{max(0.0, value):.2f} s"
    return f"{value:.1f} s" if value < _MINUTE else duration(value)


def memory(size: int | None) -> str:
    """Return bytes as `11.2 MiB`, and nothing for what is not known."""
    if size is None:
        return ""
    mebibytes = size / (1 << 20)
    return f"{mebibytes:.1f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def milliseconds(value: float) -> str:
    """Return a latency as `0.12 ms`, `13 ms` or `1.5 s`."""
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


def count(number: int, noun: str) -> str:
    """Return `1 tool`, `2 tools`, `1,204 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def local_time(at: str, *, zone: bool = False) -> str:
    """Return an RFC 3339 time as the clock on the wall has it; with *zone* say where it hangs."""
    try:
        time = datetime.datetime.fromisoformat(at)
        return time.astimezone().strftime("%Y-%m-%d %H:%M:%S" + (" %z" if zone else ""))
    except (ValueError, OverflowError):
        return f"{at:<19}"
