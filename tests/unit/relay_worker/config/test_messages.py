"""What users read: every kind of problem, word for word, from `messages.txt`."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from relay_worker.config.model import BackendSpec, Config, RelaySettings
from relay_worker.config.problems import PROBLEMS_MAX, Severity


class Block(NamedTuple):
    """A block of `messages.txt`."""

    title: str
    text: str
    messages: list[str]


def _blocks() -> list[Block]:
    page = Path(__file__).with_name("messages.txt").read_text("utf-8")
    blocks = []
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title, *lines = part.strip("\n").split("\n")
        text = [line for line in lines if not line.startswith("=> ")]
        messages = [line.removeprefix("=> ") for line in lines if line.startswith("=> ")]
        blocks.append(Block(title, "\n".join(text).replace("→", "\t"), messages))
    return blocks


BLOCKS = _blocks()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.title)
def test_the_messages_are_these(loaded, block: Block) -> None:
    problems = loaded(block.text).problems
    assert [str(problem).removeprefix("/etc/relay.yaml").lstrip(": ") for problem in problems] == (
        block.messages
    )


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.title)
def test_the_messages_say_what_was_done(loaded, block: Block) -> None:
    got = loaded(block.text)
    errors = [problem for problem in got.problems if problem.severity is Severity.ERROR]
    for problem in errors:
        assert problem.effect
        if problem.backend is not None:
            assert problem.backend not in got.config.backends
            assert problem.effect.endswith("is left out.")
        if problem.effect == "The default stays in force.":
            spared = {"queue_max_requests": 5} if "queue_max_requests: 5" in block.text else {}
            assert got.config.relay == RelaySettings(**spared)
    assert got.broken is any(problem.effect == "Nothing of the file is used." for problem in errors)
    if got.broken:
        assert got.config == Config()
        assert got.raw_bytes == block.text.encode()


def test_the_parts_of_a_problem(loaded) -> None:
    (problem,) = loaded("backends:\n  a:\n    command: x\n    args: [y, [z]]").problems
    assert (problem.severity, problem.file) == (Severity.ERROR, "/etc/relay.yaml")
    assert (problem.line, problem.column) == (4, 15)
    assert problem.key == "backends.a.args[1]"
    assert problem.backend == "a"
    assert (problem.expected, problem.found) == ("a text", "a list")
    assert problem.effect == "Backend a is left out."


def test_the_number_of_problems_is_limited(loaded) -> None:
    got = loaded("".join(f"z{number}: 1\n" for number in range(PROBLEMS_MAX + 7)))
    assert len(got.problems) == PROBLEMS_MAX + 1
    assert got.problems[-1].found == "7 more problems"


def test_what_a_terminal_would_act_upon_is_escaped(loaded) -> None:
    problems = loaded('{"\\u001b[2J": 1, "\\u009b2J": 1, "\\u202e": 1, "é b": 1}').problems
    assert [problem.key for problem in problems] == [
        '"\\u001b[2J"',
        '"\\u009b2J"',
        '"\\u202e"',
        '"é b"',
    ]


def test_a_number_of_any_length_is_told_in_short(loaded) -> None:
    (problem,) = loaded(f"relay: {{log_files_max: {'9' * 100_000}}}").problems
    assert len(str(problem)) < 300


def test_a_variable_of_any_length_is_told_in_short(loaded) -> None:
    (problem,) = loaded(f"backends: {{a: {{command: '${{{'V' * 100_000}}}'}}}}").problems
    assert len(str(problem)) < 500


def test_only_what_is_wrong_is_left_out(loaded) -> None:
    got = loaded("backends:\n  bad: {command: [x]}\n  good: {command: y}\nrelay: {prefix: 3}\n")
    assert got.config == Config(backends={"good": BackendSpec(command="y")})
    assert [problem.backend for problem in got.problems] == ["bad", None]
    assert not got.broken


def test_of_a_section_that_occurs_twice_the_first_counts(loaded) -> None:
    got = loaded("backends: {a: {command: x}}\nbackends: {b: {command: x}}")
    assert list(got.config.backends) == ["a"]


def test_warnings_leave_nothing_out(loaded) -> None:
    got = loaded("backends: {a: {url: 'http://x', args: [y]}, b: {command: x y, headers: {}}}")
    assert {problem.severity for problem in got.problems} == {Severity.WARNING}
    assert list(got.config.backends) == ["a", "b"]


def test_a_path_with_blanks_is_no_command_line(loaded) -> None:
    assert loaded("backends: {a: {command: /opt/My App/bin}}").problems == ()
