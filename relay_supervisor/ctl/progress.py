"""Says what is going on while it goes on: a line for each step, on a terminal a moving one."""

import contextlib
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click

from relay_supervisor.ctl.words import clean

if TYPE_CHECKING:
    from rich.progress import TaskID


class Progress(Protocol):
    """Gets to know each step when it begins, and what is worth a glance within it."""

    def step(self, text: str) -> None:
        """A step begins, and the one before is done."""

    def detail(self, text: str) -> None:
        """Something happens within the step."""

    def result(self, text: str) -> None:
        """What is going on is over, and this has come of it."""


class Silent:
    """For programs: nothing is said."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def detail(self, text: str) -> None:
        """Say nothing."""

    def result(self, text: str) -> None:
        """Say nothing."""


class Plain:
    """For a pipe or a file: one line when a step begins."""

    def step(self, text: str) -> None:
        """Print it."""
        click.echo(f"  {clean(text)}")

    def detail(self, text: str) -> None:
        """Left out: a file wants to be short."""

    def result(self, text: str) -> None:
        """Print it."""
        click.echo(text)


class Results(Silent):
    """For a file that wants to be short."""

    def result(self, text: str) -> None:
        """Print it."""
        click.echo(text)


class Live:
    """For a terminal: the step under way moves and counts its seconds, those before stay (or, with
    *keep* false, make room for the result).
    """

    def __init__(self, *, keep: bool = True) -> None:
        from rich.progress import (  # noqa: PLC0415 - rich is half of the start-up time
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        from relay_supervisor.ctl import table  # noqa: PLC0415

        self._console = table.console()
        self._rich = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", markup=False, style="dim"),
            console=self._console,
            transient=True,
        )
        self._keep = keep
        self._task: TaskID | None = None

    def step(self, text: str) -> None:
        """Show it moving, and print the one before."""
        self._done()
        self._task = self._rich.add_task(clean(text), total=None, detail="")

    def detail(self, text: str) -> None:
        """Show it behind the step."""
        if self._task is not None:
            self._rich.update(self._task, detail=clean(text)[: self._console.width // 2])

    def result(self, text: str) -> None:
        """Print it."""
        self._done()
        self._console.print(text)

    def _done(self) -> None:
        if self._task is not None:
            (task,) = self._rich.tasks
            if self._keep:
                self._console.print(f"  {task.description}", style="dim")
            self._rich.remove_task(self._task)
            self._task = None

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done()
        self._rich.stop()


@contextlib.contextmanager
def shown(*, silent: bool = False, keep: bool = True) -> Iterator[Progress]:
    """Give the progress that suits stdout; with *keep* false only results stay."""
    if silent:
        yield Silent()
    elif not sys.stdout.isatty():
        yield Plain() if keep else Results()
    else:
        with Live(keep=keep) as live:
            yield live
