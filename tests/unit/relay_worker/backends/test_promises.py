"""Nobody is promised what the other side's era does not have."""

import json

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.client import client_of
from relay_worker.backends.promises import kept, makes_tasks
from relay_worker.lists import RawLists

CAPABILITIES = (
    b'{"tools":{}, "tasks":{"list":{}},"extensions":{"a":{},"io.modelcontextprotocol/tasks":{}}}'
)
TOOLS = [
    b'{"name":"plain","inputSchema":{} }',
    b'{"name":"either","execution":{"taskSupport":"optional"},"n":1.0}',
    b'{"name":"never","execution":{"taskSupport":"forbidden"}}',
    b'{"name":"must","execution":{"taskSupport":"required"}}',
    b'{"name":"odd","execution":{"taskSupport":7}}',
    b'{"name":"said","description":"\\"taskSupport\\""}',
]
LEGACY, MODERN = (client_of(v1.Session(era, "", ""), b"{}") for era in (v1.LEGACY, v1.MODERN))


def offer(protocol: str) -> RawLists:
    return RawLists(protocol=protocol, capabilities=CAPABILITIES, tools=TOOLS)


@pytest.mark.parametrize(("client", "protocol"), [(LEGACY, "2025-11-25"), (MODERN, "2026-07-28")])
def test_in_the_same_era_not_a_byte_changes(client: object, protocol: str) -> None:
    lists = offer(protocol)
    assert kept(lists, client) is lists  # type: ignore[arg-type]


def test_a_legacy_client_hears_nothing_of_the_extension() -> None:
    shown = kept(offer("2026-07-28"), LEGACY)
    assert json.loads(shown.capabilities) == {"tools": {}, "extensions": {"a": {}}}
    assert shown.tools == TOOLS, "that era has no such word in them"


def test_a_modern_client_hears_nothing_of_the_tasks_before_that() -> None:
    shown = kept(offer("2025-11-25"), MODERN)
    assert json.loads(shown.capabilities) == {"tools": {}, "extensions": {"a": {}}}
    assert shown.tools == [
        TOOLS[0],
        b'{"name":"either","n":1.0}',
        TOOLS[2],
        *TOOLS[4:],
    ]
    assert shown.withheld == ["must"]
    assert kept(shown, MODERN) == shown, "also as it comes from the worker before"


def test_what_says_nothing_of_tasks_stays_as_it_is() -> None:
    plain = RawLists(protocol="2025-11-25", capabilities=b'{"tools": {}}', tools=TOOLS[:1])
    assert kept(plain, MODERN) == plain
    odd = msgspec.structs.replace(plain, capabilities=b"junk", tools=[b'{"taskSupport"'])
    assert kept(odd, MODERN) == odd


def test_who_makes_tasks() -> None:
    assert makes_tasks(offer(""))
    assert not makes_tasks(None) and not makes_tasks(RawLists(capabilities=b'{"tools":{}}'))
