"""Fixtures of the tests with real processes."""

from collections.abc import Iterator

import pytest

from tests.harness import RawClient, start_fixture


@pytest.fixture
def client() -> Iterator[RawClient]:
    """A client of a fixture server without flags; at the end the server has no complaint."""
    with start_fixture() as one:
        yield one
        assert one.call_tool("violations")["structuredContent"] == {"violations": []}
