"""Where the configuration is looked for, and which files are trusted."""

import os
from pathlib import Path

import pytest

from relay_supervisor.settings import from_environment
from relay_worker.config.locate import Location, distrust, locate

HOME = {"HOME": "/h/u"}


@pytest.mark.parametrize(
    ("option", "environ", "path", "origin"),
    [
        ("/o.yaml", {"RELAY_CONFIG": "/e.yaml"}, "/o.yaml", "option"),
        (None, {"RELAY_CONFIG": "/e.yaml", "XDG_CONFIG_HOME": "/x"}, "/e.yaml", "RELAY_CONFIG"),
        (None, {"RELAY_CONFIG": ""}, "/h/u/.config/relay/relay.yaml", "default"),
        (None, {"XDG_CONFIG_HOME": "/x"}, "/x/relay/relay.yaml", "default"),
        (None, {"XDG_CONFIG_HOME": "x"}, "/h/u/.config/relay/relay.yaml", "default"),
        (None, {"XDG_CONFIG_HOME": ""}, "/h/u/.config/relay/relay.yaml", "default"),
        ("~/r.yaml", {}, "/h/u/r.yaml", "option"),
        (None, {"RELAY_CONFIG": "~/r.yaml"}, "/h/u/r.yaml", "RELAY_CONFIG"),
    ],
)
def test_the_order_of_places(
    option: str | None, environ: dict[str, str], path: str, origin: str
) -> None:
    got = locate(option, HOME | environ)
    assert (str(got.path), got.origin) == (path, origin)
    assert got.explicit is (origin != "default")


def test_a_relative_path_starts_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate("sub/r.yaml", HOME).path == tmp_path / "sub/r.yaml"


def test_the_project_directory_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "relay.yaml").write_text("backends: {}")
    monkeypatch.chdir(tmp_path)
    environ = HOME | {"CLAUDE_PROJECT_DIR": str(tmp_path)}
    assert locate(None, environ) == Location(Path("/h/u/.config/relay/relay.yaml"), "default")


@pytest.mark.parametrize(
    ("option", "environ"),
    [
        (None, {}),
        (None, {"XDG_CONFIG_HOME": "/x"}),
        (None, {"XDG_CONFIG_HOME": "x"}),
        (None, {"RELAY_CONFIG": "a/b.yaml"}),
        ("c.yaml", {"RELAY_CONFIG": "a/b.yaml"}),
    ],
)
def test_the_supervisor_looks_in_the_same_place(
    option: str | None, environ: dict[str, str]
) -> None:
    here = locate(option, HOME | environ)
    there = from_environment(HOME | environ, os.getcwd(), os.getuid(), option)
    assert (str(here.path), here.explicit) == (there.config_path, there.config_explicit)


def _status(mode: int, uid: int) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 0, 0, 0, uid, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o400, 0o444])
@pytest.mark.parametrize("owner", [1000, 0])
def test_files_that_only_the_user_or_root_may_write_are_trusted(mode: int, owner: int) -> None:
    assert distrust(_status(mode, owner), 1000) is None


@pytest.mark.parametrize(
    ("mode", "who"), [(0o620, "its group"), (0o664, "its group"), (0o602, "everybody")]
)
def test_files_that_others_may_write_are_not(mode: int, who: str) -> None:
    fault = distrust(_status(mode, 1000), 1000)
    assert fault is not None
    found, advice = fault
    assert who in found
    assert f"{mode:04o}" in found
    assert "chmod go-w FILE" in advice


def test_files_of_others_are_not() -> None:
    fault = distrust(_status(0o600, 1001), 1000)
    assert fault is not None
    assert "uid 1001" in fault[0]
