"""Fixtures of the tests with real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import RawClient, start_fixture
from tests.integration.fake_supervisor import FakeSupervisor
from tests.integration.versions import Versions


@pytest.fixture
def client() -> Iterator[RawClient]:
    """A client of a fixture server without flags; at the end the server has no complaint."""
    with start_fixture() as one:
        yield one
        assert one.call_tool("violations")["structuredContent"] == {"violations": []}


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[FakeSupervisor]:
    """A supervisor that the test plays, with a real worker."""
    with FakeSupervisor(tmp_path) as fake:
        yield fake


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """The released versions and the tree, each ready to be run."""
    return Versions(tmp_path_factory.mktemp("versions"))
