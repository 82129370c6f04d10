"""Requests that only an extension has are a backend's, where one declares it."""

import pytest

from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core.driver import BODY, Driver, modern, notification, request

TASKS = b'{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}'


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.start()
    driver.catalogue(cache.Body(tools=BODY.tools, capabilities=TASKS), "with tasks")
    return driver


def test_one_that_is_declared_goes_to_the_worker(relay: Driver) -> None:
    relay.line(modern(1, "tasks/get", taskId="t"))
    message = relay.one(v1.Call)
    assert (message.method, message.name, message.tell) == ("tasks/get", "", True)
    relay.reply(message.call, b'"result":{"status":"working"}}')
    assert [answer["result"] for answer in relay.client()] == [{"status": "working"}]


def test_it_is_not_asked_before_initialize(relay: Driver) -> None:
    assert relay.ask(request(1, "tasks/get", taskId="t"))["error"]["code"] == -32600


def test_news_of_a_task_are_for_who_listens_for_them(relay: Driver) -> None:
    wanted = {"taskIds": ["t1", "t2"]}
    acknowledged = relay.ask(modern("l", "subscriptions/listen", notifications=wanted))
    assert acknowledged["params"]["notifications"] == wanted
    assert relay.one(v1.Subscriptions) == v1.Subscriptions([], ["t1", "t2"])
    for task in ("t1", "t3"):
        body = b'{"taskId":"%b","status":"working"}' % task.encode()
        relay.frame(v1.Notification("files", "notifications/tasks"), body)
    (told,) = relay.client()
    stamp = {"io.modelcontextprotocol/subscriptionId": "l"}
    assert told["params"] == {"_meta": stamp, "taskId": "t1", "status": "working"}
    relay.line(notification("notifications/cancelled", requestId="l"))
    assert relay.one(v1.Subscriptions) == v1.Subscriptions([], [])


def test_any_other_is_unknown(relay: Driver) -> None:
    for method in ("shop/buy", "tasks", "tools/delete"):
        assert relay.ask(modern(1, method))["error"]["code"] == -32601
    assert relay.frames(v1.Call) == []
