"""The first two frames: frozen for ever, and they find the newest version both sides speak."""

import msgspec
import pytest

from relay_supervisor.wire import handshake
from relay_supervisor.wire.handshake import Hello, Welcome, choose


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [((1,), 1), ((1, 2, 3), 1), ((3, 2, 1), 1), ((2, 3), None), ((), None), ((0,), None)],
)
def test_the_newest_common_version_is_chosen(offered: tuple[int, ...], chosen: int | None) -> None:
    assert choose(offered) == chosen


def test_with_several_in_common_the_newest_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "VERSIONS", (1, 2, 3))
    assert choose((1, 2)) == 2
    assert choose((4, 3, 1)) == 3


def test_hello_and_welcome_are_not_taken_for_each_other() -> None:
    hello = msgspec.msgpack.encode(Hello((1,), "1.0", 1, "n"))
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(hello, type=Welcome)


def test_the_frozen_numbers() -> None:
    """Workers of any release exit with these."""
    assert handshake.EXIT_INCOMPATIBLE == 64
    assert handshake.VERSIONS == (1,)
