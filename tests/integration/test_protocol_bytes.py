"""Nothing that passes through the relay is re-encoded: unknown members, numbers, spelling stay.

A relay that decodes and encodes again loses what it does not know, rounds what it cannot hold, and
orders members anew. Both ends here compare bytes.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import LEGACY, MODERN, RawClient, Relay, RelayHome

VERBATIM = Path(__file__).parents[1] / "fixtures" / "verbatim.py"

ODD = (
    rb'{"big":12345678901234567890123456789, "neg":-9223372036854775809,"f":0.10,"e":1E+2,'
    rb'"z":-0.0,"tiny":1e-400,  "esc":"\u00e9\/\ud83d\ude00\u2028","raw":"'
    + "é🌍\u2028".encode()
    + rb'","null":null,"nested":[[],{},[ 1 ,2.0 ]],"":"empty","a":1}'
)
"""JSON that no decoder and encoder gives back as it was."""

TOOL = (
    rb'"title":"T","description":"D","inputSchema":{ "type" : "object","properties":{"n":{"type":'
    rb'"number","maximum":12345678901234567890123,"default":0.10}},"x-odd":%(odd)s},'
    rb'"outputSchema":{"type":"object","x":1.0},"icons":[{"src":"data:,","mimeType":"image/png",'
    rb'"sizes":["48x48"],"theme":"dark","x-odd":1.50}],"annotations":{"title":"A","readOnlyHint":'
    rb'true,"x-future":{"a":null}},"_meta":{"anthropic/alwaysLoad":true,"odd":%(odd)s},'
    rb'"execution":{"taskSupport":"forbidden"},"futureMember":%(odd)s}' % {b"odd": ODD}
)


@contextmanager
def verbatim(files: dict[str, bytes], *, prefix: bool = True) -> Iterator[tuple[RawClient, Path]]:
    """A relay in front of the verbatim server; its client, and the file with what it received."""
    home = RelayHome.make()
    for name, content in files.items():
        (home.root / name).write_bytes(content)
    backend = {"command": sys.executable, "args": [str(VERBATIM), str(home.root)]}
    try:
        with Relay({"backends": {"v": backend}, "relay": {"prefix": prefix}}, home=home) as relay:
            relay.client.initialize(capabilities={"roots": {}, "sampling": {}, "elicitation": {}})
            yield relay.client, home.root / "received"
    finally:
        home.remove()


def raw_list(client: RawClient, what: str) -> bytes:
    """The bytes of the answer to a list request."""
    return client.response(client.start(f"{what}/list")).raw


TOOLS = {"tools.list.json": b'{"tools":[{"name":"odd","inputSchema":{"type":"object"}}]}'}


class TestLists:
    @pytest.mark.parametrize("prefix", [False, True])
    def test_a_tool_is_listed_byte_for_byte(self, prefix: bool) -> None:
        """Schemas, icons, annotations, _meta, unknown members; the name alone gets its prefix."""
        files = {"tools.list.json": b'{"tools":[{"name":"odd",' + TOOL + b"]}"}
        with verbatim(files, prefix=prefix) as (client, _):
            name = b"v__odd" if prefix else b"odd"
            assert b'{"name":"' + name + b'",' + TOOL in raw_list(client, "tools")

    def test_prompts_resources_and_templates_too(self) -> None:
        """The same for every list."""
        rest = b',"description":"D","_meta":' + ODD + b',"future":' + ODD + b"}"
        files = {
            "prompts.list.json": b'{"prompts":[{"name":"odd"' + rest + b"]}",
            "resources.list.json": b'{"resources":[{"uri":"x:/1","name":"n","size":1.0'
            + rest
            + b"]}",
            "resources.templates.list.json": b'{"resourceTemplates":[{"uriTemplate":"x:/{i}",'
            b'"name":"n"' + rest + b"]}",
        }
        with verbatim(files) as (client, _):
            assert b'{"name":"v__odd"' + rest in raw_list(client, "prompts")
            assert b'"size":1.0' + rest in raw_list(client, "resources")
            assert b'"name":"n"' + rest in raw_list(client, "resources/templates")


class TestCalls:
    def test_arguments_and_unknown_members_reach_the_backend(self) -> None:
        """The name and the progress token are the relay's; all else is not touched."""
        with verbatim(TOOLS) as (client, received):
            client.expect(70)
            client.send_line(
                b'{"jsonrpc":"2.0","id":70,"method":"tools/call","params":{"name":"v__odd",'
                b'"arguments":' + ODD + b',"_meta":{"odd":' + ODD + b',"progressToken":"t"},'
                b'"future":' + ODD + b"}}"
            )
            client.response(70)
            (line,) = [one for one in received.read_bytes().splitlines() if b"tools/call" in one]
        assert b'"name":"odd"' in line
        assert b'"arguments":' + ODD in line
        assert b'"odd":' + ODD in line
        assert b'"future":' + ODD in line

    def test_results_reach_the_client(self) -> None:
        """Unknown members of the result too."""
        result = b'{"content":[{"type":"text","text":"x","_meta":' + ODD + b"}],"
        result += b'"structuredContent":' + ODD + b',"_meta":' + ODD + b',"future":' + ODD + b"}"
        with verbatim({**TOOLS, "tools.call.json": result}) as (client, _):
            answer = client.response(client.start_tool("v__odd"))
            assert answer.raw.endswith(b'"result":' + result + b"}")

    def test_large_results_reach_the_client(self) -> None:
        """They take another path through the relay, and are the same bytes all the same."""
        result = b'{"content":[],"structuredContent":' + ODD + b',"fill":"' + b"x" * 2**20 + b'"}'
        with verbatim({**TOOLS, "tools.call.json": result}) as (client, _):
            answer = client.response(client.start_tool("v__odd"))
            assert answer.raw.endswith(b'"result":' + result + b"}")

    def test_progress_and_messages_reach_the_client(self) -> None:
        """All members but the token, which is the client's."""
        lines = (
            b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":@TOKEN@,'
            b'"progress":0.10,"total":12345678901234567890,"odd":' + ODD + b"}}\n"
            b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":'
            + ODD
            + b"}}\n"
        )
        with verbatim({**TOOLS, "tools.call.lines": lines}) as (client, _):
            client.call_tool("v__odd", progress_token="tok")
            raws = {frame.method: frame.raw for frame in client.frames if frame.method}
        assert b'"progressToken":"tok"' in raws["notifications/progress"]
        assert (
            b'"progress":0.10,"total":12345678901234567890,"odd":' + ODD
            in (raws["notifications/progress"])
        )
        assert b'"data":' + ODD in raws["notifications/message"]

    def test_errors_reach_the_client(self) -> None:
        """The data of an error, and members of it that no specification knows."""
        error = b'{"code":-32050,"message":"m","data":' + ODD + b',"future":' + ODD + b"}"
        # The answer comes first, so the result that follows it is a second answer, and dropped.
        lines = b'{"jsonrpc":"2.0","id":@ID@,"error":' + error + b"}\n"
        with verbatim({**TOOLS, "tools.call.lines": lines}) as (client, _):
            answer = client.response(client.start_tool("v__odd"))
            assert answer.raw.endswith(b'"error":' + error + b"}")

    def test_questions_and_answers_pass(self) -> None:
        """Sampling: the backend's params, the client's result."""
        lines = b'{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":'
        lines += b'{"messages":[],"future":' + ODD + b"}}\n"
        with verbatim({**TOOLS, "tools.call.lines": lines}) as (client, received):
            client.call_tool("v__odd")
            question = client.wait_request("sampling/createMessage")
            assert question.raw.endswith(b'{"messages":[],"future":' + ODD + b"}}")
            answer = b'{"jsonrpc":"2.0","id":%d,"result":' % question.id + ODD + b"}"
            client.send_line(answer)
            client.call_tool("v__odd")
            assert b'"id":"q","result":' + ODD + b"}" in received.read_bytes()

    def test_a_modern_clients_result_gains_members_and_loses_none(self) -> None:
        """resultType is put in; everything else of a legacy backend's result stays."""
        result = b'{"content":[],"structuredContent":' + ODD + b',"future":' + ODD + b"}"
        with verbatim({**TOOLS, "tools.call.json": result}) as (client, received):
            request_id = client.start_modern(
                "tools/call", {"name": "v__odd", "_meta": {"kept": {"x": [1.5]}}}
            )
            raw = client.response(request_id).raw
            assert b'"structuredContent":' + ODD + b',"future":' + ODD in raw
            (line,) = [one for one in received.read_bytes().splitlines() if b"tools/call" in one]
        assert b'"_meta":{"kept":{"x":[1.5]}}' in line
        assert MODERN.encode() not in line and LEGACY.encode() not in line
