"""What a backend says of its own accord: requests, notifications, and what no client could read."""

import pytest

from relay_worker.backends.effects import Asked, Notified, Problem, Progressed, Withdrew
from tests.unit.relay_worker.backends.conversation import Backend


def test_requests_of_the_backends_find_their_owner() -> None:
    backend = Backend(sampling={})
    backend.ready()
    backend.say(id="p", method="ping")
    backend.say(id=1.5, method="sampling/createMessage", params={"a": 1})
    backend.say(id=2, method="elicitation/create", params={})
    backend.say(id=3, method="unheard/of")
    backend.say(id=4, method="sampling/createMessage", params=[1])
    backend.say(id=None, method="unheard/of")
    assert backend.asked[0] == {"jsonrpc": "2.0", "id": "p", "result": {}}
    errors = {one["id"]: one["error"]["code"] for one in backend.asked[1:]}
    assert errors == {3: -32601, 4: -32602, None: -32601}
    assert backend.effects == [
        Asked(b"1.5", "sampling/createMessage", b'{"a":1}'),
        Asked(b"2", "elicitation/create", b""),  # whether it was declared, the supervisor knows
    ]


def test_notifications_are_told_apart() -> None:
    backend = Backend()
    backend.ready()
    backend.say(method="notifications/progress", params={"progressToken": 7, "progress": 1.5})
    backend.say(method="notifications/progress", params={"progressToken": "alien"})
    backend.say(method="notifications/progress")
    backend.say(method="notifications/cancelled", params={"requestId": "q", "reason": "r"})
    backend.say(method="notifications/cancelled", params={})
    backend.say(method="notifications/message", params={"level": "info"})
    backend.say(method="notifications/unheard_of")
    assert backend.effects == [
        Progressed(7, b'{"progress":1.5}'),
        Problem("notifications/progress is dropped: its params are no good"),
        Problem("notifications/progress is dropped: its params are no good"),
        Withdrew(b'"q"', b'{"requestId": "q", "reason": "r"}'),
        Notified("notifications/message", b'{"level": "info"}'),
        Notified("notifications/unheard_of", b""),
    ]


@pytest.mark.parametrize("params", [None, [1], "x", 7])
def test_a_notification_whose_params_no_client_could_read_is_dropped(params: object) -> None:
    backend = Backend()
    backend.ready()
    backend.say(method="notifications/message", params=params)
    assert [type(effect) for effect in backend.effects] == [Problem]


def test_a_meta_that_no_client_could_read_is_left_out() -> None:
    backend = Backend(sampling={})
    backend.ready()
    backend.say(method="notifications/message", params={"_meta": None, "level": "info"})
    backend.say(id=1, method="sampling/createMessage", params={"_meta": [], "a": 1})
    assert backend.effects == [
        Notified("notifications/message", b'{"level":"info"}'),
        Asked(b"1", "sampling/createMessage", b'{"a":1}'),
    ]


def test_a_notification_with_a_null_id_is_one() -> None:
    """Some servers write every member, whether it has a value or not."""
    backend = Backend()
    backend.ready()
    backend.say(id=None, method="notifications/message", params={"level": "info"})
    assert backend.effects == [Notified("notifications/message", b'{"level": "info"}')]
    assert backend.asked == []
