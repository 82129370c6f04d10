"""Files to configurations: what is valid is kept, everything else is reported in its place."""

import time

import msgspec
import pytest

from relay_worker.config.load import Loaded
from relay_worker.config.model import BackendSpec, Config, RelaySettings, ToolRules
from relay_worker.config.parse import CONFIG_BYTES_MAX
from relay_worker.config.problems import Problem, Severity


def _only(loaded: Loaded) -> Problem:
    (problem,) = loaded.problems
    return problem


EVERYTHING = """\
backends:
  files:
    command: npx
    args: [-y, "@m/fs", 8080, true, 1.10, no, "${HOME}/work"]
    env: {PORT: 8080, FLAG: true, RATIO: 1.10, NOTHING: "", DATE: 2026-11-23}
    cwd: sub
    start: lazy
    start_timeout_seconds: 5
    idle_stop_seconds: 0.5
    call_timeout_seconds: 90
    trust_hints: yes
    tools: {allow: ["read_*"], deny: ["*_delete"], rename: {old: new}, describe: {old: Better.}}
  search: {url: "https://x.example/mcp", headers: {Authorization: "Bearer ${TOKEN}"}}
  events: {url: "https://x.example/sse?x=1"}
  forced: {url: "https://x.example/sse", type: http, enabled: false}
  gpt: {llm: {base_url: "https://x.example/v1", model: gpt, api_key: "${TOKEN}",
              max_input_tokens: 120000, max_output_tokens: 4096}}
panels: {duo: {members: [gpt, gpt]}}
checks:
  - tool: files__list
    arguments: {path: /, deep: false, n: 3, x: 1.5, at: 12:30, land: no, none: null, l: [1, "1"]}
    expect: {text_contains: work}
relay: {separator: "-", prefix: false, builtin_tools: off, drain_seconds: 3, log_files_max: 7}
"""


def test_everything_a_file_can_say_arrives_with_its_type(loaded) -> None:
    got = loaded(EVERYTHING, {"HOME": "/h", "TOKEN": "t"})
    assert got.problems == ()
    assert not got.broken
    files = got.config.backends["files"]
    assert msgspec.structs.asdict(files) == {
        "command": "npx",
        "args": ("-y", "@m/fs", "8080", "true", "1.10", "no", "${HOME}/work"),
        "env": {
            "PORT": "8080",
            "FLAG": "true",
            "RATIO": "1.10",
            "NOTHING": "",
            "DATE": "2026-11-23",
        },
        "cwd": "sub",
        "url": None,
        "type": None,
        "headers": {},
        "llm": None,
        "enabled": True,
        "start": "lazy",
        "start_timeout_seconds": 5.0,
        "idle_stop_seconds": 0.5,
        "call_timeout_seconds": 90.0,
        "trust_hints": True,
        "tools": ToolRules(
            allow=("read_*",),
            deny=("*_delete",),
            rename={"old": "new"},
            describe={"old": "Better."},
        ),
    }
    kinds = {name: spec.kind for name, spec in got.config.backends.items()}
    assert kinds == {
        "files": "stdio",
        "search": "http",
        "events": "sse",
        "forced": "http",
        "gpt": "llm",
    }
    assert got.config.panels["duo"].members == ("gpt", "gpt")
    (check,) = got.config.checks
    assert check.arguments == {
        "path": "/",
        "deep": False,
        "n": 3,
        "x": 1.5,
        "at": "12:30",
        "land": "no",
        "none": None,
        "l": [1, "1"],
    }
    assert check.expect.text_contains == "work"
    assert got.config.relay == RelaySettings(
        separator="-", prefix=False, builtin_tools=False, drain_seconds=3.0, log_files_max=7
    )


def test_the_same_in_claudes_json_as_it_is(loaded) -> None:
    text = (
        '{\n\t"mcpServers": {\n\t\t"files": {"type": "stdio", "command": "npx",'
        ' "args": ["-y", 7], "env": {"A": "\\u00e9\\ud83d\\ude00", "N": 8080}}\n\t}\n}'
    )
    got = loaded(text)
    assert got.problems == ()
    assert got.config.backends == {
        "files": BackendSpec(
            command="npx", args=("-y", "7"), env={"A": "é\U0001f600", "N": "8080"}, type="stdio"
        )
    }


def test_what_is_no_json_may_still_be_yaml(loaded) -> None:
    got = loaded('{"backends": {"a": {"command": "x",}}, # a comment\n }')
    assert got.problems == ()
    assert list(got.config.backends) == ["a"]


@pytest.mark.parametrize("section", ["backends", "mcpServers", "servers"])
def test_backends_under_any_of_their_names(loaded, section: str) -> None:
    got = loaded(f"{section}: {{a b.c: {{command: x}}}}")
    assert list(got.config.backends) == ["a b.c"]
    assert got.problems == ()


def test_keys_without_a_value_keep_their_default(loaded) -> None:
    got = loaded(
        "backends:\n  a:\n    command: x\n    args:\n    env:\n    tools:\nrelay:\nchecks:\n"
    )
    assert got.problems == ()
    assert got.config == Config(backends={"a": BackendSpec(command="x")})


def test_merge_keys_and_anchors(loaded) -> None:
    got = loaded(
        "x-base: &base {command: npx, start: lazy}\nbackends:\n"
        "  a: {<<: *base, args: [a]}\n  b: {<<: [*base, {start: eager}], command: other}\n"
    )
    assert got.problems == ()
    assert got.config.backends == {
        "a": BackendSpec(command="npx", args=("a",), start="lazy"),
        "b": BackendSpec(command="other", start="lazy"),
    }


def test_panels_of_valid_members_stay(loaded) -> None:
    llm = "{llm: {base_url: 'http://x', model: m}}"
    got = loaded(
        f"backends: {{a: {llm}, b: {{command: x}}}}\n"
        "panels: {good: {members: [a]}, bad: {members: [a, b]}}"
    )
    assert list(got.config.panels) == ["good"]
    assert _only(got).key == "panels.bad.members[1]"


def test_unset_variables_of_disabled_backends_do_not_matter(loaded) -> None:
    got = loaded("backends: {a: {command: '${NOPE}', enabled: false}}")
    assert got.problems == ()
    assert "a" in got.config.backends


@pytest.mark.parametrize("text", ["", "  \n", "# only a comment\n", "---\n", "null", "\ufeff"])
def test_an_empty_file_is_valid_and_said_to_be_empty(loaded, text: str) -> None:
    got = loaded(text)
    problem = _only(got)
    assert (problem.severity, problem.found) == (Severity.WARNING, "an empty configuration")
    assert got.config == Config()
    assert not got.broken


@pytest.mark.parametrize(
    ("raw", "place"),
    [(b"\xff\xfea\0", (1, 1)), (b"a: 1\nb: \xe9", (2, 4)), (b"a: \xed\xa0\x80", (1, 4))],
)
def test_other_encodings_are_named(loaded, raw: bytes, place: tuple[int, int]) -> None:
    got = loaded(raw)
    problem = _only(got)
    assert (problem.line, problem.column) == place
    assert problem.expected == "UTF-8"
    assert got.broken


def test_aliases_cannot_blow_up(loaded) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    problem = _only(loaded("\n".join(lines)))
    assert "more than 100000 values" in problem.found
    assert problem.line > 3


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{k: ", "}")])
def test_nesting_by_aliases_is_limited_too(loaded, opening: str, closing: str) -> None:
    lines = ["a0: &a0 x"]
    lines += [f"a{n}: &a{n} {opening * 20}*a{n - 1}{closing * 20}" for n in range(1, 5)]
    assert loaded("\n".join(["x-a:", *(f"  {line}" for line in lines[:3])])).problems == ()
    problem = _only(loaded("\n".join(lines)))
    assert (problem.line, "deeper than 64" in problem.found) == (5, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("Yes", True),
        ("ON", True),
        ("false", False),
        ("No", False),
        ("off", False),
    ],
)
def test_truth_values(loaded, text: str, value: bool) -> None:
    got = loaded(f"relay: {{prefix: {text}}}\nbackends: {{a: {{command: x, trust_hints: {text}}}}}")
    assert got.problems == ()
    assert got.config.relay.prefix is value
    assert got.config.backends["a"].trust_hints is value


def test_limits_belong_to_their_range(loaded) -> None:
    got = loaded("relay: {log_files_max: 1, log_bytes_max: 1073741824, drain_seconds: 600}")
    assert got.problems == ()
    assert got.config.relay == RelaySettings(
        log_files_max=1, log_bytes_max=1 << 30, drain_seconds=600.0
    )


@pytest.mark.parametrize(
    ("text", "place"), [("[" * 70, (1, 66)), ('{"a":' * 70, (1, 326)), ("- " * 70, (1, 131))]
)
def test_nesting_is_limited(loaded, text: str, place: tuple[int, int]) -> None:
    got = loaded(text)
    problem = _only(got)
    assert (problem.line, problem.column) == place
    assert "deeper than 64" in problem.found
    assert got.broken


@pytest.mark.parametrize(
    "text", ["a: 1\nb: \x07", 'a: 1\nb: "\x07"', "a: 1\n# \x07", "a\r\n: \x9b"]
)
def test_control_characters_are_named(loaded, text: str) -> None:
    problem = _only(loaded(text))
    at = min(text.find(sign) for sign in "\x07\x9b" if sign in text)
    assert problem.line == 2
    assert problem.column == at - text.rfind("\n", 0, at)
    assert f"U+{ord(text[at]):04X}" in problem.found


# With a search or a look-up that is not linear, most of these would take minutes.
HOSTILE = {
    "brackets": "[" * 1_000_000,
    "json brackets": '{"a":' * 200_000,
    "dashes": "- " * 500_000,
    "open text": '{"' + "a" * 1_000_000,
    "escapes": 'a: "' + '\\"' * 500_000,
    "backends": "backends:\n" + "".join(f" a{n}: {{}}\n" for n in range(40_000)),
    "unknown keys": "".join(f"a{n}: {{}}\n" for n in range(40_000)),
    "slips": "backends:\n a:\n" + "".join(f"  enve{n}: 1\n" for n in range(40_000)),
    "one key again": "backends:\n" + " a: 1\n" * 40_000,
    "bad names": "backends: {a: {command: x, env: {"
    + ",".join(f"'a=%{n}': x" for n in range(40_000))
    + "}}}",
    "unset variables": "backends: {a: {command: x, args: [" + "'${X}'," * 80_000 + "]}}",
    "open defaults": "backends: {a: {command: '" + "${A:-" * 200_000 + "'}}",
    "open references": "backends: {a: {command: '" + "${" * 500_000 + "'}}",
    "merges": "a: &a {"
    + ",".join(f"k{n}: 1" for n in range(20_000))
    + "}\nb: &b {}\nc: {<<: [*a"
    + ",*b" * 20_000
    + "]}",
    "one number": "relay: {log_files_max: " + "9" * 1_000_000 + "}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_cost_of_a_hostile_file_is_bounded(loaded, text: str) -> None:
    began = time.process_time()
    loaded(text[:CONFIG_BYTES_MAX])
    assert time.process_time() - began < 20


def test_the_longest_name_allowed_works(loaded) -> None:
    name = "n" * 64
    assert list(loaded(f"backends: {{{name}: {{command: x}}}}").config.backends) == [name]


def test_a_panel_that_occurs_twice_is_left_out(loaded) -> None:
    got = loaded(
        "backends: {a: {llm: {base_url: 'http://x', model: m}}}\n"
        "panels: {p: {members: [a]}, q: {members: [a]}, p: {members: [a]}}"
    )
    assert _only(got).key == "panels.p"
    assert list(got.config.panels) == ["q"]
