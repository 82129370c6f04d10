"""A worker that cannot take a backend over, as it is of a release that does not know how the one
before it left that: it lives, and gets the backend anew. One that dies of it does so a few times.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.faults.ends import all_ready, own_status
from tests.harness import Relay, RelayHome, fixture_backend, json_of, text_of, wait_until
from tests.integration.quick_release import quick_release

SECONDS_MAX = 30.0

BLIND = """
from relay_worker.backends.handover import MovableBackend
_take_over = MovableBackend._take_over
def _blind(self, message, left):
    if not message.crashed or self.name != "fix":
        return _take_over(self, message, left)
    {what}
MovableBackend._take_over = _blind
"""
REFUSES = 'self._refuse_unseen(message, "what it is left in cannot be read")'
DIES = "import os; os._exit(3)"


@pytest.fixture
def home() -> Iterator[RelayHome]:
    made = RelayHome.make()
    yield made
    made.remove()


@pytest.mark.parametrize(("what", "deaths"), [(REFUSES, 1), (DIES, 4)], ids=["refuses", "dies"])
def test_the_backend_is_started_anew_and_the_session_goes_on(
    home: RelayHome, what: str, deaths: int
) -> None:
    quick_release(home, "blind", main=BLIND.format(what=what))
    config = {
        "backends": {"fix": fixture_backend(), "other": fixture_backend()},
        "relay": {"probation_seconds": 0},
    }
    with Relay(config, home=home) as relay:
        all_ready(relay)
        pids = {
            name: json_of(relay.client.call_tool(f"{name}__pid"))["pid"]
            for name in config["backends"]
        }
        assert relay.relayctl("swap", "blind").returncode == 0
        assert json_of(relay.client.call_tool("fix__pid"))["pid"] == pids["fix"]
        (worker,) = own_status(relay)["workers"]
        under_way = relay.client.start_tool("fix__slow", {"seconds": 60})
        elsewhere = relay.client.start_tool("other__slow", {"seconds": 6, "tag": "kept"})
        relay.client.call_tool("fix__echo")
        os.kill(worker["pid"], signal.SIGKILL)
        answer = relay.client.response(under_way, SECONDS_MAX).result
        assert answer["isError"] and "outcome is unknown" in text_of(answer)
        wait_until(lambda: relay.client.call_tool("fix__pid").get("isError") is None, SECONDS_MAX)
        assert json_of(relay.client.call_tool("fix__pid"))["pid"] != pids["fix"]
        assert text_of(relay.client.response(elsewhere, SECONDS_MAX).result) == "slow kept"
        assert json_of(relay.client.call_tool("other__pid"))["pid"] == pids["other"]
        status = own_status(relay)
        assert [one["generation"] for one in status["workers"]] == [worker["generation"] + deaths]
        assert status["health"] == "ok"
