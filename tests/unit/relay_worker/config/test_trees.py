"""YAML and JSON to trees: places, texts as written, and the same from either YAML parser."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.config import yaml_tree
from relay_worker.config.json_tree import parse_json
from relay_worker.config.problems import Mark
from relay_worker.config.tree import (
    Budget,
    Entry,
    Mapping,
    Node,
    ParseError,
    Scalar,
    Sequence,
    find,
    is_null,
)
from relay_worker.config.yaml_tree import LOADERS, parse_yaml

every_loader = pytest.mark.parametrize(
    "loader",
    LOADERS,
    ids=lambda loader: loader.__name__,  # type: ignore[no-any-return]
)


def _value(node: Node) -> object:
    """Return what a JSON tree stands for."""
    if isinstance(node, Mapping):
        return {entry.key: _value(entry.value) for entry in node.entries}
    if isinstance(node, Sequence):
        return [_value(item) for item in node.items]
    return json.loads(node.text) if node.plain else node.text


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(json_values, st.sampled_from([None, 0, 1, "\t"]), st.booleans())
def test_a_json_tree_means_what_json_means(value, indent, ascii_only) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert _value(parse_json(text)) == json.loads(text)


@given(st.text(alphabet='{}[]",:\\u0x1e-.tfn \n\t') | st.text(max_size=20))
def test_a_json_tree_is_refused_exactly_where_json_is(text: str) -> None:
    try:
        expected = json.loads(text, parse_constant=_refuse)
    except ValueError:
        with pytest.raises(ParseError):
            parse_json(text)
    else:
        assert _value(parse_json(text)) == expected


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity, which Python adds to JSON


def test_places_in_json() -> None:
    tree = parse_json('{\n\t"a": [1,\n  "x"],\n  "b": {"c": null}}')
    assert tree == Mapping(
        (
            Entry(
                "a",
                Sequence(
                    (
                        Scalar("1", plain=True, mark=Mark(2, 8)),
                        Scalar("x", plain=False, mark=Mark(3, 3)),
                    ),
                    Mark(2, 7),
                ),
                Mark(2, 2),
            ),
            Entry(
                "b",
                Mapping(
                    (Entry("c", Scalar("null", plain=True, mark=Mark(4, 14)), Mark(4, 9)),),
                    Mark(4, 8),
                ),
                Mark(4, 3),
            ),
        ),
        Mark(1, 1),
    )


@every_loader
def test_places_in_yaml(loader) -> None:
    tree = parse_yaml("# c\na:\n  - 08\n  - '08'\n'b c': {d: ~}\n", loader)
    assert tree == Mapping(
        (
            Entry(
                "a",
                Sequence(
                    (
                        Scalar("08", plain=True, mark=Mark(3, 5)),
                        Scalar("08", plain=False, mark=Mark(4, 5)),
                    ),
                    Mark(3, 3),
                ),
                Mark(2, 1),
            ),
            Entry(
                "b c",
                Mapping(
                    (Entry("d", Scalar("~", plain=True, mark=Mark(5, 12)), Mark(5, 9)),),
                    Mark(5, 8),
                ),
                Mark(5, 1),
            ),
        ),
        Mark(2, 1),
    )


@every_loader
@pytest.mark.parametrize("text", ["!!str 8080", "! 8080", "'8080'", '"8080"', "|-\n  8080"])
def test_quotes_and_the_text_tag_make_a_text(loader, text: str) -> None:
    tree = parse_yaml(f"a: {text}\n", loader)
    assert isinstance(tree, Mapping)
    value = tree.entries[0].value
    assert isinstance(value, Scalar)
    assert (value.text, value.plain) == ("8080", False)


@every_loader
@pytest.mark.parametrize("text", ["!!int 5", "!!python/object:os.system x", "!x [a]", "!!map {}"])
def test_other_tags_are_refused(loader, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_yaml(f"a:\n - {text}\n", loader)
    assert (caught.value.mark, caught.value.found) == (Mark(2, 4), "a tag")


@every_loader
def test_an_alias_stands_for_its_anchor_wherever_it_is(loader) -> None:
    tree = parse_yaml("a: &x {k: 1}\nb: [*x, *x]\nc: &x 2\nd: *x\n", loader)
    assert isinstance(tree, Mapping)
    first, second, _third, fourth = (entry.value for entry in tree.entries)
    assert second == Sequence((first, first), Mark(2, 4))
    assert fourth == Scalar("2", plain=True, mark=Mark(3, 4))


@every_loader
@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", {"k": "1", "l": "3"}),
        ("a: &x {k: 1, l: 2}\nb: {l: 3, <<: *x}", {"k": "1", "l": "3"}),
        ("a: &x {k: 1}\nb: {<<: [*x, {k: 2, m: 4}]}", {"k": "1", "m": "4"}),
        ("a: 1\nb: {'<<': x}", {"<<": "x"}),
    ],
)
def test_merge_keys(loader, text: str, keys: dict[str, str]) -> None:
    tree = parse_yaml(text, loader)
    assert isinstance(tree, Mapping)
    merged = tree.entries[1].value
    assert isinstance(merged, Mapping)
    assert {entry.key: entry.value.text for entry in merged.entries} == keys  # type: ignore[union-attr]


@every_loader
@pytest.mark.parametrize(
    ("text", "line", "advice"),
    [
        ("a:\n\tb: 1", 2, "spaces, not tabs"),
        ("a: 1\nb: @x", 2, "quote a value starting with @"),
        ("a: 1\n b: 2", 2, "indentation"),
        ("a: [1", 2, "Close it"),
        ("a: {b: 1\nc: 2", 2, "Close it"),
        ("a: 'x", 1, "Close the quotes"),
        ('a: "\\q"', 1, "single quotes"),
        ("a: !<x y> 1", 1, "starts with !"),
        ("a: &", 1, "starts with &"),
        ("a: * x", 1, "starts with *"),
    ],
)
def test_both_parsers_find_the_same_faults_in_the_same_line(
    loader, text: str, line: int, advice: str
) -> None:
    with pytest.raises(ParseError) as caught:
        parse_yaml(text, loader)
    assert caught.value.mark.line in {line, text.count("\n") + 1}
    assert advice in caught.value.advice


def test_a_message_of_the_parsers_is_told_without_what_it_quotes() -> None:
    error = yaml.MarkedYAMLError("while 'hunter2' is", None, "found \"hunter2\" but ',' or 'x y'")
    assert yaml_tree._parse_error(error).found == (
        "a YAML syntax error (while … is: found … but ',' or …)"
    )


yaml_texts = st.lists(
    st.sampled_from(
        [
            "a: ",
            "b:",
            "\n",
            "  ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "'x'",
            '"y"',
            "*a",
            "&a ",
            "!t ",
            "#",
            "|",
            "? ",
        ]
    ),
    max_size=25,
).map("".join)


@given(yaml_texts)
def test_both_parsers_make_the_same_tree(text: str) -> None:
    assert len(LOADERS) == 2, "libyaml is missing here, so only half of this is tested"
    trees = []
    for loader in LOADERS:
        try:
            trees.append(_texts(parse_yaml(text, loader)))
        except ParseError:
            return  # they differ a little in what they refuse
    assert trees[0] == trees[1]


def _texts(node: Node | None) -> object:
    """Return a tree without its places."""
    if isinstance(node, Mapping):
        return [(entry.key, _texts(entry.value)) for entry in node.entries]
    if isinstance(node, Sequence):
        return [_texts(item) for item in node.items]
    return node and (node.text, node.plain)


def test_the_budget_ends_with_an_error() -> None:
    budget = Budget()
    for _ in range(100_000):
        budget.spend(Mark(1, 1), 64)
    with pytest.raises(ParseError, match="more than 100000"):
        budget.spend(Mark(1, 1), 0)
    with pytest.raises(ParseError, match="deeper than 64"):
        Budget().spend(Mark(1, 1), 65)


def test_find_goes_as_far_as_it_can() -> None:
    tree = parse_json('{"a": [\n1, {"b": 2}]}')
    assert find(tree, ("a", 1, "b")) == Mark(2, 10)
    assert find(tree, ("a", 7)) == find(tree, ("a", 2)) == Mark(1, 7)
    assert find(tree, ("x",)) == Mark(1, 1)
    assert find(tree, ()) == Mark(1, 1)


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_only_a_plain_null_is_null(text: str) -> None:
    assert is_null(Scalar(text, plain=True, mark=Mark()))
    assert not is_null(Scalar(text, plain=False, mark=Mark()))
    assert not is_null(Scalar("nil", plain=True, mark=Mark()))
