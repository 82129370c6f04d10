"""A worker's configuration with two fixture servers, `fix` and `two`, and how they fare."""

from typing import Any

from tests.harness.fixture import fixture_backend
from tests.integration.fake_supervisor import FakeSupervisor

QUICK = {"restart_delay_seconds": 0.1, "restart_delay_max_seconds": 0.1}


def two_backends(
    *flags: str, relay: dict[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    """*flags* and *settings* are those of `fix`; both are restarted quickly."""
    backends = {"fix": fixture_backend(*flags, **settings), "two": fixture_backend("--tools=3")}
    return {"backends": backends, "relay": {**QUICK, **(relay or {})}}


def no_complaints(supervisor: FakeSupervisor, backend: str = "fix") -> None:
    """The worker has broken no rule towards this backend."""
    supervisor.tool(9999, f"{backend}__violations")
    assert supervisor.structured(9999) == {"violations": []}


def other_backend_works(supervisor: FakeSupervisor) -> None:
    """Whatever has become of `fix`, `two` is as it was."""
    supervisor.tool(9999, "two__echo", still="here")
    assert supervisor.structured(9999) == {"still": "here"}
