"""`relayctl swap --watch`: what counts as a change, and what one leads to."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl import conversation, watching
from relay_supervisor.ctl.main import relayctl
from relay_supervisor.ctl.watching import Watcher
from tests.unit.relay_supervisor.ctl.fake_relay import (
    PHASES,
    FakeRelay,
    golden_status,
    refusal,
    swapped,
)

OK = golden_status("starting", health="ok")


class Clock:
    """Stands in for the pauses: what is to happen in them happens, then Ctrl-C is pressed."""

    def __init__(self, *events: Callable[[], object]) -> None:
        self.events = list(events)

    def sleep(self, seconds: float) -> None:
        if not self.events:
            raise KeyboardInterrupt
        self.events.pop(0)()

    def strftime(self, form: str) -> str:
        return "12:00:00"


def nothing() -> None:
    """Nothing happens in this pause."""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The code to be watched."""
    folder = tmp_path / "code"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.py").write_text("1")
    (folder / "sub" / "b.py").write_text("1")
    monkeypatch.setattr(watching, "_code", lambda: [folder])
    return folder


@pytest.fixture
def config(state: Path) -> Path:
    path = state.parent / "relay.yaml"
    path.write_text("one")
    return path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watching, "time", clock)
    monkeypatch.setattr(conversation, "TICK_SECONDS", 0.01)
    return clock


def changes(path: Path, text: str = "changed") -> Callable[[], object]:
    return lambda: path.write_text(path.read_text() + text)


def run(*args: str) -> Result:
    return CliRunner().invoke(relayctl, ["swap", "--watch", *args])


class TestWatcher:
    @pytest.fixture
    def watcher(self, code: Path, config: Path) -> Watcher:
        return Watcher([str(config)], [code])

    @pytest.mark.parametrize("name", ["a.py", "sub/b.py"])
    def test_a_changed_source_counts(self, watcher: Watcher, code: Path, name: str) -> None:
        assert watcher.changed() == [] and len(watcher) == 3
        changes(code / name)()
        assert watcher.changed() == [str(code / name)]

    def test_the_same_size_at_another_time_counts(self, watcher: Watcher, code: Path) -> None:
        os.utime(code / "a.py", (1, 1))
        assert watcher.changed() == [str(code / "a.py")]

    def test_new_and_removed_sources_count(self, watcher: Watcher, code: Path) -> None:
        (code / "a.py").rename(code / "c.py")
        assert watcher.changed() == [str(code / "a.py"), str(code / "c.py")]

    @pytest.mark.parametrize(
        "name", [".a.py.swp", "a.py~", "#a.py#", ".#a.py", "4913", "a.pyc", "notes.txt", ".x.py"]
    )
    def test_what_editors_leave_does_not(self, watcher: Watcher, code: Path, name: str) -> None:
        (code / name).write_text("")
        (code / "__pycache__").mkdir()
        (code / "__pycache__" / "a.py").write_text("")
        assert watcher.changed() == []

    def test_a_configuration_that_is_gone_does_not_until_it_is_back(
        self, watcher: Watcher, config: Path
    ) -> None:
        config.unlink()
        assert watcher.changed() == []
        config.write_text("other")
        assert watcher.changed() == [str(config)]

    def test_a_configuration_replaced_by_a_rename_counts(
        self, watcher: Watcher, config: Path
    ) -> None:
        new = config.with_name("new")
        new.write_text("other")
        new.replace(config)
        assert watcher.changed() == [str(config)]

    def test_code_that_is_away_for_a_moment(self, watcher: Watcher, code: Path) -> None:
        code.rename(code.with_name("away"))
        assert len(watcher.changed()) == 2
        code.with_name("away").rename(code)
        assert watcher.changed() == []

    def test_a_change_counts_once_nothing_changes_any_more(
        self, watcher: Watcher, code: Path, clock: Clock
    ) -> None:
        clock.events += [nothing, changes(code / "a.py"), changes(code / "sub" / "b.py"), nothing]
        assert watcher.wait() == [str(code / "a.py"), str(code / "sub" / "b.py")]
        assert not clock.events and watcher.changed() == []

    def test_a_change_that_is_taken_back_is_none(
        self, watcher: Watcher, code: Path, clock: Clock
    ) -> None:
        away = code / "a.txt"
        clock.events += [
            lambda: (code / "a.py").rename(away),
            lambda: away.rename(code / "a.py"),
            nothing,
            changes(code / "sub" / "b.py"),
            nothing,
        ]
        assert watcher.wait() == [str(code / "sub" / "b.py")]


class TestCommand:
    def relay(self, runtime: Path, *answer: Any) -> FakeRelay:
        return FakeRelay(runtime, "a", {**OK, "id": "a"}, swap=list(answer))

    def test_each_change_is_a_swap_and_a_line(
        self, runtime: Path, code: Path, config: Path, clock: Clock
    ) -> None:
        clock.events += [changes(code / "a.py"), nothing, changes(config), nothing]
        with self.relay(runtime, *PHASES, swapped()) as fake:
            result = run()
        assert (result.exit_code, result.stderr) == (0, "")
        first, *lines = result.stdout.splitlines()
        assert first.startswith("Watching 3 files in ") and first.endswith("Ctrl-C ends it.")
        assert [text.split(": swap")[0] for text in lines] == [
            "12:00:00 a.py: relay a",
            "12:00:00 relay.yaml: relay a",
        ]
        assert all("Now serving: 0.2.0" in text for text in lines)
        backups = [Path(str(request.args["backup"])) for request in fake.asked("swap")]
        assert [path.read_text() for path in backups] == ["one", "onechanged"]

    def test_a_relay_that_runs_a_release_is_told_to_take_up_no_code(
        self, runtime: Path, code: Path, config: Path, clock: Clock
    ) -> None:
        worker = {"generation": 1, "state": "active", "release": "one", "build": "0.1.0+aaaa"}
        with FakeRelay(runtime, "a", {**OK, "id": "a", "workers": [worker]}):
            result = run()
        assert "relay a runs release one, which never changes" in result.stdout

    @pytest.mark.parametrize(
        "answer", [swapped("failed", reason="SyntaxError"), refusal("refused", "SyntaxError")]
    )
    def test_broken_code_is_told_and_watched_on(
        self, runtime: Path, code: Path, config: Path, clock: Clock, answer: Any
    ) -> None:
        clock.events += [changes(code / "a.py"), nothing, changes(code / "a.py"), nothing]
        with self.relay(runtime, answer) as fake:
            result = run()
        assert result.exit_code == 0 and len(fake.asked("swap")) == 2
        lines = result.stdout.splitlines()[1:]
        assert len(lines) == 2 and all("SyntaxError. " in text for text in lines)

    def test_a_relay_that_is_gone_is_told_and_watched_on(
        self, runtime: Path, code: Path, config: Path, clock: Clock
    ) -> None:
        fake = self.relay(runtime)
        clock.events += [changes(code / "a.py"), fake.stop]
        result = run()
        assert result.exit_code == 0
        assert result.stderr.startswith("12:00:00 a.py: No relay is running")

    def test_a_change_during_the_probation_supersedes_it(
        self, runtime: Path, code: Path, config: Path, clock: Clock
    ) -> None:
        def answer(request: Any) -> list[Any]:
            if len(fake.asked("swap")) > 1:
                return [*PHASES, swapped()]
            changes(code / "a.py")()
            return PHASES  # on probation, and no end comes

        clock.events += [changes(code / "a.py"), nothing, nothing]
        fake = FakeRelay(runtime, "a", {**OK, "id": "a"}, swap=answer)
        with fake:
            result = run()
        assert result.exit_code == 0
        lines = result.stdout.splitlines()[1:]
        assert [text.split(" ", 2)[2].split()[0] for text in lines] == ["superseded,", "relay"]

    def test_before_the_cut_over_a_change_waits(
        self, runtime: Path, code: Path, config: Path, clock: Clock
    ) -> None:
        def answer(request: Any) -> list[Any]:
            if len(fake.asked("swap")) == 1:
                changes(code / "a.py")()
            return [*PHASES[:4], swapped("failed", reason="late")]

        clock.events += [changes(code / "a.py"), nothing, nothing]
        fake = FakeRelay(runtime, "a", {**OK, "id": "a"}, swap=answer)
        with fake:
            result = run()
        assert len(fake.asked("swap")) == 2 and "superseded" not in result.stdout

    def test_for_programs_every_swap_is_an_object_on_a_line(
        self, runtime: Path, code: Path, config: Path, clock: Clock
    ) -> None:
        clock.events += [changes(code / "a.py"), nothing, changes(code / "a.py"), nothing]
        with self.relay(runtime, swapped()):
            result = run("--json")
        found = [json.loads(text) for text in result.stdout.splitlines()]
        assert [one["ok"] for one in found] == [True, True] and result.stderr == ""

    def test_it_takes_no_release(self, runtime: Path, state: Path) -> None:
        assert run("two").exit_code == 2


def test_what_is_watched_is_the_code_of_a_worker() -> None:
    worker, wire = watching._code()
    assert (worker / "main.py").is_file() and (worker / "backends" / "stdio.py").is_file()
    assert (wire / "v1.py").is_file()
