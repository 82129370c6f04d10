"""Real servers behind the relay, all at once: two from npm, one from PyPI, and the fixture server.

Every tool of theirs is called through the relay and directly; the answers must be the same. What
an answer holds of the time, or of the environment of its process, is left out of the comparison.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness import RawClient, Relay
from tests.integration.real import (
    TOOLS_MIN,
    all_at_once,
    answering,
    outcome,
    servers,
    without_times,
)
from tests.integration.through import names

PROGRESS = "notifications/progress"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder the filesystem server may touch."""
    return tmp_path_factory.mktemp("files").resolve()


@pytest.fixture(scope="module")
def relay(folder: Path) -> Iterator[Relay]:
    """A relay in front of all of them."""
    with Relay(all_at_once(folder)) as relay:
        answering(relay.client, folder)
        yield relay


@pytest.fixture(scope="module")
def direct(folder: Path) -> Iterator[dict[str, RawClient]]:
    """Each real server with a client of its own."""
    with ExitStack() as stack:
        clients = {}
        for name, argv in servers(folder).items():
            client = RawClient(argv)
            stack.callback(client.kill)  # how they end is not what is tested
            clients[name] = answering(client, folder)
        yield clients


EVERYTHING: dict[str, dict[str, Any]] = {
    "echo": {"message": "grüße 🌍"},
    "get-annotated-message": {"messageType": "error", "includeImage": True},
    "get-resource-links": {"count": 3},
    "get-resource-reference": {"resourceType": "Blob", "resourceId": 2},
    "get-roots-list": {},
    "get-structured-content": {"location": "Chicago"},
    "get-sum": {"a": 0.1, "b": 2},
    "get-tiny-image": {},
    "gzip-file-as-resource": {"name": "x.gz", "data": "data:text/plain,hello"},
    "simulate-research-query": {"topic": "relays"},
    "trigger-elicitation-request": {},
    "trigger-long-running-operation": {"duration": 0.2, "steps": 2},
    "trigger-sampling-request": {"prompt": "hi", "maxTokens": 10},
}
STATEFUL = {"get-env", "toggle-simulated-logging", "toggle-subscriber-updates"}


class TestLists:
    def test_all_of_them_in_one_list(self, relay: Relay, direct: dict[str, RawClient]) -> None:
        """97 tools or more; each as its server lists it but for the prefix."""
        listed = {tool["name"]: tool for tool in relay.client.list_all("tools", 60)}
        assert len(listed) >= TOOLS_MIN
        for server, client in direct.items():
            for tool in client.list_all("tools"):
                name = f"{server}__{tool['name']}"
                assert listed[name] == {**tool, "name": name}

    def test_resources_and_prompts(self, relay: Relay, direct: dict[str, RawClient]) -> None:
        """Read and got, each with the same answer as from the server itself."""
        own = direct["everything"]
        resources = own.list_all("resources")
        listed = relay.client.list_all("resources")
        assert resources and [one for one in resources if one not in listed] == []
        for params in (
            {"uri": resources[0]["uri"]},
            {"uri": "demo://resource/dynamic/text/7"},
        ):
            through = relay.client.request("resources/read", params)
            assert without_times(through) == without_times(own.request("resources/read", params))
        arguments = {"city": "Chicago", "state": "IL"}
        for prompt, given in (("simple-prompt", {}), ("args-prompt", arguments)):
            params = {"name": prompt, "arguments": given}
            through = relay.client.request(
                "prompts/get", {**params, "name": f"everything__{prompt}"}
            )
            assert through == own.request("prompts/get", params)

    def test_completion(self, relay: Relay, direct: dict[str, RawClient]) -> None:
        """Of a prompt's argument and of a template's."""
        argument = {"name": "department", "value": ""}
        prompt = {"type": "ref/prompt", "name": "completable-prompt"}
        own = direct["everything"].request(
            "completion/complete", {"ref": prompt, "argument": argument}
        )
        assert own["completion"]["values"]
        shown = {**prompt, "name": "everything__completable-prompt"}
        params = {"ref": shown, "argument": argument}
        assert relay.client.request("completion/complete", params) == own


class TestEverything:
    def test_every_tool_is_called_here(self, direct: dict[str, RawClient]) -> None:
        """A new version with a new tool is noticed."""
        own = set(names(direct["everything"].list_all("tools")))
        assert own == EVERYTHING.keys() | STATEFUL

    @pytest.mark.parametrize("tool", EVERYTHING)
    def test_a_call_is_answered_as_by_the_server_itself(
        self, relay: Relay, direct: dict[str, RawClient], tool: str
    ) -> None:
        """Results, questions to the client, progress."""
        arguments = EVERYTHING[tool]
        expected = outcome(direct["everything"], tool, arguments)
        assert outcome(relay.client, f"everything__{tool}", arguments) == expected
        reports = [
            [
                {key: value for key, value in params.items() if key != "progressToken"}
                for params in client.notifications(PROGRESS)
                if params["progressToken"] == token
            ]
            for client, token in (
                (direct["everything"], f"p-{tool}"),
                (relay.client, f"p-everything__{tool}"),
            )
        ]
        assert reports[0] == reports[1]
        assert reports[0] or tool != "trigger-long-running-operation"

    def test_its_environment_is_the_clients(self, relay: Relay) -> None:
        """A backend inherits what the relay was started with."""
        result = relay.client.call_tool("everything__get-env")
        text = json.dumps(result)
        assert relay.mark in text

    def test_simulated_logging_and_updates(self, relay: Relay) -> None:
        """Both start and stop what the server then sends on its own account."""
        client = relay.client
        client.request("logging/setLevel", {"level": "debug"})
        client.request("resources/subscribe", {"uri": "demo://resource/dynamic/text/1"})
        for tool, method in (
            ("toggle-simulated-logging", "notifications/message"),
            ("toggle-subscriber-updates", "notifications/resources/updated"),
        ):
            assert "isError" not in client.call_tool(f"everything__{tool}")
            client.wait_notification(method)
            assert "isError" not in client.call_tool(f"everything__{tool}")


FILES: list[tuple[str, dict[str, Any]]] = [
    ("list_allowed_directories", {}),
    ("create_directory", {"path": "sub/deep"}),
    ("write_file", {"path": "sub/a.txt", "content": "one\ntwo grüße 🌍\nthree\n"}),
    ("read_text_file", {"path": "sub/a.txt", "head": 2}),
    ("read_file", {"path": "sub/a.txt", "tail": 1}),
    ("edit_file", {"path": "sub/a.txt", "edits": [{"oldText": "three", "newText": "drei"}]}),
    ("write_file", {"path": "pixel.gif", "content": "GIF89a"}),
    ("read_media_file", {"path": "pixel.gif"}),
    ("read_multiple_files", {"paths": ["sub/a.txt", "missing.txt"]}),
    ("move_file", {"source": "sub/a.txt", "destination": "sub/b.txt"}),
    ("read_text_file", {"path": "sub/a.txt"}),
    ("list_directory", {"path": "."}),
    ("list_directory_with_sizes", {"path": ".", "sortBy": "size"}),
    ("directory_tree", {"path": "."}),
    ("search_files", {"path": ".", "pattern": "**/*.txt"}),
    ("get_file_info", {"path": "sub/b.txt"}),
    ("read_text_file", {"path": "/etc/hostname"}),
]
"""In this order, each on the files the ones before have left; two of them are refused."""


def within(folder: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with absolute paths."""
    paths = {
        key: str(folder / arguments[key])
        for key in ("path", "source", "destination")
        if key in arguments
    }
    several = {
        key: [str(folder / one) for one in arguments[key]] for key in ("paths",) if key in arguments
    }
    return arguments | paths | several


class TestFilesystem:
    def test_every_tool_answers_as_the_server_itself(
        self, relay: Relay, direct: dict[str, RawClient], folder: Path
    ) -> None:
        """Files written, read, edited, moved and searched; the errors are the same ones too."""
        assert {tool for tool, _ in FILES} == set(names(direct["files"].list_all("tools")))
        outcomes = []
        for client, prefix in ((direct["files"], ""), (relay.client, "files__")):
            outcomes.append(
                [outcome(client, prefix + tool, within(folder, args)) for tool, args in FILES]
            )
            assert (folder / "sub" / "b.txt").read_text() == "one\ntwo grüße 🌍\ndrei\n"
            shutil.rmtree(folder / "sub")
            (folder / "pixel.gif").unlink()
        for (tool, _), own, through in zip(FILES, *outcomes, strict=True):
            assert through == own, tool
        assert [bool(one.get("isError")) for one in outcomes[0]].count(True) == 2


class TestTime:
    @pytest.mark.parametrize(
        ("tool", "arguments"),
        [
            ("get_current_time", {"timezone": "Asia/Tokyo"}),
            (
                "convert_time",
                {
                    "source_timezone": "Europe/Berlin",
                    "time": "16:30",
                    "target_timezone": "Asia/Tokyo",
                },
            ),
            ("convert_time", {"source_timezone": "Nowhere/At_all", "time": "x"}),
        ],
    )
    def test_every_tool_answers_as_the_server_itself(
        self, relay: Relay, direct: dict[str, RawClient], tool: str, arguments: dict[str, str]
    ) -> None:
        """A server of the Python SDK; the last call is refused."""
        expected = outcome(direct["time"], tool, arguments)
        assert outcome(relay.client, f"time__{tool}", arguments) == expected
