"""Variables: what is filled in, what is not, and that values stay secret."""

import json
from pathlib import Path

import msgspec
import pytest
from rich.pretty import pretty_repr

from relay_worker.config.expand import ExpandedSpec, ExpansionError, expand, spec_hash
from relay_worker.config.load import load_bytes
from relay_worker.config.model import BackendSpec, Config, LlmSpec
from relay_worker.config.tree import ParseError
from relay_worker.config.yaml_tree import LOADERS, parse_yaml

BASE = Path("/etc/relay")
SECRET = "hunter2-hunter2"


def _arg(text: str, **environ: str) -> str:
    return expand(BackendSpec(command="x", args=(text,)), environ, BASE).argv[1]


def _fault(text: str, **environ: str):
    with pytest.raises(ExpansionError) as caught:
        _arg(text, **environ)
    (fault,) = caught.value.faults
    assert fault.path == ("args", 0)
    return fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("x${A}y${B}z", "x1y2z"),
        ("${A}${A}", "11"),
        ("${A:-d}", "1"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", ""),
        ("${NO:-d}", "d"),
        ("${NO:-}", ""),
        ("${NO:-a b:-$c/é}", "a b:-$c/é"),
        ("$A", "$A"),
        ("$$", "$$"),
        ("$$A", "$$A"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("${A", "${A"),
        ("${}", "${}"),
        ("${1}", "${1}"),
        ("${A%x}", "${A%x}"),
        ("${A:=x}", "${A:=x}"),
        ("${A-x}", "${A-x}"),
        ("$(A)", "$(A)"),
        ("${env:-x}", "x"),
        ("${NESTED}", "${A}"),
        ("~/x", "~/x"),
    ],
)
def test_the_two_forms_and_nothing_else(text: str, expected: str) -> None:
    environ = {"A": "1", "B": "2", "EMPTY": "", "NESTED": "${A}"}
    assert _arg(text, **environ) == expected


def test_it_works_in_every_place_it_should() -> None:
    spec = BackendSpec(
        command="${V}/c",
        args=("${V}",),
        env={"K": "${V}"},
        cwd="${V}",
        url="http://${V}",
        headers={"K": " ${V} "},
        llm=LlmSpec(base_url="https://${V}", model="${V}", api_key="${V}"),
    )
    got = expand(spec, {"V": "v"}, BASE)
    assert got.argv == ("v/c", "v")
    assert got.env == {"V": "v", "K": "v"}
    assert got.env_overrides == {"K": "v"}
    assert got.cwd == "/etc/relay/v"
    assert got.url == "http://v"
    assert got.headers == {"K": "v"}
    assert got.llm is not None
    assert (got.llm.base_url, got.llm.model, got.llm.api_key) == ("https://v", "${V}", "v")


def test_a_backend_inherits_the_environment_and_overrides_it() -> None:
    spec = BackendSpec(command="x", env={"PATH": "/opt:${PATH}"})
    got = expand(spec, {"PATH": "/bin", "HOME": "/h", "ODD": "\udcff"}, BASE)
    assert got.env["PATH"] == "/opt:/bin"
    assert got.env["HOME"] == "/h"
    assert got.env["ODD"] == "\udcff"
    assert (got.url, got.headers, got.llm, got.cwd) == (None, {}, None, None)


@pytest.mark.parametrize(
    ("cwd", "expected"),
    [
        (None, None),
        (".", "/etc/relay"),
        ("sub/../x", "/etc/relay/x"),
        ("/abs", "/abs"),
        ("~", "/h/u"),
        ("~/w", "/h/u/w"),
        ("~x", "/etc/relay/~x"),
    ],
)
def test_the_working_directory(cwd: str | None, expected: str | None) -> None:
    assert expand(BackendSpec(command="x", cwd=cwd), {"HOME": "/h/u"}, BASE).cwd == expected


def test_home_is_needed_for_a_tilde_only() -> None:
    assert expand(BackendSpec(command="x", cwd="."), {}, BASE).cwd == "/etc/relay"
    with pytest.raises(ExpansionError, match="HOME is not set"):
        expand(BackendSpec(command="x", cwd="~"), {}, BASE)


def test_an_unset_variable_is_named() -> None:
    fault = _fault("a${NOPE}b")
    assert fault.variable == "NOPE"
    assert "NOPE" in fault.found
    assert "${NOPE:-default}" in fault.advice


def test_a_variable_that_is_no_text_is_named() -> None:
    assert _fault("${ODD}", ODD="a\udcff").variable == "ODD"


@pytest.mark.parametrize("text", ["${A:-${B}}", "${A:-x", "${A:-x$${y}"])
def test_a_default_that_is_not_closed_is_a_fault(text: str) -> None:
    assert "default of A" in _fault(text, A="1", B="2").found


@pytest.mark.parametrize("kind", ["env", "input"])
def test_variables_as_another_client_writes_them_are_explained(kind: str) -> None:
    assert "Write ${VAR}" in _fault(f"${{{kind}:TOKEN}}").advice


def test_all_faults_of_a_backend_are_told_at_once() -> None:
    spec = BackendSpec(command="${A}", args=("x", "${B}"), env={"K": "${C}"}, cwd="${D}")
    with pytest.raises(ExpansionError) as caught:
        expand(spec, {}, BASE)
    assert [(fault.path, fault.variable) for fault in caught.value.faults] == [
        (("command",), "A"),
        (("args", 1), "B"),
        (("env", "K"), "C"),
        (("cwd",), "D"),
    ]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (BackendSpec(command="${EMPTY}"), ("command",)),
        (BackendSpec(url="${EMPTY}"), ("url",)),
        (BackendSpec(url="ftp://x"), ("url",)),
        (BackendSpec(url="https://"), ("url",)),
        (BackendSpec(url="http://x", headers={"H": "${LINES}"}), ("headers", "H")),
        (BackendSpec(llm=LlmSpec(base_url="x", model="m")), ("llm", "base_url")),
    ],
)
def test_what_comes_out_has_to_be_usable(spec: BackendSpec, path: tuple[str, ...]) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand(spec, {"EMPTY": "", "LINES": f"{SECRET}\r\nX: y"}, BASE)
    assert [fault.path for fault in caught.value.faults] == [path]
    assert SECRET not in str(caught.value)


# ---- secrets --------------------------------------------------------------------------------


def _specs() -> tuple[BackendSpec, ExpandedSpec]:
    spec = BackendSpec(
        command="x",
        args=(f"--password={SECRET}",),
        env={"K": SECRET},
        headers={"H": SECRET},
        llm=LlmSpec(base_url=f"https://{SECRET}", model="m", api_key=SECRET),
    )
    return spec, expand(spec, {"T": SECRET}, BASE)


@pytest.mark.parametrize("text", [repr, str, pretty_repr, lambda value: f"{value}"])
def test_no_representation_shows_a_value(text) -> None:
    spec, expanded = _specs()
    assert expanded.llm is not None
    for value in (spec, expanded, expanded.llm, Config(backends={"a": spec}), [spec, expanded]):
        assert SECRET not in text(value)
    loaded = load_bytes(f"backends: {{a: {{command: {SECRET}}}}}".encode(), BASE, {})
    assert loaded.config.backends["a"].command == SECRET
    assert SECRET not in text(loaded)


WRONG = [
    "backends: {a: {command: x, env: SECRET}}",
    "backends: {a: {command: x, args: SECRET}}",
    "backends: {a: {command: x, headers: SECRET}}",
    "backends: {a: {command: [SECRET]}}",
    "backends: {a: {command: x, env: {K: [SECRET]}}}",
    "backends: {a: {command: x, env: {K: SECRET, K: SECRET}}}",
    "backends: {a: {command: x, env: {K: '${NOPE}SECRET'}}}",
    "backends: {a: {command: x, env: {K: '${SECRET_VAR}${NOPE}'}}}",
    "backends: {a: {command: x, env: {K: '${NOPE:-SECRET${X}}'}}}",
    'backends: {a: {command: x, env: {K: "SECRET\\0"}}}',
    "backends: {a: {llm: {base_url: SECRET, model: x, api_key: SECRET}}}",
    "backends: {a: {llm: {base_url: 'http://x', model: '', api_key: [SECRET]}}}",
    "backends: {a: {url: SECRET}}",
    "backends: {a: {url: '${SECRET_VAR}'}}",
    "backends: {a: {url: 'http://x', headers: {K: \"SECRET\\n\"}, type: stdio}}",
    "backends: {a: {command: x, env: {K: *SECRET}}}",
    "backends: {a: {command: x, env: {K: !SECRET}}}",
    "backends: {a: {command: x, env: {K: !SECRET!x y}}}",
    "backends: {a: {command: x, env: {K: '!<SECRET y' !<SECRET y}}}",
    "backends: {a: {command: x, env: {K: &SECRET}}",
    "backends:\n  a:\n    K: 'SECRET\n    b",
    "%SECRET\n---\na: b",
    "%TAG SECRET x\n---\na: b",
    "%YAML SECRET\n---\na: b",
    "a: !SECRET!x b",
    "a: !<SECRET> b",
    "a: &SECRET",
    "a: &SECRET! b",
    "a: *SECRET! b",
    "SECRET",
    "- SECRET",
    "backends: SECRET",
    "relay: SECRET",
    "checks: SECRET",
    '{"backends": {"a": {"command": "x", "env": {"K": "SECRET}}}}',
    '{"backends": {"a": {"command": "x", "env": {"K": SECRET]"}}}}',
]


@pytest.mark.parametrize("text", WRONG)
def test_no_problem_shows_a_value(text: str) -> None:
    raw = text.replace("SECRET_VAR", "VARIABLE").replace("SECRET", SECRET).encode()
    loaded = load_bytes(raw, BASE, {"VARIABLE": SECRET})
    assert loaded.problems
    for problem in loaded.problems:
        assert SECRET not in str(problem)
        assert SECRET not in repr(problem)


@pytest.mark.parametrize("loader", LOADERS, ids=lambda loader: loader.__name__)
@pytest.mark.parametrize("text", WRONG)
def test_neither_yaml_parser_shows_a_value(text: str, loader) -> None:
    said = ""
    try:
        parse_yaml(text.replace("SECRET", SECRET), loader)
    except ParseError as error:
        said = f"{error.expected} {error.found} {error.advice} {error}"
    assert "hunter2" not in said


def test_what_the_log_is_to_hide() -> None:
    spec = BackendSpec(
        command="${HOME}/x",
        args=("--token=${TOKEN}", "${SHORT}", "${NO:-default-value}"),
        env={"API_KEY": "literal-key", "LOG_LEVEL": "debug"},
        headers={"Authorization": "Bearer literal-token", "Accept": "text/plain"},
        llm=LlmSpec(base_url="http://x", model="m", api_key="llm-literal"),
    )
    got = expand(spec, {"HOME": "/h/u", "TOKEN": SECRET, "SHORT": "abc"}, BASE)
    assert got.secrets == {
        SECRET,
        "literal-key",
        "Bearer literal-token",
        "literal-token",
        "llm-literal",
    }


# ---- the hash -------------------------------------------------------------------------------


def _hash(environ: dict[str, str] | None = None, **changes: object) -> str:
    spec = BackendSpec(command="x", args=("a", "b"), env={"K": "${V:-v}", "L": "1"}, cwd=".")
    return spec_hash(expand(msgspec.structs.replace(spec, **changes), environ or {}, BASE))


def test_the_hash_is_the_same_for_the_same_process() -> None:
    assert _hash() == _hash()
    assert len(_hash()) == 64
    # Written down, as the hash is kept on disk and read by other releases.
    assert _hash() == "d5d394cb7f45a12c5487864e80eff70c98d0e7c620ac5539b3ead9833f9bae13"
    assert _hash() == _hash(env={"L": "1", "K": "v"}), "the order of variables means nothing"
    assert _hash() == _hash(enabled=True, start="lazy", call_timeout_seconds=3.0)
    assert _hash() == _hash({"OTHER": "x"}), "the client's environment is no part of it"


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "y"},
        {"args": ("ab",)},
        {"args": ("b", "a")},
        {"env": {"K": "v"}},
        {"env": {"K": "w", "L": "1"}},
        {"cwd": None},
        {"cwd": "/"},
        {"environ": {"V": "other"}},
        {"command": None, "url": "http://x"},
        {"headers": {"A": "b"}},
        {"llm": LlmSpec(base_url="http://x", model="m")},
    ],
)
def test_the_hash_changes_with_the_process(changes: dict[str, object]) -> None:
    assert _hash(**changes) != _hash()  # type: ignore[arg-type]


def test_the_hash_takes_what_an_environment_may_hold() -> None:
    spec = BackendSpec(command="x", cwd="~")
    one = expand(spec, {"HOME": "/h\udcff"}, BASE)
    other = expand(spec, {"HOME": "/h\udcfe"}, BASE)
    assert spec_hash(one) != spec_hash(other)
    assert json.dumps(one.cwd) == '"/h\\udcff"'
