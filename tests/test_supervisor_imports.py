"""The supervisor stays thin: what it must not load is not loaded, and it takes hardly any memory.

Measured on the real thing: in a process that imports its main module, and in one that runs.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Relay, resident_bytes
from tests.harness.house import FORBIDDEN_IN_SUPERVISOR

REPOSITORY = Path(__file__).parents[1]
OVERHEAD_BYTES_MAX = 6 << 20
"""Over a Python that has imported what the supervisor cannot do without."""

BARE = "import msgspec, selectors, socket, sys; print('up', flush=True); sys.stdin.read()"
LOADED = "import sys, {module}; print(*sorted(sys.modules))"

OF_WORKERS = {"relay_supervisor.wire.custody"}
"""What workers tell each other; the supervisor passes it on unread."""


def loaded_by(module: str) -> set[str]:
    """The modules of a process that has imported this one, each with the packages it is in."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


def test_main_loads_none_of_what_is_heavy() -> None:
    loaded = loaded_by("relay_supervisor.main")
    assert {"relay_supervisor.main", "relay_supervisor.core.relay", "msgspec"} <= loaded
    assert not loaded & FORBIDDEN_IN_SUPERVISOR


@pytest.mark.parametrize("module", sorted(FORBIDDEN_IN_SUPERVISOR))
def test_each_of_them_would_be_noticed(module: str) -> None:
    """Else a module that is spelled wrong, or missing, would prove nothing."""
    assert module in loaded_by(module)


def test_main_loads_every_module_of_the_supervisor_at_once() -> None:
    """A release directory may change under it later, so nothing may be imported then."""
    loaded = loaded_by("relay_supervisor.main")
    package = REPOSITORY / "relay_supervisor"
    needed = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in package.rglob("*.py")
        if "ctl" not in path.relative_to(package).parts and path.name != "__main__.py"
    } - OF_WORKERS
    assert len(needed) > 20
    assert needed <= loaded


@pytest.fixture
def bare() -> Iterator[int]:
    """The pid of a Python that has imported msgspec, selectors and socket, and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process.pid
        process.communicate(timeout=20)


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is counted otherwise")
def test_an_idle_supervisor_takes_little_more_memory_than_a_bare_python(bare: int) -> None:
    with Relay() as relay:
        relay.client.initialize()
        assert relay.client.list_all("tools"), "its worker is up and was listed"
        over = resident_bytes(relay.pid) - resident_bytes(bare)
    assert over <= OVERHEAD_BYTES_MAX, f"{over / (1 << 20):.1f} MiB over a bare Python"
