"""Several relays write the records of one user at once, and some of them are killed at it."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay_worker.records import JOURNAL, REFUSED, REFUSED_MAX, refuse

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 30
OTHERS, VICTIMS, EACH = 6, 2, 7
"""Writers that live, writers that are killed, and pairs of each: fewer in all than are kept."""

WRITER = """
import sys
from pathlib import Path
from relay_worker.records import append_journal, refuse
state_dir, name, times, each = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
print("up", flush=True)
sys.stdin.readline()
for number in range(times):
    refuse(state_dir, {f"{name} {number % each}": "x" * 500})
    line = b'{"writer":"%b","n":%d,"text":"%b"}\\n' % (name.encode(), number, b"." * 3000)
    append_journal(state_dir, [line] * 3)
    print("round", flush=True)
"""

Start = Callable[[str, int], subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started = []

    def start(name: str, times: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name, str(times), str(EACH)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout and process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_eight_writers_lose_nothing_when_two_are_killed(tmp_path: Path, start: Start) -> None:
    victims = [start(f"victim{number}", 1_000_000) for number in range(VICTIMS)]
    others = [start(f"other{number}", EACH) for number in range(OTHERS)]
    for process in (*victims, *others):
        assert process.stdin
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for victim in victims:
        for process in (victim, others[0]):
            assert process.stdout and process.stdout.readline() == b"round\n"
        victim.send_signal(signal.SIGKILL)
        victim.communicate(timeout=SECONDS_MAX)
        assert victim.returncode == -signal.SIGKILL
    for process in others:
        process.communicate(timeout=SECONDS_MAX)
        assert process.returncode == 0
    assert refuse(tmp_path, {"last 1": "x"}) is None
    entries = json.loads((tmp_path / REFUSED).read_bytes())
    expected = {f"other{number} {pair}" for number in range(OTHERS) for pair in range(EACH)}
    assert expected | {"last 1"} <= set(entries) and len(entries) <= REFUSED_MAX
    assert sorted(path.name for path in tmp_path.iterdir()) == [JOURNAL, REFUSED]
    found: dict[str, list[int]] = {}
    torn = 0
    for line in (tmp_path / JOURNAL).read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            torn += 1
            continue
        found.setdefault(entry["writer"], []).append(entry["n"])
    assert torn <= VICTIMS
    for number in range(OTHERS):
        assert found[f"other{number}"] == [n for n in range(EACH) for _ in range(3)]
