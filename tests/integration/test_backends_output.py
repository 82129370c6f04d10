"""What backends do to their own output: noise, broken text, strays, sizes. None of it is fatal."""

from collections.abc import Iterator

import pytest

from tests.harness import RawClient, Relay, fixture_backend, json_of, text_of, wait_until
from tests.integration.through import backend_state, relayed

MIB = 1 << 20


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """One relay with two fixture servers; one of them writes byte by byte, or nearly."""
    backends = {"a": fixture_backend(), "bits": fixture_backend("--chunk-bytes", "3")}
    with relayed(backends) as relay:
        yield relay


@pytest.fixture
def client(relay: Relay) -> RawClient:
    """The client of the shared relay."""
    return relay.client


class TestNoise:
    @pytest.mark.parametrize("backend", ["a", "bits"])
    @pytest.mark.parametrize("where", ["line", "before", "after", "both"])
    def test_it_is_skipped_and_counted(self, client: RawClient, where: str, backend: str) -> None:
        """On a line of its own, and glued to either end of the answer."""
        before = backend_state(client, backend)["skipped_lines"]
        assert text_of(client.call_tool(f"{backend}__pollute", {"where": where})) == "polluted"
        assert backend_state(client, backend)["skipped_lines"] > before

    @pytest.mark.parametrize("where", ["blank", "crlf"])
    def test_blank_lines_and_carriage_returns_are_no_noise(
        self, client: RawClient, where: str
    ) -> None:
        """They mean nothing, and are not counted."""
        before = backend_state(client, "a")["skipped_lines"]
        assert text_of(client.call_tool("a__pollute", {"where": where})) == "polluted"
        assert backend_state(client, "a")["skipped_lines"] == before

    @pytest.mark.parametrize(
        "junk",
        [
            "{",
            "}}}",
            '{"a": 1} ',
            '{"jsonrpc"',
            '["x", {"jsonrpc": 1}] ',
            '"',
            "\\",
            '[INFO] {braces} and "quotes" ',
            "\x1b[31mred\x1b[0m ",
            "ünïcödé 🌍 ",
            "null ",
        ],
    )
    @pytest.mark.parametrize("where", ["before", "after", "line"])
    def test_noise_that_looks_like_json(self, client: RawClient, where: str, junk: str) -> None:
        """The answer is found all the same."""
        result = client.call_tool("a__pollute", {"where": where, "junk": junk})
        assert text_of(result) == "polluted"

    def test_megabytes_of_it_before_a_frame(self, client: RawClient) -> None:
        """Found in linear time."""
        arguments = {"where": "before", "junk": 'noise {" ', "count": 400_000}
        assert text_of(client.call_tool("a__pollute", arguments)) == "polluted"

    def test_nothing_of_it_reaches_the_client(self, client: RawClient) -> None:
        """Every line the client got was a JSON-RPC message; the harness looks at each."""
        client.call_tool("a__pollute", {"where": "line", "junk": '{"jsonrpc":"2.0","x":1}'})
        client.assert_clean()


class TestText:
    def test_invalid_utf8_is_replaced(self, client: RawClient) -> None:
        """The rest of the answer is kept."""
        assert text_of(client.call_tool("a__bad_utf8")) == "before \ufffd after"

    def test_a_lone_surrogate_is_replaced(self, client: RawClient) -> None:
        """Half an emoji, as JavaScript cuts them: SDK clients would never see the answer."""
        assert text_of(client.call_tool("a__lone_surrogate")) == "before \ufffd after"

    def test_everything_goes_on_afterwards(self, client: RawClient) -> None:
        """Neither kills the backend."""
        pid = json_of(client.call_tool("a__pid"))["pid"]
        client.call_tool("a__bad_utf8")
        client.call_tool("a__lone_surrogate")
        assert json_of(client.call_tool("a__pid"))["pid"] == pid
        assert backend_state(client, "a")["restarts"] == 0

    def test_deep_nesting_is_somebodys_error_and_nobodys_end(self, client: RawClient) -> None:
        """An answer nested deeper than any client reads."""
        assert client.response(client.start_tool("a__deep", {"levels": 100})).result
        client.response(client.start_tool("bits__deep", {"levels": 20_000}), 5)
        assert json_of(client.call_tool("bits__echo", {"x": 1})) == {"x": 1}


class TestStrays:
    @pytest.mark.parametrize(
        "kind",
        ["second_answer", "late_progress", "unknown_progress", "unknown_answer", "array", "number"],
    )
    def test_strays_are_kept_from_the_client(self, client: RawClient, kind: str) -> None:
        """The answer arrives once, and nothing else does."""
        result = client.call_tool("a__stray", {"kind": kind}, progress_token=f"s-{kind}")
        assert text_of(result) == f"stray {kind}"
        client.call_tool("a__echo")
        client.assert_clean()


class TestSizes:
    @pytest.mark.parametrize(("backend", "size"), [("a", 32 * MIB), ("bits", MIB // 8)])
    def test_large_answers(self, client: RawClient, backend: str, size: int) -> None:
        """Framing is linear, whatever pieces the answer comes in."""
        text = text_of(client.call_tool(f"{backend}__big", {"bytes": size, "fill": "0123456789"}))
        assert len(text) == size and text == ("0123456789" * (size // 10 + 1))[:size]

    def test_large_arguments(self, client: RawClient) -> None:
        """The other way."""
        text = "é🌍" * MIB
        assert json_of(client.call_tool("a__echo", {"text": text})) == {"text": text}

    def test_an_answer_over_the_limit_is_an_error_that_names_the_limit(self) -> None:
        """And only that call suffers; the limit is a setting."""
        with relayed(frame_bytes_max=MIB) as relay:
            client = relay.client
            other = client.start_tool("a__slow", {"seconds": 0.3, "steps": 1})
            result = client.call_tool("a__big", {"bytes": 2 * MIB})
            assert result["isError"] is True
            assert "frame_bytes_max" in text_of(result)
            assert text_of(client.response(other).result) == "slow"
            assert len(text_of(client.call_tool("a__big", {"bytes": MIB // 2}))) == MIB // 2


class TestStderr:
    def test_it_goes_to_a_log_of_the_backends_own(self, relay: Relay) -> None:
        """Rotating, under the state directory, and `relayctl logs` finds it."""
        relay.client.call_tool("a__stderr_flood", {"bytes": 1000})

        def logged() -> bool:
            logs = [path for path in relay.home.state.rglob("*.log") if "a" in path.stem]
            return any("fixture stderr" in path.read_text() for path in logs)

        wait_until(logged, 10)
        assert "fixture stderr" in relay.relayctl("logs", "a").stdout

    def test_a_flood_is_bounded_and_blocks_nothing(self) -> None:
        """The log rotates; the newest is kept."""
        with relayed(log_bytes_max=64 * 1024, log_files_max=2) as relay:
            relay.client.call_tool("a__stderr_flood", {"bytes": 4 * MIB})
            assert json_of(relay.client.call_tool("a__echo", {"x": 1})) == {"x": 1}

            def written() -> bool:
                files = [path for path in relay.home.state.rglob("*.log*") if path.is_file()]
                return 0 < sum(path.stat().st_size for path in files) < 512 * 1024

            wait_until(written, 10)
