"""Every test that drives a whole core is run twice: as it is, and with the core's state written and
read back before each event. That must be invisible.
"""

import pytest

from relay_supervisor.core import events
from tests.unit.relay_supervisor.core.driver import Driver


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that do not drive a core have nothing to write."""
    kinds = [thing for thing in vars(metafunc.module).values() if isinstance(thing, type)]
    if any(issubclass(kind, Driver) for kind in kinds):
        metafunc.parametrize("resumed", ["", "resumed"], indirect=True)


@pytest.fixture(autouse=True)
def resumed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the code before each event, if that is wanted."""
    if not getattr(request, "param", ""):
        return
    right = Driver.do

    def do(driver: Driver, event: events.AnyEvent) -> None:
        driver.reexec()
        right(driver, event)

    monkeypatch.setattr(Driver, "do", do)
