"""Numbers and foreign text as a person reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.ctl.words import clean, count, duration, memory, milliseconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3.0, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60.0, "1 min 0 s"),
        (185.0, "3 min 5 s"),
        (3599.0, "59 min 59 s"),
        (8033.4, "2 h 13 min"),
        (86_399.0, "23 h 59 min"),
        (4 * 86_400 + 3_700.0, "4 d 1 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, ""),
        (0, "0.0 MiB"),
        (11_744_051, "11.2 MiB"),
        (999 << 20, "999.0 MiB"),
        (1536 << 20, "1.5 GiB"),
    ],
)
def test_memory(size: int | None, text: str) -> None:
    assert memory(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00 ms"), (0.412, "0.41 ms"), (12.7, "13 ms"), (1270.0, "1.3 s")],
)
def test_milliseconds(value: float, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 tools"), (1, "1 tool"), (1204, "1,204 tools")])
def test_count(number: int, text: str) -> None:
    assert count(number, "tool") == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("two\nlines\r\n", "two lines"),
        ("a\tb", "a b"),
        ("lone \x1b escape", "lone   escape"),
        ("\x9b31mcsi", "31mcsi"),
        ("über 日本", "über 日本"),
        ("\u202eoverride", "override"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text())
def test_what_is_clean_is_printable_and_stays_as_it_is(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert clean(cleaned) == cleaned
