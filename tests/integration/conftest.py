"""Fixtures of the tests with real processes."""

from collections.abc import Iterator

import pytest

from tests.harness import RawClient, start_fixture
from tests.integration.versions import Versions


@pytest.fixture
def client() -> Iterator[RawClient]:
    """A client of a fixture server without flags; at the end the server has no complaint."""
    with start_fixture() as one:
        yield one
        assert one.call_tool("violations")["structuredContent"] == {"violations": []}


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """The released versions and the tree, each ready to be run."""
    return Versions(tmp_path_factory.mktemp("versions"))
