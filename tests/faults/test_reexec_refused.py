"""Code that cannot take over the supervisor: the old one serves on as if nothing had been."""

import resource
from pathlib import Path

import pytest

from relay_supervisor.core.sealed import SCHEMA
from tests.faults.ends import all_ready, own_status
from tests.faults.succession import (
    NOT_IN_THE_CHECK,
    descriptors,
    reexec,
    supervisor_release,
)
from tests.harness import Relay, RelayHome, fixture_backend, json_of, open_fds, text_of

OLDER_SCHEMA = ("core/sealed.py", f"SCHEMA: Final = {SCHEMA}\n", f"SCHEMA: Final = {SCHEMA - 1}\n")
NO_SELF_CHECK = ("arguments.py", '"--self-check"', '"--not-known-here"')
NO_RESUME = ("main.py", "def resume(", "def continue_(")

IN_THE_CHECK = {
    "an import error": ({"main": "import no_such_module"}, "No module named 'no_such_module'"),
    "a crash": ({"main": "import os\nos.kill(os.getpid(), 9)"}, "it said nothing"),
    "a state it is too old for": ({"edit": OLDER_SCHEMA}, "it is too old"),
    "a release without self-check": ({"edit": NO_SELF_CHECK}, "unknown argument"),
}
AFTER_EXECVE = {
    "an import error": ({"main": NOT_IN_THE_CHECK + "import no_such_module"}, "no_such_module"),
    "an exit": ({"main": NOT_IN_THE_CHECK + "sys.exit(3)"}, "SystemExit(3)"),
    "a release without resume": ({"edit": NO_RESUME}, "cannot import name 'resume'"),
    "a state that it does not read any more": (
        {
            "main": "import sys",
            "edit": ("main.py", "def resume(", "def resume(*_):\n    1 / 0\n\n\ndef r("),
        },
        "division by zero",
    ),
}


def assert_serves_on(relay: Relay, call: object, before: dict[str, int]) -> None:
    """The old code, with all it had."""
    status = own_status(relay)
    assert (status["supervisor"]["version"], status["supervisor"]["reexecs"]) == ("0.1.0", 0)
    assert json_of(relay.client.call_tool("fix__echo", {"n": 1})) == {"n": 1}
    assert text_of(relay.client.response(call).result) == "slow on"
    assert descriptors(relay) == before
    assert reexec(relay)["outcome"] == "committed", "and it can be replaced by sound code"


@pytest.mark.parametrize(
    "fault", [*(("check", k) for k in IN_THE_CHECK), *(("exec", k) for k in AFTER_EXECVE)]
)
def test_code_that_is_broken_is_refused_whenever_that_shows(fault: tuple[str, str]) -> None:
    """Before `execve` nothing has happened; after it the old code gets its state back."""
    made, words = (IN_THE_CHECK if fault[0] == "check" else AFTER_EXECVE)[fault[1]]
    home = RelayHome.make()
    with Relay({"backends": {"fix": fixture_backend()}}, home=home) as relay:
        all_ready(relay)
        before = descriptors(relay)
        call = relay.client.start_tool("fix__slow", {"seconds": 1, "tag": "on"})
        args = supervisor_release(home, "bad", **made)  # type: ignore[arg-type]
        result = reexec(relay, **args)
        assert result["outcome"] == "failed" and words in result["reason"], result
        assert result["supervisor"] == {"release": "", "build": "0.1.0"}
        assert_serves_on(relay, call, before)
    home.remove()


def test_an_interpreter_that_is_none_is_refused() -> None:
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        result = reexec(relay, python="/no/such/python")
        assert result["outcome"] == "failed" and "No such file" in result["reason"]


def test_an_interpreter_that_goes_after_the_check_makes_execve_fail(tmp_path: Path) -> None:
    """ENOENT: it takes itself away when it is first run."""
    home = RelayHome.make()
    with Relay({"backends": {"fix": fixture_backend()}}, home=home) as relay:
        all_ready(relay)
        before = descriptors(relay)
        call = relay.client.start_tool("fix__slow", {"seconds": 1, "tag": "on"})
        python, real = tmp_path / "python", supervisor_release(home, "sound")["python"]
        python.write_text(f'#!/bin/sh\nrm -- "$0"\nexec {real} "$@"\n')
        python.chmod(0o755)
        result = reexec(relay, python=str(python))
        assert result["outcome"] == "failed" and "No such file" in result["reason"], result
        assert [phase for phase, _ in result["phases"]] == ["checking", "replacing", "failed"]
        assert_serves_on(relay, call, before)
    home.remove()


def test_without_free_descriptors_nothing_is_begun() -> None:
    """EMFILE, for the files in memory and for the pipe of the check."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        before = descriptors(relay)
        call = relay.client.start_tool("fix__slow", {"seconds": 1, "tag": "on"})
        limits = resource.prlimit(relay.pid, resource.RLIMIT_NOFILE)
        for spare in (1, 2, 3):  # one is the connection that asks
            limit = open_fds(relay.pid) + spare
            resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (limit, limits[1]))
            result = reexec(relay)
            assert result["outcome"] == "failed" and "Too many open files" in result["reason"]
        resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, limits)
        assert_serves_on(relay, call, before)
