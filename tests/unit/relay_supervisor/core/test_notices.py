"""What the client says by itself reaches each backend once, also while it changes its worker."""

import pytest

from relay_supervisor.core.notices import NOTICES_MAX
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.custody_driver import BOTH, CustodyDriver
from tests.unit.relay_supervisor.core.driver import notification


@pytest.fixture
def relay() -> CustodyDriver:
    driver = CustodyDriver()
    driver.serve()
    return driver


def test_what_the_client_says_waits_until_there_is_somebody_to_pass_it_on(
    relay: CustodyDriver,
) -> None:
    """Who has let go would drop it, and so would who has not taken over yet."""
    relay.cut_over()
    relay.line(notification("notifications/roots/list_changed", n=1))
    relay.frozen("files")
    relay.line(notification("notifications/roots/list_changed", n=2))
    relay.adopted("files")
    relay.frozen("slow")
    assert relay.frames(v1.ClientNotification) == []
    relay.adopted("slow")
    told = [(to, payload) for to, _, payload in relay.frames(v1.ClientNotification)]
    assert told == [(to, b'{"n": %d}' % n) for n in (1, 2) for to in (1, 2)]
    relay.line(notification("notifications/roots/list_changed", n=3))
    assert len(relay.frames(v1.ClientNotification)) == 2, "at once again, and the others not twice"


def test_more_than_so_much_does_not_wait(relay: CustodyDriver) -> None:
    relay.cut_over()
    for number in range(NOTICES_MAX + 2):
        relay.line(notification("notifications/roots/list_changed", n=number))
    for name in BOTH:
        relay.frozen(name)
        relay.adopted(name)
    told = [payload for to, _, payload in relay.frames(v1.ClientNotification) if to == 2]
    assert len(told) == NOTICES_MAX and told[0] == b'{"n": 2}'
