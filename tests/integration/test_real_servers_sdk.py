"""The official SDK's client, in all its modes, on a relay in front of all real servers at once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.real import TOOLS_MIN, all_at_once
from tests.integration.sdk import MODES, SdkSession, sdk_session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder the filesystem server may touch."""
    return tmp_path_factory.mktemp("files").resolve()


@pytest.fixture(scope="module", params=MODES)
def session(request: pytest.FixtureRequest, folder: Path) -> Iterator[SdkSession]:
    """The official client, connected."""
    with sdk_session(all_at_once(folder), request.param) as session:
        yield session


def test_lists(session: SdkSession) -> None:
    """All of it is valid for the SDK."""
    listed = [tool.name for tool in session.run(session.client.list_tools).tools]
    assert len(listed) >= TOOLS_MIN
    for prefix in ("everything", "files", "time", "fixture", "relay"):
        assert [name for name in listed if name.startswith(f"{prefix}__")]
    assert len(session.run(session.client.list_prompts).prompts) >= 5
    assert len(session.run(session.client.list_resources).resources) >= 9
    assert session.run(session.client.list_resource_templates).resource_templates


def test_calls(session: SdkSession, folder: Path) -> None:
    """One of each server."""
    call = session.client.call_tool
    assert session.run(call, "everything__get-sum", {"a": 2, "b": 3}).content[0].text == (
        "The sum of 2 and 3 is 5."
    )
    listed = session.run(call, "files__list_allowed_directories").content[0].text
    assert str(folder) in listed
    now = session.run(call, "time__get_current_time", {"timezone": "Asia/Tokyo"})
    assert json.loads(now.content[0].text)["timezone"] == "Asia/Tokyo"
    assert session.run(call, "fixture__echo", {"x": 1}).structured_content == {"x": 1}
    wrong = session.run(call, "everything__get-sum", {"a": "two"})
    assert wrong.is_error


def test_progress_prompts_and_resources(session: SdkSession) -> None:
    """Of the everything server."""
    client, reported = session.client, []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, total))

    arguments = {"duration": 0.2, "steps": 2}
    name = "everything__trigger-long-running-operation"
    session.run(client.call_tool, name, arguments, progress_callback=on_progress)
    assert reported == [(1, 2), (2, 2)]
    prompt = session.run(client.get_prompt, "everything__simple-prompt")
    assert prompt.messages
    uri = "demo://resource/dynamic/text/7"
    assert session.run(client.read_resource, uri).contents[0].uri == uri
