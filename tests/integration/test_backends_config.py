"""What relay.yaml says of a backend, done: command, environment, directory, rules for its tools."""

import json
import sys
from typing import Any

import pytest

from tests.harness import (
    FIXTURE_SERVER,
    Relay,
    RelayHome,
    RpcError,
    fixture_argv,
    fixture_backend,
    json_of,
    side_effects,
    stopwatch,
    text_of,
)
from tests.integration.through import backend_state, configuration, names, relayed

UNSET = "RELAY_TEST_UNSET"


def env_of(relay: Relay, *variables: str) -> dict[str, Any]:
    """What backend `a` has in its environment, and its working directory."""
    result: dict[str, Any] = json_of(relay.client.call_tool("a__env", {"names": variables}))
    return result


class TestEnvironment:
    def test_variables_are_filled_in(self) -> None:
        """In command, args, env and cwd; defaults where nothing is set; `$${` is literal."""
        backend = {
            "command": "${T_PYTHON}",
            "args": ["${T_SERVER:-nowhere}", "--name", f"${{{UNSET}:-by default}}"],
            "env": {
                "ONE": "<${T_ONE}>",
                "TWO": f"${{{UNSET}:-two}} and ${{T_ONE}}",
                "EMPTY": "${T_EMPTY:-not empty}",
                "LITERAL": "$${T_ONE} $T_ONE $",
            },
            "cwd": "${T_CWD}",
        }
        home = RelayHome.make()
        env = {
            "T_PYTHON": sys.executable,
            "T_SERVER": str(FIXTURE_SERVER),
            "T_ONE": "uno ${T_EMPTY}",
            "T_EMPTY": "",
            "T_CWD": str(home.state),
        }
        try:
            with Relay(configuration({"a": backend}), home=home, env=env) as relay:
                relay.client.initialize()
                found = env_of(relay, "ONE", "TWO", "EMPTY", "LITERAL")
                assert found["env"] == {
                    "ONE": "<uno ${T_EMPTY}>",
                    "TWO": "two and uno ${T_EMPTY}",
                    "EMPTY": "",
                    "LITERAL": "${T_ONE} $T_ONE $",
                }
                assert found["cwd"] == str(home.state)
        finally:
            home.remove()

    def test_an_unset_variable_is_an_error_of_that_backend_alone(self) -> None:
        """It is named, with the backend and the key; the others are served."""
        backends = {
            "a": fixture_backend(env={"TOKEN": f"${{{UNSET}}}"}),
            "b": fixture_backend(),
        }
        with relayed(backends) as relay:
            elapsed = stopwatch()
            assert "b__echo" in names(relay.client.list_all("tools"))
            assert elapsed() < 4, "nothing to wait for"
            state = relay.backend("a")
            assert state["state"] == "failed" and UNSET in state["last_error"]
            status = relay.status()
            assert status["health"] == "degraded"
            assert [problem for problem in status["problems"] if UNSET in problem]
            assert relay.relayctl("status").returncode == 4

    def test_backends_inherit_the_clients_environment(self) -> None:
        """And get their own variables on top of it."""
        backend = fixture_backend(env={"T_OWN": "own", "T_BOTH": "own"})
        env = {"T_CLIENT": "client", "T_BOTH": "client"}
        with Relay(configuration({"a": backend}), env=env) as relay:
            relay.client.initialize()
            found = env_of(relay, "T_OWN", "T_CLIENT", "T_BOTH", "PATH")["env"]
            assert (found["T_OWN"], found["T_CLIENT"], found["T_BOTH"]) == ("own", "client", "own")
            assert found["PATH"]

    def test_the_working_directory(self) -> None:
        """The client's own by default; a relative one starts at the configuration."""
        with relayed() as relay:
            assert env_of(relay)["cwd"] == str(relay.home.project)
        with relayed({"a": fixture_backend(cwd="state")}) as relay:
            assert env_of(relay)["cwd"] == str(relay.home.state)

    def test_a_command_beside_the_configuration_s_directory_is_found_on_its_own_path(self) -> None:
        """PATH of the backend's own `env` counts, as a shell would have it."""
        home = RelayHome.make()
        script = home.root / "my-server"
        script.write_text(f"#!/bin/sh\nexec {' '.join(fixture_argv())}\n")
        script.chmod(0o755)
        try:
            backend = {"command": "my-server", "env": {"PATH": f"{home.root}:${{PATH}}"}}
            with relayed({"a": backend}, home=home) as relay:
                assert json_of(relay.client.call_tool("a__echo", {"x": 1})) == {"x": 1}
        finally:
            home.remove()


class TestEnabled:
    @pytest.mark.parametrize("off", [{"enabled": False}, {"disabled": True}])
    def test_a_disabled_backend_is_not_run(self, off: dict[str, bool]) -> None:
        """Not started, not listed, not looked at, but shown in the status."""
        backends = {
            "a": fixture_backend("--log", "log", env={"X": f"${{{UNSET}}}"}, **off),
            "b": fixture_backend(),
        }
        with relayed(backends) as relay:
            listed = names(relay.client.list_all("tools"))
            assert "b__echo" in listed and "a__echo" not in listed
            with pytest.raises(RpcError):
                relay.client.call_tool("a__echo")
            assert backend_state(relay.client, "a")["state"] == "disabled"
            assert relay.status()["health"] == "ok"
            assert not side_effects(relay.home.project / "log", "start")


class TestToolRules:
    @pytest.mark.parametrize(
        ("rules", "left"),
        [
            (
                {"allow": ["*counter", "e?ho"]},
                ["counter", "echo", "idempotent_counter", "read_counter"],
            ),
            ({"allow": ["*counter"], "deny": ["read_*"]}, ["counter", "idempotent_counter"]),
            ({"allow": []}, []),
            ({"allow": ["[ce]*o*"], "deny": ["*r"]}, ["contents", "echo"]),
        ],
    )
    def test_allow_and_deny(self, rules: dict[str, Any], left: list[str]) -> None:
        """By the backend's own names; what is not shown cannot be called either."""
        with relayed({"a": fixture_backend(tools=rules)}) as relay:
            listed = [n[3:] for n in names(relay.client.list_all("tools")) if n[:3] == "a__"]
            assert listed == left
            with pytest.raises(RpcError) as refused:
                relay.client.call_tool("a__pid")
            assert refused.value.code == -32602

    def test_rename_and_describe(self) -> None:
        """The new name is routed, the old one is gone, nothing else of the tool changes."""
        rules = {"rename": {"echo": "say"}, "describe": {"echo": "Says it again.", "pid": "P"}}
        with relayed({"a": fixture_backend(tools=rules)}) as relay:
            client = relay.client
            tools = {tool["name"]: tool for tool in client.list_all("tools")}
            assert "a__echo" not in tools
            assert tools["a__say"]["description"] == "Says it again."
            assert tools["a__say"]["annotations"] == {"readOnlyHint": True}
            assert tools["a__pid"]["description"] == "P"
            assert json_of(client.call_tool("a__say", {"x": 1})) == {"x": 1}
            with pytest.raises(RpcError):
                client.call_tool("a__echo")

    def test_a_rule_for_a_tool_that_is_not_there_is_reported(self) -> None:
        """A slip of the pen, or a tool of an older version: said, and no more."""
        rules = {"rename": {"ecco": "say"}, "describe": {"nope": "x"}}
        with relayed({"a": fixture_backend(tools=rules)}) as relay:
            assert "a__echo" in names(relay.client.list_all("tools"))
            relay.client.child.wait_stderr("ecco")
            relay.client.child.wait_stderr("nope")


class TestTimeouts:
    @pytest.mark.parametrize("limit", [{"call_timeout_seconds": 1}, {"timeout": 1000}])
    def test_a_call_may_be_given_a_limit(self, limit: dict[str, int]) -> None:
        """The error names the setting; the backend is told to stop; it goes on."""
        backends = {"a": fixture_backend(**limit), "b": fixture_backend()}
        with relayed(backends) as relay:
            client = relay.client
            other = client.start_tool("b__slow", {"seconds": 1.5, "steps": 1})
            result = client.call_tool("a__hang", {"tag": "limited"}, 10)
            assert result["isError"] is True
            assert "call_timeout_seconds" in text_of(result) and "'a'" in text_of(result)
            cancelled = json_of(client.call_tool("a__seen"))["cancelled"]
            assert [one["tag"] for one in cancelled] == ["limited"]
            assert text_of(client.response(other).result) == "slow", "it has no limit"


class TestOtherClientsFiles:
    @pytest.mark.parametrize("key", ["mcpServers", "servers"])
    def test_a_pasted_file_works_as_it_is(self, key: str) -> None:
        """JSON, with the keys other clients use, unknown ones of theirs included."""
        command, *args = fixture_argv()
        pasted = {
            key: {
                "one": {"type": "stdio", "command": command, "args": args, "env": {"T_X": "1"}},
                "two": {"command": command, "args": args, "disabled": False, "autoApprove": ["x"]},
                "off": {"command": "nonsense", "args": [], "disabled": True},
            }
        }
        with Relay(json.dumps(pasted)) as relay:
            relay.client.initialize()
            listed = names(relay.client.list_all("tools"))
            assert {"one__echo", "two__echo"} <= set(listed)
            assert not [name for name in listed if name.startswith("off__")]
            found = relay.client.call_tool("one__env", {"names": ["T_X"]})
            assert json_of(found)["env"] == {"T_X": "1"}

    def test_yaml_as_a_person_writes_it(self) -> None:
        """Comments, anchors, flow style, plain scalars where texts are wanted."""
        command, *args = fixture_argv()
        text = f"""
# my servers
x-common: &common
  env: {{PORT: 8080, FLAG: true, VERSION: 1.10}}
backends:
  a:
    <<: *common
    command: {command}
    args: {json.dumps(args)}
    tools: {{deny: ["*counter"]}}
relay: {{first_list_wait_seconds: 30}}
"""
        with Relay(text) as relay:
            relay.client.initialize()
            listed = names(relay.client.list_all("tools"))
            assert "a__echo" in listed and "a__counter" not in listed
            assert env_of(relay, "PORT", "FLAG", "VERSION")["env"] == {
                "PORT": "8080",
                "FLAG": "true",
                "VERSION": "1.10",
            }

    def test_without_any_file_the_demo_backend_is_there(self) -> None:
        """And the instructions say how to add one's own."""
        with Relay(None) as relay:
            answer = relay.client.initialize()
            assert "relay.yaml" in answer["instructions"]
            assert "relay__status" in names(relay.client.list_all("tools"))
            assert len(names(relay.client.list_all("tools"))) > 1
