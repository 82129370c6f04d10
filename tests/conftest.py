"""What holds for every test: hypothesis' settings, and that no test leaves a process behind."""

from collections.abc import Iterator

import hypothesis
import psutil
import pytest

# Two shared cores: how long one example takes says nothing. A failure prints what reproduces it.
hypothesis.settings.register_profile(
    "relay",
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("relay")

WITH_PROCESSES = ("integration", "faults", "differential")


@pytest.fixture(autouse=True)
def no_child_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests that start processes end with as many children of pytest as they began with."""
    if not any(part in WITH_PROCESSES for part in request.path.parts):
        yield
        return
    before = set(psutil.Process().children())
    yield
    left = set(psutil.Process().children()) - before
    for process in left:
        process.kill()
        process.wait(5)
    assert not left, f"the test left children behind: {left}"
