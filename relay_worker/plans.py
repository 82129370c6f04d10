"""From the configuration to how each backend is run, and to what the supervisor keeps to."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends.remote.backend import RemotePlan
from relay_worker.backends.remote.messages import Address
from relay_worker.backends.surroundings import Plan, Policy
from relay_worker.config.expand import ExpandedSpec, spec_hash
from relay_worker.config.model import BackendSpec, RelaySettings
from relay_worker.life import MARKER
from relay_worker.oauth.files import tokens_path


def plan_of(
    name: str, spec: BackendSpec, expanded: ExpandedSpec | None, *, project: str, instance: str
) -> Plan:
    """Return how the backend *name* is run; *expanded* is None where it is disabled.

    A backend carries the mark by which it is found again when all else is gone.
    """
    plan = Plan(
        name=name,
        enabled=spec.enabled and expanded is not None,
        lazy=spec.start == "lazy",
        start_timeout_seconds=spec.start_timeout_seconds,
        idle_stop_seconds=spec.idle_stop_seconds,
    )
    if expanded is None:
        return plan
    return msgspec.structs.replace(
        plan,
        argv=expanded.argv,
        env={**_sendable(expanded.env), MARKER: instance},
        cwd=expanded.cwd or project or os.getcwd(),
    )


def remote_plan_of(
    name: str,
    spec: BackendSpec,
    expanded: ExpandedSpec | None,
    *,
    settings: RelaySettings,
    state_dir: Path,
) -> RemotePlan:
    """Return how the remote backend *name* is reached; *expanded* is None where it is disabled."""
    plan = RemotePlan(
        name=name,
        kind=spec.kind,
        address=None,
        enabled=spec.enabled and expanded is not None,
        lazy=spec.start == "lazy",
        start_timeout_seconds=spec.start_timeout_seconds,
    )
    if expanded is None:
        return plan
    assert expanded.url is not None
    tokens = tokens_path(state_dir, name, expanded.url)
    address = Address(
        url=expanded.url,
        headers=expanded.headers,
        frame_bytes_max=settings.frame_bytes_max,
        delay_seconds_max=settings.restart_delay_max_seconds,
        tokens="" if expanded.introduces_itself else str(tokens),
    )
    return msgspec.structs.replace(plan, address=address, spec_hash=spec_hash(expanded))


def policy_of(settings: RelaySettings) -> Policy:
    """Return the settings that concern every backend."""
    return Policy(
        frame_bytes_max=settings.frame_bytes_max,
        list_pages_max=settings.list_pages_max,
        list_timeout_seconds=settings.list_timeout_seconds,
        restart_delay_seconds=settings.restart_delay_seconds,
        restart_delay_max_seconds=settings.restart_delay_max_seconds,
        restart_reset_seconds=settings.restart_reset_seconds,
        restart_attempts_max=settings.restart_attempts_max,
    )


def limits_of(settings: RelaySettings) -> v1.Limits:
    """Return the settings that the supervisor keeps to."""
    return v1.Limits(
        queue_requests_max=settings.queue_max_requests,
        queue_bytes_max=settings.queue_bytes_max,
        queue_wait_seconds=settings.queue_wait_seconds,
        first_list_wait_seconds=settings.first_list_wait_seconds,
        frame_bytes_max=settings.frame_bytes_max,
        retained_bytes_max=settings.retained_bytes_max,
        requests_in_flight_max=settings.requests_in_flight_max,
        drain_seconds=settings.drain_seconds,
        drain_max_seconds=settings.drain_max_seconds,
        probation_seconds=settings.probation_seconds,
        probation_calls=settings.probation_calls,
        ready_seconds_max=settings.ready_seconds_max,
    )


def _sendable(env: Mapping[str, str]) -> dict[str, str]:
    """Return *env* without variables that are not UTF-8: they cannot cross the pipe."""
    return {name: value for name, value in env.items() if _is_text(name) and _is_text(value)}


def _is_text(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False
