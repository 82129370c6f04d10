"""Names are safe for every client, stable, and different from each other."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.names import Naming, allowed, assign, candidates, prefix_of, safe

NAMING = Naming("__", True, 52)
BARE = Naming("__", False, 52)
EXPOSED = re.compile(r"[A-Za-z0-9_-]{1,52}")

TEXTS = st.text(min_size=1, max_size=60) | st.from_regex(r"[a-c._]{1,4}", fullmatch=True)


def name_of(naming: Naming, backend: str, name: str) -> str:
    return next(candidates(naming, backend, name))


def exposed(naming: Naming, backend: str, names: list[str], taken: set[str]) -> dict:
    return {named.original: named.exposed for named in assign(naming, backend, names, taken)}


def test_plain_names_stay_readable() -> None:
    assert name_of(NAMING, "files", "read-File_2") == "files__read-File_2"
    assert name_of(BARE, "files", "read") == "read"
    assert prefix_of(NAMING, "my files") == "my_files__"
    assert prefix_of(BARE, "files") == ""


@pytest.mark.parametrize(
    ("backend", "name"),
    [("files", "read.file"), ("my files", "read"), ("files", "ü"), ("files", "a" * 60)],
)
def test_altered_names_carry_a_hash(backend: str, name: str) -> None:
    found = name_of(NAMING, backend, name)
    assert re.fullmatch(r"\w+_[0-9a-f]{8}", found)
    assert found.startswith((prefix_of(NAMING, backend) + safe(name))[:43])


def test_the_hash_is_the_same_for_ever() -> None:
    """A change here renames tools in every permission list of every user."""
    assert name_of(NAMING, "files", "read.file") == "files__read_file_97875296"


def test_the_hash_does_not_depend_on_the_process() -> None:
    program = (
        "from relay_worker.names import *;"
        "print(next(candidates(Naming('__', True, 52), 'files', 'read.file')))"
    )
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        assert found.stdout.strip() == name_of(NAMING, "files", "read.file")


def test_the_first_backend_keeps_a_contested_name() -> None:
    taken: set[str] = set()
    assert exposed(BARE, "one", ["read"], taken) == {"read": "read"}
    (named,) = assign(BARE, "two", ["read"], taken)
    assert named.wanted == "read"
    assert named.exposed == next(reversed([*candidates(BARE, "two", "read")][:2]))
    assert taken == {"read", named.exposed}


def test_names_that_one_mapping_makes_equal_stay_apart() -> None:
    found = exposed(NAMING, "b", ["a.b", "a_b", "a b"], set())
    assert found["a_b"] == "b__a_b"
    assert len(set(found.values())) == 3


def test_a_rename_gives_way_to_the_tool_that_has_the_name() -> None:
    named = assign(NAMING, "b", ["old", "new"], set(), {"old": "new"})
    assert {item.original: item.exposed for item in named}["new"] == "b__new"
    assert named[1].original == "old" and named[1].wanted == "b__new"
    assert named[1].exposed != "b__new"


def test_a_rename_is_shown_as_written() -> None:
    (named,) = assign(NAMING, "b", ["old"], set(), {"old": "new"})
    assert named.exposed == "b__new"
    (named,) = assign(NAMING, "b", ["old"], set(), {"old": "new name"})
    assert re.fullmatch(r"b__new_name_[0-9a-f]{8}", named.exposed or "")


def test_no_name_left_is_said() -> None:
    (named,) = assign(BARE, "b", ["x"], set(candidates(BARE, "b", "x")))
    assert named.exposed is None


@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, max_size=6)), max_size=4), st.booleans())
def test_names_are_safe_and_unique(backends: list[tuple[str, list[str]]], prefix: bool) -> None:
    naming = Naming("__", prefix, 52)
    taken: set[str] = set()
    found = []
    for backend, names in dict(backends).items():
        named = assign(naming, backend, names, taken)
        assert [item.original for item in named] == sorted(set(names))
        found += [item.exposed for item in named if item.exposed]
    assert all(EXPOSED.fullmatch(name) for name in found)
    assert len(found) == len(set(found))
    assert taken == set(found)


@given(TEXTS, st.lists(TEXTS, max_size=6), TEXTS)
def test_a_new_tool_renames_no_other(backend: str, names: list[str], new: str) -> None:
    before = exposed(NAMING, backend, names, set())
    after = exposed(NAMING, backend, [*names, new], set())
    # The one exception: a tool cannot keep a hashed name that another has by nature.
    natural = {name_of(NAMING, backend, name) for name in [*names, new]}
    if len(natural) == len({*names, new}):
        assert before.items() <= after.items()


@given(st.permutations(["a", "a.b", "a_b", "A", "long" * 20, "ü", "a b"]))
def test_order_does_not_matter(names: list[str]) -> None:
    assert assign(NAMING, "b", names, set()) == assign(NAMING, "b", sorted(names), set())


@pytest.mark.parametrize(
    ("allow", "deny", "expected"),
    [
        (None, (), ["read_a", "write_a", "Read_b"]),
        (("read_*",), (), ["read_a"]),
        (("*_a",), ("write_*",), ["read_a"]),
        ((), (), []),
        (("*",), ("*",), []),
        (("[rR]ead_?",), (), ["read_a", "Read_b"]),
    ],
)
def test_rules(allow: tuple[str, ...] | None, deny: tuple[str, ...], expected: list[str]) -> None:
    names = ["read_a", "write_a", "Read_b"]
    assert [name for name in names if allowed(name, allow, deny)] == expected
