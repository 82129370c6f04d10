"""Two workers in one HTTP session: the one that was replaced still has calls in it."""

import threading

from tests.harness import Relay, text_of
from tests.harness.http_mcp import WAIT_SECONDS, Exchange, HttpMcp, text_result
from tests.integration.test_remote_sdk import swap
from tests.integration.through import configuration


def test_what_is_said_in_the_stream_of_a_call_is_heard_after_a_swap() -> None:
    """Whatever it is: a server says it in that stream and nowhere else."""
    go_on = threading.Event()

    def slow(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event(None)
        assert go_on.wait(WAIT_SECONDS)
        exchange.event({"jsonrpc": "2.0", "method": "vendor/event", "params": {"of": "a call"}})
        exchange.answer_event(text_result("done"))

    with HttpMcp(slow=slow) as server:
        config = configuration({"far": {"url": server.url}}, probation_seconds=0.5)
        with Relay(config) as relay:
            relay.client.initialize()
            relay.client.list_all("tools")
            call = relay.client.start_tool("far__slow")
            server.await_asked("tools/call")
            swap(relay)
            go_on.set()
            assert relay.client.wait_notification("vendor/event") == {"of": "a call"}
            assert text_of(relay.client.response(call).result) == "done"
            assert len(server.calls("slow")) == 1
