"""One name, one deadline; and whoever overslept owes nobody."""

import random

from relay_supervisor.core.timers import Timers


def test_a_deadline_set_again_moves() -> None:
    timers = Timers()
    timers.set("a", 5.0)
    timers.set("a", 9.0)
    assert timers.earliest() == 9.0
    timers.set("a", 3.0)
    assert list(timers.due(4.0)) == ["a"]
    assert timers.earliest() is None


def test_due_takes_out_what_has_passed_and_that_alone_earliest_first() -> None:
    timers = Timers()
    for name, when in (("late", 9.0), ("b", 2.0), ("a", 2.0), ("first", 1.0)):
        timers.set(name, when)
    assert list(timers.due(2.0)) == ["first", "a", "b"]
    assert list(timers.due(2.0)) == []
    assert timers.earliest() == 9.0


def test_a_deadline_is_due_at_its_very_instant() -> None:
    timers = Timers()
    timers.set("a", 0.1 + 0.2)
    when = timers.earliest()
    assert when is not None and list(timers.due(when)) == ["a"]


def test_what_an_earlier_deadline_makes_void_is_not_due_any_more() -> None:
    """All may be late together: what the first one ends must not be ended by the second, too."""
    timers = Timers()
    for name, when in (("first", 1.0), ("cleared", 2.0), ("moved", 3.0), ("last", 4.0)):
        timers.set(name, when)
    found = []
    for name in timers.due(5.0):
        found.append(name)
        if name == "first":
            timers.clear("cleared")
            timers.set("moved", 9.0)
            timers.set("new", 5.0)
    assert found == ["first", "last"]
    assert timers.at == {"moved": 9.0, "new": 5.0}


def test_clearing_what_is_not_set_does_nothing() -> None:
    timers = Timers()
    timers.clear("never")
    assert timers.earliest() is None
    timers.set("a", 1.0)
    timers.clear("never")
    assert timers.earliest() == 1.0


def test_postponing_moves_all() -> None:
    timers = Timers()
    timers.postpone(5.0)
    assert timers.earliest() is None
    timers.set("a", 1.0)
    timers.set("b", 2.0)
    timers.postpone(10.0)
    assert timers.at == {"a": 11.0, "b": 12.0}
    assert timers.earliest() == 11.0


def test_the_earliest_is_always_the_minimum_whatever_is_done() -> None:
    rng = random.Random(7)
    timers = Timers()
    for _ in range(3000):
        name = rng.choice("abcdefgh")
        match rng.randrange(5):
            case 0 | 1:
                timers.set(name, rng.random() * 100)
            case 2:
                timers.clear(name)
            case 3:
                list(timers.due(rng.random() * 60))
            case _:
                timers.postpone(rng.random())
        assert timers.earliest() == min(timers.at.values(), default=None)
