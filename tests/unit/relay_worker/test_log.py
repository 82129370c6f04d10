"""Log lines come out readable and without secrets, and never hold anybody up."""

import json
import os
import re
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.log import LINE_CHARS_MAX, Log


class Pipe:
    """A stderr to look into."""

    def __init__(self) -> None:
        self.read_fd, self.fd = os.pipe()
        os.set_blocking(self.read_fd, False)

    def read(self) -> bytes:
        found = b""
        try:
            while data := os.read(self.read_fd, 1 << 20):
                found += data
        except BlockingIOError:
            pass
        return found

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


STAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_text(pipe: Pipe) -> None:
    Log(fd=pipe.fd, generation=3).info(
        "backend ready", backend="files", tools=7, why="it is", n=None
    )
    expected = rb' info    worker 3: backend ready backend=files tools=7 why="it is" n=None\n'
    assert re.fullmatch(STAMP + expected, pipe.read())


def test_json(pipe: Pipe) -> None:
    Log(fd=pipe.fd, fmt="json", generation=3).error(
        "ü\n", tools=7, ok=True, none=None, who=ValueError("x")
    )
    line = pipe.read()
    assert line.count(b"\n") == 1
    found = json.loads(line)
    assert re.fullmatch(STAMP.decode(), found.pop("time"))
    assert found == {
        "level": "error",
        "generation": 3,
        "message": "ü\n",
        "tools": 7,
        "ok": True,
        "none": None,
        "who": "x",
    }


def test_levels(pipe: Pipe) -> None:
    log = Log(fd=pipe.fd, level="warning")
    for method in (log.debug, log.info, log.warning, log.error):
        method(method.__name__)
    assert [line.split()[1] for line in pipe.read().splitlines()] == [b"warning", b"error"]
    log.configure(level="debug", fmt="text")
    log.debug("x")
    assert pipe.read()


def test_an_unknown_setting_keeps_the_old_one_and_is_told(pipe: Pipe) -> None:
    log = Log(fd=pipe.fd, fmt="json")
    log.configure(level="loud", fmt="xml")
    first, second = map(json.loads, pipe.read().splitlines())
    assert "RELAY_LOG_LEVEL" in first["message"] and "debug, info" in first["message"]
    assert "RELAY_LOG_FORMAT" in second["message"]
    log.debug("x")
    assert not pipe.read()


def test_control_signs_do_not_reach_a_terminal(pipe: Pipe) -> None:
    Log(fd=pipe.fd).info("a\x1b[31m\nb\r\x00", field="\x07\u2028é😀\ud83d")
    line = pipe.read().decode()
    assert line.count("\n") == 1 and line[:-1].isprintable() and "é😀" in line


def test_lines_are_bounded(pipe: Pipe) -> None:
    Log(fd=pipe.fd).info("x" * 100_000)
    assert LINE_CHARS_MAX < len(pipe.read()) < LINE_CHARS_MAX + 200


def test_every_line_goes_to_the_sink_too(pipe: Pipe) -> None:
    lines: list[bytes] = []
    log = Log(fd=pipe.fd)
    log.write_to(lines.append)
    log.info("one")
    log.debug("not")
    assert lines == [pipe.read()]


def test_secrets_are_hidden_everywhere(pipe: Pipe) -> None:
    lines: list[bytes] = []
    log = Log(fd=pipe.fd)
    log.write_to(lines.append)
    log.hide(["hunter2hunter2", 'quo"ted\\', "line one\nline two", "short", "123456789"])
    log.hide(["hunter2hunter2-and-more"])
    log.info(
        "a hunter2hunter2-and-more b hunter2hunter2", url="x?k=hunter2hunter2", number=123456789
    )
    log.info(json.dumps({"k": 'quo"ted\\'}), part="… line two", other="short 12345678")
    text = pipe.read().decode()
    assert b"".join(lines).decode() == text
    assert "a *** b *** url=x?k=*** number=***" in text
    assert '{"k": "***"}' in text and 'part="… ***"' in text and "short 12345678" in text
    assert log.redact_bytes(b"\xffhunter2hunter2\xff") == b"\xff***\xff"
    assert log.redact("nothing") == "nothing"


LETTERS = st.text('abcé"\\', min_size=6, max_size=12)


@given(st.lists(LETTERS, min_size=1, max_size=4), st.text("ab"), st.sampled_from(["text", "json"]))
def test_no_secret_gets_out(secrets: list[str], around: str, fmt: str) -> None:
    pipe = Pipe()
    log = Log(fd=pipe.fd, fmt=fmt)
    log.hide(secrets)
    for secret in secrets:
        log.info(around + secret + around, field=secret)
        log.info(json.dumps(secret, ensure_ascii=False))
    text = pipe.read().decode()
    pipe.close()
    shown = [json.loads(line) for line in text.splitlines()] if fmt == "json" else text
    assert not [secret for secret in secrets if secret in str(shown)]


def test_a_full_pipe_drops_and_says_so(pipe: Pipe) -> None:
    log = Log(fd=pipe.fd, generation=3)
    lines: list[bytes] = []
    log.write_to(lines.append)
    while not log.dropped:
        log.info("x" * 1000)
    for _ in range(9):
        log.info("x" * 1000)
    assert log.dropped == 10
    pipe.read()
    log.info("after")
    note, line = pipe.read().strip().split(b"\n")
    assert note == b"(10 log lines dropped)" and line.endswith(b"after")
    assert len(lines) > 10 and lines[-1].endswith(b"after\n"), "the file misses nothing"


def test_a_line_that_was_cut_ends_before_the_next(pipe: Pipe) -> None:
    log = Log(fd=pipe.fd)
    os.set_blocking(pipe.fd, False)
    try:
        while True:
            os.write(pipe.fd, b"." * 4096)
    except BlockingIOError:
        pass
    os.read(pipe.read_fd, 4096)
    log.info("x" * 6000)
    pipe.read()
    log.info("after")
    assert pipe.read().startswith(b"\n(1 log lines dropped)\n")


def test_no_stderr_is_no_error() -> None:
    log = Log(fd=10_000)
    log.info("x")
    assert log.dropped == 1


def test_a_reader_that_left_is_no_error() -> None:
    read_fd, fd = os.pipe()
    os.close(read_fd)
    log = Log(fd=fd)
    log.info("x")
    os.close(fd)
    assert log.dropped == 1


def test_threads_do_not_mix_lines(pipe: Pipe) -> None:
    log = Log(fd=pipe.fd)
    threads = [
        threading.Thread(target=lambda: [log.info("x" * 100) for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    lines = pipe.read().splitlines()
    assert len(lines) == 200 and {len(line) for line in lines} == {len(lines[0])}
