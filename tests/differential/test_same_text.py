"""What is put into the relay comes out with the same text, whatever JSON it is; piece by piece.

The sessions show the same for all pieces together. Here hypothesis finds the smallest JSON that
one of them does not give back, without a process.
"""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.core import mcp
from relay_worker import catalogue
from relay_worker.backends import frames
from relay_worker.config.model import BackendSpec, Config, RelaySettings
from relay_worker.eras import ENVELOPE_KEYS, legacy_params, modern_members, same_era_params
from relay_worker.lists import RawLists
from relay_worker.repair import clean_line
from tests.differential.bridges import mended
from tests.differential.lossless import Tree, dumps, loads, member, members

CALL = 4711

NUMBERS = st.from_regex(r"\A-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?\Z")
ESCAPES = st.from_regex(r"\A\\(?:[\"\\/bfnrt]|u[0-9a-fA-F]{4})\Z")
PLAIN = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\')
STRINGS = st.lists(st.one_of(PLAIN, ESCAPES), max_size=6).map(lambda parts: f'"{"".join(parts)}"')
SPACE = st.sampled_from(("", "", " ", "\t", " \r "))


def _object(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(STRINGS, SPACE, inner), max_size=4, unique_by=_key)
    return pairs.map(lambda found: "{" + ",".join(f"{k}:{s}{v}{s}" for k, s, v in found) + "}")


def _key(pair: tuple[str, str, str]) -> Any:
    return json.loads(mended(pair[0]))  # halves of pairs are all one and the same afterwards


VALUES = st.recursive(
    st.one_of(NUMBERS, STRINGS, st.sampled_from(("true", "false", "null"))),
    lambda inner: st.one_of(
        _object(inner),
        st.lists(inner, max_size=4).map(lambda items: "[ " + " , ".join(items) + "]"),
    ),
    max_leaves=12,
)


def same(text: bytes, expected: str) -> None:
    """Fail unless both are the same JSON in the same spelling."""
    assert dumps(loads(mended(text.decode()))) == dumps(loads(mended(expected)))


def replaced(text: str, value: Tree, *keys: str) -> str:
    """The object with another value under these keys."""
    tree = members(text)
    target = member(tree, *keys[:-1])
    assert isinstance(target, dict)
    target[keys[-1]] = value
    return dumps(tree)


@given(VALUES, VALUES)
def test_a_request_of_the_same_era(one: str, other: str) -> None:
    """All but the name and the progress token, which are the backend's."""
    meta = f'{{"x":{other},"progressToken":"t","y":{one}}}'
    params = f'{{"name":"shown","arguments":{one},"x":{other},"_meta":{meta},"z":{one}}}'
    request = mcp.parse(f'{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}'.encode())
    assert isinstance(request, mcp.Request)
    sent = same_era_params(bytes(request.params), progress_token=CALL, name="own")
    expected = replaced(params, f"{CALL}", "_meta", "progressToken")
    same(sent, replaced(expected, '"own"', "name"))


@given(VALUES)
def test_a_modern_request_to_a_legacy_backend(value: str) -> None:
    """The envelope is taken out of it."""
    envelope = ",".join(f'"{key}":{value}' for key in sorted(ENVELOPE_KEYS))
    params = f'{{"uri":{value},"_meta":{{{envelope},"x":{value}}}}}'
    request = mcp.parse(f'{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}'.encode())
    assert isinstance(request, mcp.Request)
    same(legacy_params(bytes(request.params)), f'{{"uri":{value},"_meta":{{"x":{value}}}}}')


@given(VALUES, VALUES)
def test_a_result(one: str, other: str) -> None:
    """Whatever it is, and an error too."""
    for outcome in (f'"result":{one}', f'"error":{{"code":1,"data":{other}}}'):
        line = f'{{"jsonrpc":"2.0","id":{CALL},{outcome}}}'
        ((_, envelope),) = clean_line(line.encode()).frames
        del envelope["id"], envelope["jsonrpc"]
        answer = mcp.response(b'"mine"', frames.encode(envelope)[1:])
        same(b"".join(answer), f'{{"jsonrpc":"2.0","id":"mine",{outcome}}}')


@given(VALUES)
def test_a_result_for_a_modern_client(value: str) -> None:
    """It says that it is complete; nothing else is new."""
    value = mended(value)  # as it is when it comes from a backend
    found = modern_members(f'"result":{{"content":{value},"x":{value}}}}}'.encode(), "tools/call")
    expected = f'{{"resultType":"complete","content":{value},"x":{value}}}'
    same(b"{" + found, f'{{"result":{expected}}}')


@given(VALUES, VALUES)
def test_a_question_and_its_answer(one: str, other: str) -> None:
    """The progress token comes back as it was, with what is said under it."""
    params = f'{{"x":{one},"_meta":{{"x":{other},"progressToken":"\\u0074"}}}}'
    ((_, envelope),) = clean_line(f'{{"jsonrpc":"2.0","params":{params}}}'.encode()).frames
    asked = frames.token_towards_client("b:c%3a", frames.decode_object(envelope["params"]) or {})
    token = member(loads(asked), "_meta", "progressToken")
    assert isinstance(token, str)
    same(asked, replaced(mended(params), token, "_meta", "progressToken"))
    report = f'{{"progressToken":{token},"x":{mended(one)}}}'
    found = frames.token_towards_backend(report.encode())
    assert found is not None and found[0] == "b:c%3a"
    same(found[1], f'{{"progressToken":"\\u0074","x":{one}}}')


@given(VALUES)
def test_a_tool_in_the_list(value: str) -> None:
    """The name has a prefix; all else is as the backend wrote it."""
    schema = f'{{"type":"object","x":{value}}}'
    tool = f'{{"x":{value},"name":"own","inputSchema":{schema},"_meta":{{"x":{value}}}}}'
    text = mended(tool).encode()
    config = Config(backends={"b": BackendSpec(command="c")}, relay=RelaySettings())
    lists = {"b": RawLists(capabilities=b'{"tools":{}}', tools=[text])}
    (entry,) = catalogue.build(config, lists).body.tools
    same(entry.item, replaced(mended(tool), '"b__own"', "name"))
