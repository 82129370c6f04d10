"""The model, its page of documentation and the contract with the supervisor say the same."""

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect

from relay_supervisor.wire import v1
from relay_worker.config import model, parse, problems, tree
from relay_worker.config.decode import type_info
from relay_worker.config.load import load_bytes
from relay_worker.config.peers import HIDING, IGNORED

PAGE = (Path(__file__).parents[4] / "docs" / "configuration.md").read_text("utf-8")
STRUCTS = (
    model.Config,
    model.BackendSpec,
    model.ToolRules,
    model.LlmSpec,
    model.PanelSpec,
    model.CheckSpec,
    model.Expectation,
    model.RelaySettings,
)


def _fields(struct: type) -> list[inspect.Field]:
    kind = type_info(struct)
    assert isinstance(kind, inspect.StructType)
    return list(kind.fields)


@pytest.mark.parametrize("struct", STRUCTS)
def test_the_page_names_every_key(struct: type) -> None:
    missing = [
        field.name
        for field in _fields(struct)
        if not re.search(rf"`{field.name}`|\b{field.name}:", PAGE)
    ]
    assert missing == []


def _plain(kind: inspect.Type) -> Any:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _row(field: inspect.Field) -> str:
    """Return the beginning of a setting's row as the model has it."""
    kind = _plain(field.type)
    if isinstance(kind, inspect.StrType):
        return f'| `{field.name}` | `"{field.default}"` | 1 to 8 letters, digits, `_` or `-` |'
    if isinstance(kind, inspect.BoolType):
        return f"| `{field.name}` | `{str(field.default).lower()}` | |"
    value = int(field.default) if field.default == int(field.default) else field.default
    return f"| `{field.name}` | {value} | {kind.ge} to {kind.le} |"


@pytest.mark.parametrize("field", _fields(model.RelaySettings), ids=lambda field: field.name)
def test_the_page_has_the_settings_with_default_and_range(field: inspect.Field) -> None:
    assert _row(field) in PAGE


@pytest.mark.parametrize(
    ("name", "default", "least", "most"),
    [
        ("start_timeout_seconds", "120", "0.1", "604800"),
        ("idle_stop_seconds", "0", "0", "604800"),
        ("call_timeout_seconds", "none", "0.1", "604800"),
    ],
)
def test_the_page_has_the_limits_of_a_backend(
    name: str, default: str, least: str, most: str
) -> None:
    (field,) = (field for field in _fields(model.BackendSpec) if field.name == name)
    kind = field.type
    if isinstance(kind, inspect.UnionType):
        kind = kind.types[0]
    assert (str(kind.ge), str(kind.le)) == (least, most)  # type: ignore[attr-defined]
    assert field.default == (None if default == "none" else float(default))
    assert re.search(rf"\| `{name}` \| {default} \|.* {least} to {most} \|", PAGE)


def _defaults(field: inspect.Field) -> set[str]:
    """Return how the default of a backend's key may be written on the page."""
    if field.required:
        return {""}
    if field.default_factory is dict:
        return {"`{}`"}
    match field.default:
        case None:
            return {"none", "all", "guessed", "the client's", ""}
        case bool() as value:
            return {f"`{str(value).lower()}`"}
        case float() as seconds:
            return {f"{seconds:g}"}
        case str() as word:
            return {f"`{word}`"}
        case ():
            return {"`[]`"}
    return {""}


@pytest.mark.parametrize("struct", [model.BackendSpec, model.ToolRules, model.LlmSpec])
def test_the_page_has_the_defaults_of_a_backend(struct: type) -> None:
    for field in _fields(struct):
        row = re.search(rf"^\| `{field.name}` \| ?(.*?) ?\|", PAGE, re.MULTILINE)
        assert row, field.name
        assert row[1] in _defaults(field), field.name


def test_the_page_has_the_limits_of_the_file() -> None:
    assert f"at most {parse.CONFIG_BYTES_MAX} bytes" in PAGE
    assert f"with at most {tree.NODES_MAX}\nvalues" in PAGE
    assert f"at most {tree.DEPTH_MAX} levels" in PAGE
    assert f"At most {problems.PROBLEMS_MAX} problems" in PAGE
    assert f"1 to {model.NAME_CHARS_MAX} printable characters" in PAGE


def test_the_page_names_the_keys_of_others() -> None:
    for key in HIDING:
        assert f"`{key}`" in PAGE
    common = IGNORED.keys() - {"dev", "gallery", "version", "icon"}
    assert [key for key in common if f"`{key}`" not in PAGE] == []


def _examples() -> list[str]:
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)
    return [block for block in blocks if re.match(r"\s*(backends|panels):", block)]


def test_the_examples_of_the_page_are_valid() -> None:
    first, second, third = _examples()
    environ = {"HOME": "/h", "SEARCH_TOKEN": "t", "API_KEY": "k"}
    llms = "".join(
        f"  {name}: {{llm: {{base_url: 'http://x', model: m}}}}\n"
        for name in ("gemini", "gpt4o", "deepseek")
    )
    for text in (
        first,
        second,
        "backends:\n" + llms + re.sub("^    ", "", third, flags=re.MULTILINE),
    ):
        loaded = load_bytes(text.encode(), Path("/x"), environ)
        assert loaded.problems == ()
        assert loaded.config.backends
    assert loaded.config.panels
    assert loaded.config.checks


def test_a_problem_reads_as_on_the_page() -> None:
    (problem,) = load_bytes(
        b"\n" * 10 + b"backends: {files: {command: x,\n  args: -y}}", Path("relay.yaml"), {}
    ).problems
    assert f"    {problem}\n" in PAGE


def test_a_tool_name_fits_with_the_clients_prefix() -> None:
    names = model.RelaySettings().tool_name_chars_max
    assert len(model.CLIENT_PREFIX) + names == model.FULL_NAME_CHARS_MAX


def test_the_supervisor_starts_with_the_same_limits() -> None:
    limits, settings = v1.Limits(), model.RelaySettings()
    names = {name: name for name in limits.__struct_fields__} | {
        "queue_requests_max": "queue_max_requests"
    }
    for there, here in names.items():
        assert getattr(limits, there) == getattr(settings, here), there


def test_every_default_is_within_its_range() -> None:
    for field in _fields(model.RelaySettings):
        kind = _plain(field.type)
        if isinstance(kind, inspect.IntType | inspect.FloatType):
            assert kind.ge is not None
            assert kind.le is not None
            assert kind.ge <= field.default <= kind.le
