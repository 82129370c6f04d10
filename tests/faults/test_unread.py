"""Pipes that nobody reads: the client's stdout, either side's stderr, a backend's stdin."""

import fcntl
import hashlib
import struct
import termios
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults.ends import (
    SIGNAL_SECONDS,
    all_ready,
    outside_status,
    own_status,
    seconds_until_gone,
    stopped,
    worker_pid,
)
from tests.harness import Relay, fixture_backend, json_of, resident_bytes, text_of, wait_until

MIB = 1 << 20
GROWTH_BYTES_MAX = 64 * MIB
"""Of supervisor and worker together, with three times as much waiting in the backends."""


def resident(pids: Iterable[int]) -> int:
    return sum(map(resident_bytes, pids))


MOST_UNREAD_BYTES = GROWTH_BYTES_MAX + 32 * MIB
"""What a client may leave unread of the supervisor's own answers, and some room."""


LIST_BYTES = 256 << 10


def with_a_long_list(relay: Relay) -> None:
    """Make `fix` list a tool with so long a description, and wait until it is served."""
    all_ready(relay)
    relay.client.call_tool("fix__add_tool", {"name": "long", "description": "d" * LIST_BYTES})
    wait_until(lambda: len(str(relay.client.list_all("tools"))) > LIST_BYTES, 10.0)


def in_flight(relay: Relay) -> int:
    """Calls under way, as seen from outside: the client need not read for it."""
    return int(outside_status(relay)["calls"]["in_flight"])


class Peak:
    """The most memory these processes ever had while wait_until() polled this."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.pids = list(pids)
        self.before = self.most = resident(self.pids)

    def look(self) -> bool:
        self.most = max(self.most, resident(self.pids))
        return True

    @property
    def growth(self) -> int:
        return self.most - self.before


def test_a_client_that_does_not_read_costs_no_memory_without_bound() -> None:
    """200 MB of results for a client that does not read them: they wait in the backends. Then it
    reads, and each call has its own answer, whole.
    """
    count, size = 48, 4 * MIB
    config = {"backends": {f"fix{number}": fixture_backend() for number in range(4)}}
    with Relay(config) as relay:
        all_ready(relay)
        peak = Peak([relay.pid, worker_pid(relay)])
        relay.client.child.pause_reading()
        calls = {
            relay.client.start_tool(f"fix{n % 4}__big", {"bytes": size + n, "fill": f"{n:02}|"}): n
            for n in range(count)
        }
        relay.client.child.flush()
        seen: list[int] = []

        def stands_still() -> bool:
            peak.look()
            seen.append(in_flight(relay))
            return seen[-1] < count and len(seen) > 30 and len(set(seen[-30:])) == 1

        wait_until(stands_still, 20.0, "the stream to stand still")
        assert seen[-1] > count // 2, "all was taken from the backends: this proves nothing"
        assert peak.growth < GROWTH_BYTES_MAX, f"{peak.growth / MIB:.0f} MiB more"
        relay.client.child.resume_reading()
        for call, number in calls.items():
            text = text_of(relay.client.response(call, 30.0).result)
            expected = (f"{number:02}|" * ((size + number) // 3 + 1))[: size + number]
            assert hashlib.sha256(text.encode()).digest() == (
                hashlib.sha256(expected.encode()).digest()
            )
        peak.look()
        assert peak.growth < GROWTH_BYTES_MAX + 16 * MIB, f"{peak.growth / MIB:.0f} MiB more"


def test_cancellation_works_while_the_client_does_not_read() -> None:
    """The client stopped reading, and cancels: the backend hears of it at once."""
    config = {"backends": {"fix": fixture_backend(), "other": fixture_backend()}}
    with Relay(config) as relay:
        all_ready(relay)
        hang = relay.client.start_tool("fix__hang")
        wait_until(lambda: own_status(relay)["calls"]["in_flight"] >= 2, 10.0)
        relay.client.child.pause_reading()
        big = [relay.client.start_tool("other__big", {"bytes": 8 * MIB}) for _ in range(6)]
        wait_until(lambda: in_flight(relay) < 7, 10.0, "the first answers")
        relay.client.cancel(hang)
        relay.client.cancel(big[-1])
        wait_until(lambda: in_flight(relay) <= 5, 10.0, "the cancellations")
        relay.client.child.resume_reading()
        seen = json_of(relay.client.call_tool("fix__seen"))
        assert [one["tool"] for one in seen["cancelled"]] == ["hang"]
        for call in big[:-1]:
            assert len(text_of(relay.client.response(call).result)) == 8 * MIB
        assert not relay.client.answered(hang)


def test_a_client_that_asks_and_never_reads_is_not_read_any_more() -> None:
    """100 MB of lists, which no backend can hold back: the supervisor leaves the further requests
    of such a client in its stdin, and answers every one when its answers are read.
    """
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        with_a_long_list(relay)
        peak = Peak([relay.pid])
        relay.client.child.pause_reading()
        padded = {"_meta": {"padding": "x" * 2000}}
        asked = [relay.client.start("tools/list", padded) for _ in range(400)]
        with pytest.raises(TimeoutError):
            relay.client.child.flush(1.0)
        assert peak.look()
        assert peak.growth < MOST_UNREAD_BYTES, f"{peak.growth / MIB:.0f} MiB more"
        relay.client.child.resume_reading()
        for one in asked:
            assert "result" in relay.client.response(one, 30.0).message
        (last,) = {relay.client.response(one).raw.partition(b"result")[2] for one in asked}
        assert len(last) > LIST_BYTES


def test_a_thousand_list_requests_in_one_read() -> None:
    """What one read of stdin brings is answered before the client is looked at again: that must
    not be 280 MB.
    """
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        with_a_long_list(relay)
        peak = Peak([relay.pid])
        relay.client.child.pause_reading()
        with stopped(relay.pid):
            for _ in range(1000):
                relay.client.start("tools/list")
            relay.client.child.flush()
        wait_until(lambda: outside_status(relay), 10.0)
        assert peak.look()
        assert peak.growth < MOST_UNREAD_BYTES, f"{peak.growth / MIB:.0f} MiB more"
        relay.kill()


def test_unread_stderr_freezes_nothing() -> None:
    """The client never reads stderr, the log is at its most talkative, a backend floods its own
    stderr with ten times what a pipe holds: everything is answered.
    """
    config = {"backends": {"fix": fixture_backend(), "other": fixture_backend()}}
    with Relay(config, env={"RELAY_LOG_LEVEL": "debug"}) as relay:
        relay.client.child.pause_reading_stderr()
        all_ready(relay)
        floods = [relay.client.start_tool("fix__stderr_flood", {"bytes": MIB}) for _ in range(4)]
        for number in range(300):
            relay.client.call_tool("other__pollute", {"where": "line", "junk": "x" * 500})
            assert json_of(relay.client.call_tool("other__echo", {"n": number})) == {"n": number}
        for flood in floods:
            assert text_of(relay.client.response(flood).result) == "flooded"
        took = seconds_until_gone(relay, lambda: relay.client.child.send_signal(2), 4)
        assert took <= SIGNAL_SECONDS


def test_a_worker_that_floods_its_stderr_freezes_nothing(tmp_path: Path) -> None:
    """A library in the worker writes to stderr without end, and the client reads none of it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, threading\n"
        "def flood():\n"
        "    while True:\n"
        "        os.write(2, b'!' * 99 + b'\\n')\n"
        "        threading.Event().wait(0.0001)\n"
        "if 'relay_worker' in sys.orig_argv:\n"
        "    threading.Thread(target=flood, daemon=True).start()\n"
    )
    path = f"{tmp_path}:{Path(__file__).parents[2]}"
    with Relay({"backends": {"fix": fixture_backend()}}, env={"PYTHONPATH": path}) as relay:
        relay.client.child.pause_reading_stderr()
        all_ready(relay)
        for number in range(300):
            assert json_of(relay.client.call_tool("fix__echo", {"n": number})) == {"n": number}
        wait_until(lambda: stderr_is_full(relay), 20.0, "stderr to be full")
        assert json_of(relay.client.call_tool("fix__echo", {"n": 300})) == {"n": 300}
        assert outside_status(relay)
        took = seconds_until_gone(relay, lambda: relay.client.child.send_signal(2), 3)
        assert took <= SIGNAL_SECONDS


def stderr_is_full(relay: Relay) -> bool:
    """Whether nothing more can be written to the pipe that is the relay's stderr."""
    stderr = relay.client.child.process.stderr
    assert stderr is not None
    (waiting,) = struct.unpack("i", fcntl.ioctl(stderr.fileno(), termios.FIONREAD, b"\0" * 4))
    return bool(waiting > 60_000)


def test_a_backend_that_does_not_read_holds_up_nobody_else() -> None:
    """Large arguments for a backend that has stopped reading: only its own calls wait, and all of
    them arrive when it reads again.
    """
    config = {"backends": {"deaf": fixture_backend(), "fix": fixture_backend()}}
    with Relay(config) as relay:
        all_ready(relay)
        relay.client.call_tool("deaf__stop_reading", {"seconds": 1.5})
        large = [
            relay.client.start_tool("deaf__echo", {"n": n, "fill": "z" * MIB}) for n in range(8)
        ]
        for number in range(50):
            assert json_of(relay.client.call_tool("fix__echo", {"n": number})) == {"n": number}
        assert not any(map(relay.client.answered, large)), "it was not deaf: this proves nothing"
        for number, call in enumerate(large):
            assert json_of(relay.client.response(call).result)["n"] == number


def test_a_backend_that_never_reads_again_costs_bounded_memory() -> None:
    """160 MB for a backend that never reads: 64 MiB wait, the other calls are refused naming the
    reason; the relay does not grow by what it cannot deliver.
    """
    config = {"backends": {"deaf": fixture_backend(), "fix": fixture_backend()}}
    with Relay(config) as relay:
        all_ready(relay)
        peak = Peak([relay.pid, worker_pid(relay)])
        relay.client.call_tool("deaf__stop_reading", {"seconds": 600})
        calls = [
            relay.client.start_tool("deaf__echo", {"fill": "z" * (4 * MIB)}) for _ in range(40)
        ]
        refused = relay.client.response(calls[-1])
        assert refused.result["isError"]
        assert "deaf" in text_of(refused.result)
        assert json_of(relay.client.call_tool("fix__echo", {"n": 1})) == {"n": 1}
        assert peak.look()
        # The supervisor keeps what has not been answered: both have one copy.
        assert peak.growth < 3 * GROWTH_BYTES_MAX, f"{peak.growth / MIB:.0f} MiB more"
        for call in calls:
            if not relay.client.answered(call):
                relay.client.cancel(call)
