"""What a relay remembers for its client and for its next worker: lists, session, subscriptions."""

from relay_supervisor.core import events
from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core.driver import BODY, Driver, modern, notification, request

SNAPSHOT = cache.Snapshot("d1", "From the disk.", BODY, [cache.Lists("files", "h", b"raw lists")])


class AnyVariant(dict[str, bytes]):
    """Cache files for every kind of client; notes which were asked for."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data
        self.asked: list[str] = []

    def get(self, key: str, default: object = None) -> bytes:  # type: ignore[override]
        self.asked.append(key)
        return self._data


def hello(**capabilities: object) -> dict[str, object]:
    """An initialize request."""
    params = {"protocolVersion": "2025-11-25", "capabilities": capabilities}
    return request("init", "initialize", **params)


def test_a_known_client_is_served_from_the_cache_before_any_worker_is_up() -> None:
    relay = Driver(snapshots=AnyVariant(cache.dump(SNAPSHOT)))
    relay.do(events.Started())
    result = relay.ask(hello())["result"]
    assert result["instructions"] == "From the disk."
    assert result["capabilities"] == {"tools": {"listChanged": True}}
    relay.line(notification("notifications/initialized"))
    tools = relay.ask(request(1, "tools/list"))["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["files__read", "slow__think"]


def test_the_cache_is_also_for_a_modern_client() -> None:
    relay = Driver(snapshots=AnyVariant(cache.dump(SNAPSHOT)))
    relay.do(events.Started())
    assert len(relay.ask(modern(1, "tools/list"))["result"]["tools"]) == 2


def test_a_damaged_cache_file_is_as_good_as_none() -> None:
    data = bytearray(cache.dump(SNAPSHOT))
    data[-5] ^= 1
    relay = Driver(snapshots=AnyVariant(bytes(data)))
    relay.do(events.Started())
    relay.line(hello())
    assert relay.client() == []
    relay.hatch()
    relay.configure()
    (answer,) = relay.client()
    assert answer["result"]["instructions"] == "Use it."


def test_the_cache_of_a_client_depends_on_era_version_and_capabilities() -> None:
    variants = []
    for message in (hello(), hello(roots={}), modern("init", "tools/list")):
        snapshots = AnyVariant(b"")
        relay = Driver(snapshots=snapshots)
        relay.start()
        relay.line(message)
        variants += snapshots.asked
        assert relay.one(v1.Session).cache_path == f"/state/cache/{snapshots.asked[0]}"
    older = AnyVariant(b"")
    relay = Driver(snapshots=older)
    relay.line(request(0, "initialize", protocolVersion="2024-11-05", capabilities={}))
    variants += older.asked
    assert len(set(variants)) == len(variants) == 4


def test_a_cache_is_not_served_over_what_a_worker_has_said() -> None:
    other = cache.Snapshot("old", "From the disk.", cache.Body())
    relay = Driver(snapshots=AnyVariant(cache.dump(other)))
    relay.start()
    relay.greet()
    assert len(relay.ask(request(1, "tools/list"))["result"]["tools"]) == 2


def test_when_the_worker_confirms_the_cache_the_client_hears_nothing() -> None:
    relay = Driver(snapshots=AnyVariant(cache.dump(SNAPSHOT)))
    relay.do(events.Started())
    relay.greet()
    before = relay.ask(request(1, "tools/list"))
    relay.hatch()
    relay.configure()
    relay.catalogue()
    relay.wait(10)
    assert relay.client() == []
    assert relay.ask(request(1, "tools/list")) == before


def test_when_the_worker_knows_better_than_the_cache_the_client_is_told_once() -> None:
    relay = Driver(snapshots=AnyVariant(cache.dump(SNAPSHOT)))
    relay.do(events.Started())
    relay.greet()
    relay.ask(request(1, "tools/list"))
    relay.hatch()
    relay.configure()
    relay.catalogue(cache.Body(tools=BODY.tools[:1]), "d2")
    relay.wait(10)
    assert [told["method"] for told in relay.client()] == ["notifications/tools/list_changed"]


def test_a_worker_is_told_all_its_predecessors_knew_before_it_is_told_of_the_client() -> None:
    relay = Driver(snapshots=AnyVariant(cache.dump(SNAPSHOT)))
    relay.start()
    relay.greet()
    relay.frame(v1.LearnedLists("slow", "h2"), b"slow lists")
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(1)
    relay.hatch(2)
    relay.wanted.clear()
    relay.configure(2)
    told = relay.frames(v1.Message)  # every message
    kinds = [type(message) for _, message, _ in told]
    assert kinds == [v1.KnownLists, v1.Session]
    assert told[0][1:] == (v1.KnownLists("slow", "h2"), b"slow lists")


def test_lists_in_the_cache_are_known_to_the_first_worker_too() -> None:
    relay = Driver(snapshots=AnyVariant(cache.dump(SNAPSHOT)))
    relay.do(events.Started())
    relay.greet()
    relay.hatch()
    relay.configure()
    assert relay.frames(v1.KnownLists) == [(1, v1.KnownLists("files", "h"), b"raw lists")]


def test_nobody_is_introduced_before_the_client_has_spoken() -> None:
    relay = Driver()
    relay.start()
    assert relay.frames(v1.Session) == []
    relay.greet()
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2)
    assert relay.one(v1.Session).protocol == "2025-11-25"


# ---- the first lists


def test_the_first_lists_wait_for_the_catalogue_and_are_all_answered_by_it() -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.hatch()
    relay.configure()
    relay.greet()
    for number, method in enumerate(("tools/list", "prompts/list", "resources/list")):
        relay.line(request(number, method))
    relay.catalogue(settled=False)
    assert relay.client() == []
    relay.catalogue(digest="d2")
    assert sorted(answer["id"] for answer in relay.client()) == [0, 1, 2]


def test_the_first_lists_wait_no_longer_than_their_limit_and_serve_what_there_is() -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.hatch()
    relay.configure()
    relay.greet()
    relay.line(request(1, "tools/list"))
    relay.catalogue(settled=False)
    relay.wait(3.9)
    assert relay.client() == []
    relay.wait(0.2)
    (answer,) = relay.client()
    assert len(answer["result"]["tools"]) == 2
    assert len(relay.ask(request(2, "tools/list"))["result"]["tools"]) == 2


def test_with_nothing_at_all_the_lists_are_empty_and_the_client_is_told_later() -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.line(hello())
    relay.wait(2.5)
    relay.line(notification("notifications/initialized"))
    relay.client()
    relay.line(request(1, "tools/list"))
    relay.line(request(2, "prompts/list"))
    relay.wait(5.0)
    assert [list(answer["result"].values()) for answer in relay.client()] == [[[]], [[]]]
    number = relay.relay.shared.workers.state.last
    relay.hatch(number)
    relay.configure(number)
    relay.catalogue(cache.Body(tools=BODY.tools), generation=number)
    relay.wait(1)
    assert [told["method"] for told in relay.client()] == ["notifications/tools/list_changed"]


def test_the_list_of_a_worker_that_died_goes_on_being_served() -> None:
    relay = Driver()
    relay.serve()
    before = relay.ask(request(1, "tools/list"))
    relay.do(events.WorkerPipeFailed(1, "gone"))
    assert relay.ask(request(1, "tools/list")) == before
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2)
    assert relay.ask(request(1, "tools/list")) == before


def test_a_client_that_is_ready_only_after_it_was_served_nothing_does_no_harm() -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.line(hello())
    relay.line(request(1, "tools/list"))
    relay.wait(5.0)
    assert [answer["id"] for answer in relay.client()] == ["init", 1]
    relay.line(notification("notifications/initialized"))
    assert relay.client() == [], "nothing has changed"


def test_a_second_handshake_does_not_make_the_first_lists_wait_longer() -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.hatch()
    relay.configure()
    relay.line(hello())
    relay.line(request(1, "tools/list"))
    relay.wait(3.0)
    relay.line(modern(2, "tools/list"))
    relay.line(request("again", "initialize", protocolVersion="2025-11-25", capabilities={}))
    relay.client()
    relay.wait(1.1)
    assert 1 in [answer["id"] for answer in relay.client()]


def test_a_handshake_at_any_time_sets_no_deadline_in_the_past() -> None:
    """It would look as if the loop had overslept, and postpone all other deadlines."""
    relay = Driver()
    relay.serve()
    relay.wait(100.0)
    relay.line(hello())
    due = relay.relay.next_deadline()
    assert due is None or due >= relay.now
