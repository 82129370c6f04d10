"""What is shown while something goes on: on a terminal, in a pipe, for programs."""

import io

import pytest
from rich.console import Console

from relay_supervisor.ctl import table
from relay_supervisor.ctl.progress import Live, Plain, Progress, Results, Silent, shown


def work(progress: Progress) -> None:
    progress.step("first \x1b[2J[red]step")
    progress.detail("pip says")
    progress.step("second")
    progress.result("done")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    out = io.StringIO()

    def console() -> Console:
        return Console(file=out, force_terminal=True, width=80, markup=False, color_system=None)

    monkeypatch.setattr(table, "console", console)
    return out


def test_on_a_terminal_the_steps_stay_and_the_line_that_moves_goes(terminal: io.StringIO) -> None:
    with Live() as live:
        work(live)
    text = terminal.getvalue()
    assert "  first [red]step\n" in text and "  second\n" in text
    assert text.index("second\n") < text.index("done\n")
    assert "\x1b[2J" not in text and "\x1b[?25h" in text  # the cursor is back


def test_on_a_terminal_steps_can_make_room_for_the_result(terminal: io.StringIO) -> None:
    with Live(keep=False) as live:
        work(live)
    assert "  second\n" not in terminal.getvalue() and "done\n" in terminal.getvalue()


def test_what_goes_wrong_gives_the_terminal_back(terminal: io.StringIO) -> None:
    def interrupted() -> None:
        with Live() as live:
            live.step("first")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "\x1b[?25h" in terminal.getvalue()


@pytest.mark.parametrize(
    ("progress", "text"),
    [(Plain(), "  first [red]step\n  second\ndone\n"), (Results(), "done\n"), (Silent(), "")],
)
def test_in_a_pipe(progress: Progress, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    work(progress)
    assert capsys.readouterr().out == text


def test_what_suits_stdout_is_chosen() -> None:
    with shown() as plain, shown(keep=False) as results, shown(silent=True) as silent:
        assert [type(one) for one in (plain, results, silent)] == [Plain, Results, Silent]
