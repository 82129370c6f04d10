"""What holds for every test: hypothesis' settings, signals, how many run at once, and that no test
leaves a process behind; and what tests of all kinds use.
"""

import os
import signal
from collections.abc import Iterator

import hypothesis
import psutil
import pytest

from tests.harness import RelayHome

EXAMPLES_SEARCHED = 2_000
"""Of each property, by `make fuzz`."""

# Two shared cores: how long one example takes says nothing. A failure prints what reproduces it.
hypothesis.settings.register_profile(
    "search",
    deadline=None,
    max_examples=EXAMPLES_SEARCHED,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# The same examples in every run: what nobody has seen is looked for by `make fuzz`.
hypothesis.settings.register_profile(
    "relay", hypothesis.settings.get_profile("search"), max_examples=100, derandomize=True
)
hypothesis.settings.load_profile("relay")

# A shell lets what it runs in the background ignore SIGINT, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

PROCESSES_MAX = 8
WITH_PROCESSES = ("integration", "faults", "differential")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one more than there are processors, as tests of processes wait a lot."""
    return min((os.cpu_count() or 1) + 1, PROCESSES_MAX)


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


@pytest.fixture
def home() -> Iterator[RelayHome]:
    """Directories that several relays use, one after another or at once."""
    home = RelayHome.make()
    yield home
    home.remove()
