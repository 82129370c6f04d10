"""The table against golden texts: what a person sees, at 80 columns and in a pipe."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from relay_supervisor.ctl import table
from relay_supervisor.ctl.view import View
from tests.unit.relay_supervisor.ctl.fake_relay import GOLDEN, golden_status


def view(*instances: dict[str, Any], **unreachable: str) -> View:
    silent = [{"id": name, "reason": reason} for name, reason in unreachable.items()]
    return View(list(instances), silent, "No relay is running.")


def drawn(shown: View, columns: int = 80, *, terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=columns,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    table.show(console, shown)
    return out.getvalue()


def golden(name: str) -> str:
    return (GOLDEN / name).read_text()


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("name", "columns"), [("busy", 80), ("busy", table.PIPE_COLUMNS), ("starting", 80)]
)
def test_a_relay_is_drawn_as_recorded(name: str, columns: int) -> None:
    assert drawn(view(golden_status(name)), columns) == golden(f"{name}.{columns}.txt")


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_nothing_is_wider_than_the_terminal(columns: int) -> None:
    lines = drawn(view(golden_status()), columns).splitlines()
    assert len(lines) > 20 and max(map(len, lines)) <= columns


def test_several_relays_follow_one_another_and_the_silent_ones_come_last() -> None:
    text = drawn(view(golden_status("starting"), golden_status(), x1="no answer\x1b[2J"))
    first, second = text.index("relay e5f6a7b8  starting"), text.index("relay a1b2c3d4  degraded")
    assert first < second < text.index("relay x1  unreachable\n  no answer\n")


def test_without_relays_it_says_so() -> None:
    assert drawn(view()) == "No relay is running.\n"


def test_names_of_backends_are_text_and_not_commands_to_a_terminal() -> None:
    status = golden_status()
    status["backends"][0]["name"] = "[bold]x[/bold] :smile: \x1b[2J\x9b1m"
    status["client"]["name"] = "\x1b[31mclient"
    text = drawn(view(status), 160, terminal=True)
    assert "[bold]x[/bold] :smile:" in text
    assert "\x1b[2J" not in text and "\x9b" not in text and "\x1b[31mclient" not in text


def test_colours_are_for_terminals() -> None:
    shown = view(golden_status())
    assert "\x1b[" in drawn(shown, terminal=True)
    assert "\x1b" not in drawn(shown)


def test_no_color_leaves_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich take any output for a terminal
    monkeypatch.setenv("TERM", "xterm")
    console = table.console()
    console.file = out = io.StringIO()
    table.show(console, view(golden_status()))
    colours = [f"\x1b[{code}m" for code in (31, 32, 33)] + ["\x1b[1;31m"]
    assert out.getvalue() and not any(colour in out.getvalue() for colour in colours)


def test_a_pipe_is_wide_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert table.console().width == table.PIPE_COLUMNS
    monkeypatch.setenv("COLUMNS", "72")
    assert table.console().width == 72


def test_a_terminal_has_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich take any output for a terminal
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((72, 24)))
    assert table.console().width == 72


def test_a_watch_in_a_pipe_prints_every_view() -> None:
    console = Console(file=io.StringIO(), width=80)
    with table.screen(console) as redraw:
        redraw(view(golden_status("starting")))
        redraw(view())
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == golden("starting.80.txt") + "No relay is running.\n"


def test_a_watch_on_a_terminal_redraws_and_leaves_the_last_view() -> None:
    out = io.StringIO()
    console = Console(
        file=out, width=80, force_terminal=True, color_system=None, legacy_windows=False
    )
    with table.screen(console) as redraw:
        redraw(view(golden_status("starting")))
        redraw(view())
    enter, leave = "\x1b[?1049h", "\x1b[?1049l"
    text = out.getvalue()
    assert text.index(enter) < text.index("e5f6a7b8") < text.index(leave)
    assert text[text.index(leave) :].count("No relay is running.") == 1


def test_the_golden_files_are_all_used() -> None:
    named = {"busy.json", "starting.json", "busy.80.txt", "busy.4096.txt", "starting.80.txt"}
    assert {path.name for path in Path(GOLDEN).iterdir()} == named
