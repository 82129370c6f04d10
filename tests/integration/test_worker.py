"""A real worker process between a fake supervisor and real backends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.fixture import fixture_backend
from tests.integration.fake_supervisor import FakeSupervisor


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with FakeSupervisor(tmp_path) as fake:
        yield fake


def test_a_call_reaches_the_backend_and_its_answer_comes_back(supervisor: FakeSupervisor) -> None:
    supervisor.ready({"backends": {"fix": fixture_backend()}})
    supervisor.tool(7, "fix__echo", text="hello")
    assert supervisor.text(7) == '{"text":"hello"}'
