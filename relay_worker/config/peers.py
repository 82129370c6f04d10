"""What other clients write into a backend's entry: translated, or named as having no effect.

A key is never dropped in silence. One that only a foreign client cares about gives a warning; one
that would have hidden tools, or is a slip of the pen, an error: running without it could do harm.
"""

import re
from typing import Final

from relay_worker.config.decode import TRUTH, nearest
from relay_worker.config.model import SECONDS_MAX, BackendSpec
from relay_worker.config.problems import KeyPath, Mark, Report
from relay_worker.config.tree import Entry, Mapping, Node, Scalar, is_null

TIMEOUT_MS_MIN: Final = 1000
"""A lower `timeout` was meant in seconds, as some clients have it; Claude Code's is in these."""

IGNORED: Final = {
    "alwaysLoad": "Set it on the relay's own entry in the client.",
    "alwaysAllow": "Approve tools in the client.",
    "autoApprove": "Approve tools in the client.",
    "trust": "Approve tools in the client; trust_hints is about safe repetition.",
    "oauth": "Log in with: relayctl backend login NAME.",
    "headersHelper": "Use headers with ${VAR}.",
    "envFile": "Put the variables into env, or into the client's environment.",
    "dev": "Changes are taken up by relayctl swap.",
    "gallery": "It has no effect here.",
    "version": "It has no effect here.",
    "description": "It has no effect here.",
    "tags": "It has no effect here.",
    "icon": "It has no effect here.",
}
"""Keys of other clients that give a warning, with what to do instead."""

HIDING: Final = {
    "disabledTools": "Write tools: {deny: [...]}.",
    "excludeTools": "Write tools: {deny: [...]}.",
    "enabledTools": "Write tools: {allow: [...]}.",
    "includeTools": "Write tools: {allow: [...]}.",
}
"""Keys of other clients that would have hidden tools."""

SLIPS: Final = {
    "cmd": "command",
    "arguments": "args",
    "environment": "env",
    "environ": "env",
    "workingDirectory": "cwd",
    "directory": "cwd",
    "transport": "type",
    "transportType": "type",
    "httpUrl": "url",
    "serverUrl": "url",
    "endpoint": "url",
}
"""Other words for our keys that no likeness would find."""

HTTP_NAMES: Final = ("streamable-http", "streamable_http", "streamableHttp", "streamableHTTP")
"""Other words for `type: http`."""

_DIGITS: Final = re.compile("[0-9]{1,12}")
_NOTHING: Final = Scalar("", plain=True, mark=Mark())


def translate(node: Mapping, path: KeyPath, report: Report) -> tuple[Mapping, bool]:
    """Return a backend's entry with our keys only, and whether the backend may be run without what
    was taken away.
    """
    entries: list[Entry] = []
    usable = True
    for entry in node.entries:
        inner = (*path, entry.key)
        if entry.key in _OURS:
            entries.append(entry)
        elif entry.key in _TRANSLATIONS and not is_null(entry.value):
            key, translation = _TRANSLATIONS[entry.key]
            value = translation(entry.value, inner, report)
            if value is None:
                usable = False
            else:
                entries.append(Entry(key, value, entry.mark))
        elif entry.key not in _TRANSLATIONS:
            usable = _unknown(entry, inner, report) and usable
    return Mapping(tuple(entries), node.mark), usable


def _unknown(entry: Entry, path: KeyPath, report: Report) -> bool:
    """Report a key that is not ours; return whether the backend may be run without it."""
    guess = SLIPS.get(entry.key) or nearest(entry.key, (*_OURS, *_TRANSLATIONS))
    if entry.key in IGNORED:
        report.warning(entry.mark, path, found="a key without effect", advice=IGNORED[entry.key])
        return True
    if entry.key in HIDING or guess:
        advice = HIDING.get(entry.key) or f"Did you mean {guess}?"
        report.error(entry.mark, path, found="an unknown key", advice=advice)
        return False
    report.warning(entry.mark, path, found="an unknown key", advice="Remove it, it has no effect.")
    return True


def _disabled(value: Node, path: KeyPath, report: Report) -> Node | None:
    """Return the value of `enabled` for one of `disabled`."""
    if isinstance(value, Scalar) and value.plain and value.text.lower() in TRUTH:
        enabled = not TRUTH[value.text.lower()]
        return Scalar("true" if enabled else "false", plain=True, mark=value.mark)
    report.error(value.mark, path, expected="true or false")
    return None


def _timeout(value: Node, path: KeyPath, report: Report) -> Node | None:
    """Return the value of `call_timeout_seconds` for Claude's `timeout` in milliseconds."""
    digits = value.text if isinstance(value, Scalar) and value.plain else ""
    milliseconds = int(digits) if _DIGITS.fullmatch(digits) else 0
    if 0 < milliseconds < TIMEOUT_MS_MIN:
        report.warning(
            value.mark,
            path,
            expected="milliseconds",
            found=f"{milliseconds}, which is hardly meant so and not used",
            advice="For seconds write call_timeout_seconds.",
        )
        return _NOTHING
    if not 0 < milliseconds <= SECONDS_MAX * 1000:
        report.error(
            value.mark,
            path,
            expected=f"whole milliseconds from {TIMEOUT_MS_MIN} to {SECONDS_MAX * 1000}",
            advice="Remove it for no limit.",
        )
        return None
    return Scalar(str(milliseconds / 1000), plain=True, mark=value.mark)


def _type(value: Node, path: KeyPath, report: Report) -> Node | None:
    if isinstance(value, Scalar) and value.text in HTTP_NAMES:
        return Scalar("http", plain=value.plain, mark=value.mark)
    if isinstance(value, Scalar) and value.text in {"ws", "websocket"}:
        report.error(
            value.mark,
            path,
            expected="stdio, http or sse",
            found=value.text,
            advice="WebSocket servers are not supported; use the server's http address.",
        )
        return None
    return value


_OURS: Final = frozenset(BackendSpec.__struct_encode_fields__) - {"type"}
_TRANSLATIONS: Final = {
    "disabled": ("enabled", _disabled),
    "timeout": ("call_timeout_seconds", _timeout),
    "type": ("type", _type),
}
