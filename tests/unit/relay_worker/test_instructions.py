"""The instructions name the backends and how their tools are called."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.config.model import BackendSpec, Config, RelaySettings
from relay_worker.instructions import INSTRUCTIONS_CHARS_MAX, instructions

SPEC = BackendSpec(command="x")
CONFIG = Config({"files": SPEC, "old": BackendSpec(command="x", enabled=False), "time": SPEC})


def test_backends_and_names() -> None:
    text = instructions(CONFIG)
    assert "files, time" in text and "`files__`" in text and "relay__status" in text
    assert "old" not in text and "RELAY_CONFIG" not in text


def test_settings_are_followed() -> None:
    relay = RelaySettings(separator="-", prefix=False, builtin_tools=False)
    text = instructions(msgspec.structs.replace(CONFIG, relay=relay))
    assert "files-" not in text and "status" not in text
    assert "`relay-status`" in instructions(Config(relay=RelaySettings(separator="-")))


def test_the_embedded_default_says_how_to_add_backends() -> None:
    text = instructions(Config(), embedded_default=True)
    assert "relay.yaml" in text and "mcpServers" in text


@given(st.lists(st.text(min_size=1, max_size=64), unique=True, max_size=200), st.booleans())
def test_length(names: list[str], embedded: bool) -> None:
    text = instructions(Config(dict.fromkeys(names, SPEC)), embedded_default=embedded)
    assert len(text) <= INSTRUCTIONS_CHARS_MAX


def test_backends_that_have_no_room_are_counted() -> None:
    names = [f"backend-number-{number}" for number in range(500)]
    text = instructions(Config(dict.fromkeys(names, SPEC)))
    shown = text.partition("Backends: ")[2].partition(" and ")[0].split(", ")
    assert shown == names[: len(shown)]
    assert f" and {500 - len(shown)} more." in text
