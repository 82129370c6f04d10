"""What a modern client can ask to hear of, as `subscriptions/listen` has it."""

from typing import Final

import msgspec

from relay_supervisor.core.state import Listen

FILTERS: Final = {
    "notifications/tools/list_changed": "tools",
    "notifications/prompts/list_changed": "prompts",
    "notifications/resources/list_changed": "resources",
}
"""Notifications, and the member of a filter that asks for each."""


class SubscriptionFilter(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `notifications` of `subscriptions/listen`."""

    tools: bool | None = msgspec.field(default=None, name="toolsListChanged")
    prompts: bool | None = msgspec.field(default=None, name="promptsListChanged")
    resources: bool | None = msgspec.field(default=None, name="resourcesListChanged")
    uris: list[str] | None = msgspec.field(default=None, name="resourceSubscriptions")
    tasks: list[str] | None = msgspec.field(default=None, name="taskIds")


read: Final = msgspec.json.Decoder(SubscriptionFilter).decode


def begin(raw_id: bytes, wanted: SubscriptionFilter) -> Listen:
    """Return the subscription that a request with this id opens."""
    return Listen(
        raw_id,
        bool(wanted.tools),
        bool(wanted.prompts),
        bool(wanted.resources),
        wanted.uris or [],
        wanted.tasks or [],
    )
