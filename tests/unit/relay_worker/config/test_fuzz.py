"""Whatever a file holds, loading it gives a configuration and problems, and never raises."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from relay_worker.config.expand import expand, spec_hash
from relay_worker.config.load import Loaded, load_bytes
from relay_worker.config.model import BackendSpec, Config, LlmSpec, RelaySettings, ToolRules
from relay_worker.config.peers import HIDING, IGNORED, SLIPS
from relay_worker.config.problems import Severity

PATH = Path("/etc/relay.yaml")
ENVIRON = {"HOME": "/h", "TOKEN": "t0ken", "ODD": "\udcff", "EMPTY": ""}


def _check(raw: bytes) -> Loaded:
    """Load *raw* and assert what holds of every result."""
    got = load_bytes(raw, PATH, ENVIRON)
    assert load_bytes(raw, PATH, ENVIRON) == got, "the same bytes give the same result"
    if got.broken:
        assert got.config == Config()
        assert [problem.severity for problem in got.problems] == [Severity.ERROR]
    for problem in got.problems:
        assert str(problem).isprintable(), "one line, and nothing for a terminal to act upon"
        assert 0 <= problem.line <= len(raw.decode("utf-8", "replace").splitlines()) + 1
        assert problem.found or problem.expected
        assert problem.advice or problem.expected
    for name, spec in got.config.backends.items():
        assert 1 <= len(name) <= 64
        assert sum(way is not None for way in (spec.command, spec.url, spec.llm)) == 1
        if spec.enabled:
            assert len(spec_hash(expand(spec, ENVIRON, got.directory))) == 64
    return got


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    _check(raw)


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    _check(text.encode("utf-8", "surrogatepass"))


FIELDS = [
    field
    for struct in (BackendSpec, LlmSpec, ToolRules, RelaySettings, Config)
    for field in struct.__struct_fields__
]
WORDS = [*FIELDS, *IGNORED, *HIDING, *SLIPS, "mcpServers", "servers", "timeout", "disabled", "<<"]
VALUES = ["x", "1", "-1", "1.5", "true", "no", "null", "~", "", "eager", "http://x", "1e9", "ws"]
VALUES += [
    "${HOME}",
    "${NOPE}",
    "${ODD}",
    "${A:-b}",
    "${A:-${B}}",
    "${env:X}",
    "$${X}",
    "\x85\u202e",
]

words = st.sampled_from(WORDS) | st.text(max_size=8)
values = st.recursive(
    st.sampled_from(VALUES)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6),
    max_leaves=25,
)
backends = st.dictionaries(
    st.sampled_from(BackendSpec.__struct_fields__) | words, values, max_size=6
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "backends": st.dictionaries(words, backends | values, max_size=4) | values,
        "mcpServers": st.dictionaries(words, backends, max_size=3),
        "panels": values,
        "checks": values | st.lists(st.dictionaries(words, values, max_size=4), max_size=3),
        "relay": st.dictionaries(
            st.sampled_from(RelaySettings.__struct_fields__), values, max_size=8
        ),
        "zzz": values,
    },
)


@given(documents, st.sampled_from([None, 2, "\t"]))
def test_any_document(document, indent) -> None:
    raw = json.dumps(document, indent=indent, ensure_ascii=True).encode()
    got = _check(raw)
    if b"NaN" not in raw and b"Infinity" not in raw:
        assert not got.broken


EXAMPLE = b"""\
x-base: &base {command: npx, start: lazy}
backends:
  files: {<<: *base, args: [-y, "@m/fs", "${HOME}"], env: {PORT: 8080, KEY: "${TOKEN:-x}"}}
  search: {url: "https://x.example/mcp", headers: {Authorization: "Bearer ${TOKEN}"}}
  gpt: {llm: {base_url: "https://x/v1", model: m, api_key: "${TOKEN}"}}
panels: {solo: {members: [gpt]}}
checks: [{tool: files__list, arguments: {a: 1}, expect: {text_contains: w}}]
relay: {separator: "-", drain_seconds: 3}
"""


def test_the_example_is_valid() -> None:
    got = _check(EXAMPLE)
    assert got.problems == ()
    assert list(got.config.backends) == ["files", "search", "gpt"]


edits = st.lists(
    st.tuples(
        st.integers(0, len(EXAMPLE)),
        st.integers(0, 4),
        st.sampled_from(
            [b"", b" ", b"\n", b"\t", b"'", b'"', b"{", b"]", b":", b"*a", b"&b ", b"\xff", b"- "]
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(edits)
def test_any_slip_in_a_valid_file(changes: list[tuple[int, int, bytes]]) -> None:
    raw = EXAMPLE
    for at, length, new in changes:
        raw = raw[:at] + new + raw[at + length :]
    _check(raw)
