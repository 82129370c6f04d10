"""Cache, journal and refusals that are damaged, before a relay starts and between two of its swaps:
the lists are the same, swaps are made, and what is lost is the damaged file and nothing else.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.faults.damage import (
    a_directory,
    garbage,
    halved,
    of_another_version,
    too_large,
)
from tests.faults.ordeal import SECONDS_MAX, Ordeal, on_call, ordeal
from tests.harness import RelayHome, eventually, wait_until
from tests.integration.quick_release import quick_release

LONG: Final = {"probation_seconds": 60, "probation_calls": 1}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayHome]:
    """What a session with a swap that was committed, and one that was rolled back, has left. The
    tests put it back as it was.
    """
    home = RelayHome.make()
    try:
        with ordeal(home.root, home=home, **LONG) as one:
            (home.root / "tools").write_bytes(one.tools)
            quick_release(home, "bad", main=on_call("os._exit(1)"))
            swap_once(one)
            fail_once(one)
            wait_until(lambda: len(records(home)) == 3, SECONDS_MAX, "all records")
        shutil.copytree(home.state, home.root / "sound", symlinks=True)
        yield home
    finally:
        home.remove()


def records(home: RelayHome) -> list[Path]:
    """The files that are to be damaged."""
    return [
        path
        for name in ("cache/*.cache", "journal.jsonl", "refused.json")
        for path in home.state.glob(name)
    ]


def swap_once(one: Ordeal) -> None:
    """A swap that is committed with its first call."""
    swap = one.begin_swap()
    generation = one.wait_cut_over(swap)
    one.call()
    said = one.said(swap)
    assert (said.code, said.generation) == (0, generation), said.text
    one.settle()


def fail_once(one: Ordeal) -> None:
    """A swap that is rolled back with its first call."""
    swap = one.begin_swap("bad", "--force")
    generation = one.wait_cut_over(swap)
    one.start()
    said = one.said(swap)
    assert (said.code, said.generation < generation) == (1, True), said.text
    assert "swap rolled back" in said.text
    one.settle()


def assert_told(one: Ordeal, number: int) -> None:
    """The journal tells how a swap ended, whatever else is in it; if it cannot be read, that is
    said.
    """
    name = f"{one.status()['id']}-{number}"

    def report() -> None:
        done = one.relay.relayctl("report", name)
        if (one.relay.home.state / "journal.jsonl").is_dir():
            assert done.returncode == 1 and "journal.jsonl cannot be read" in done.stderr
        else:
            assert done.stdout.startswith(f"# Swap {name}: committed\n"), done.stdout + done.stderr

    eventually(report, SECONDS_MAX)


@pytest.mark.parametrize(
    "spoil",
    [halved, garbage, of_another_version, a_directory, too_large],
    ids=lambda spoil: spoil.__name__,
)
def test_damaged_records(home: RelayHome, spoil: Callable[[Path], None]) -> None:
    shutil.rmtree(home.state)
    shutil.copytree(home.root / "sound", home.state, symlinks=True)
    for path in records(home):
        spoil(path)
    with ordeal(home.root, home=home, **LONG) as one:
        assert one.tools == (home.root / "tools").read_bytes()
        one.ask()
        swap_once(one)
        for path in records(home):
            if path.is_file():
                spoil(path)
        fail_once(one)
        swap_once(one)
        assert_told(one, 3)
        for path in (home.state / "refused.json", home.state / "journal.jsonl"):
            assert path.is_dir() == (spoil is a_directory)
        if spoil is not a_directory:
            assert json.loads((home.state / "refused.json").read_bytes())
        one.answer()
        one.assert_as_before()
