"""What the integration and fault tests stand on: a raw client, a relay launcher, processes.

Nothing in here sleeps, and every wait has a bound.
"""

from tests.harness.child import EXIT_SECONDS_MAX, Child
from tests.harness.connection import ANSWER_SECONDS_MAX, Connection
from tests.harness.external import claude_code, server_everything, server_filesystem, server_time
from tests.harness.fixture import (
    FIXTURE_SERVER,
    fixture_argv,
    fixture_backend,
    side_effects,
    start_fixture,
)
from tests.harness.frames import Frame, RpcError
from tests.harness.home import RelayHome
from tests.harness.processes import (
    MARK_VARIABLE,
    alive,
    descendants,
    describe,
    eventually,
    inherited_fds,
    kill_marked,
    marked,
    new_mark,
    open_fds,
    resident_bytes,
    wait_gone,
    wait_until,
)
from tests.harness.rawclient import (
    CLIENT_INFO,
    LEGACY,
    MODERN,
    RawClient,
    json_of,
    modern_meta,
    stopwatch,
    text_of,
)
from tests.harness.relay import Relay

__all__ = [
    "ANSWER_SECONDS_MAX",
    "CLIENT_INFO",
    "EXIT_SECONDS_MAX",
    "FIXTURE_SERVER",
    "LEGACY",
    "MARK_VARIABLE",
    "MODERN",
    "Child",
    "Connection",
    "Frame",
    "RawClient",
    "Relay",
    "RelayHome",
    "RpcError",
    "alive",
    "claude_code",
    "descendants",
    "describe",
    "eventually",
    "fixture_argv",
    "fixture_backend",
    "inherited_fds",
    "json_of",
    "kill_marked",
    "marked",
    "modern_meta",
    "new_mark",
    "open_fds",
    "resident_bytes",
    "server_everything",
    "server_filesystem",
    "server_time",
    "side_effects",
    "start_fixture",
    "stopwatch",
    "text_of",
    "wait_gone",
    "wait_until",
]
