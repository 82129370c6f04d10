"""For the tests of the bench: a contestant with a fault. It dies of large lines."""

from tests.bench import echo_backend, framing

LINE_BYTES_MAX = 100_000


class WeakSplitter(framing.Splitter):
    """Gives up where a line gets too long."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """As its base, with a limit."""
        lines = super().feed(data)
        self._size = 0 if lines else self._size + len(data)
        if self._size > LINE_BYTES_MAX:
            raise SystemExit("the line is too long for me")
        return lines


if __name__ == "__main__":
    echo_backend.Splitter = WeakSplitter  # type: ignore[misc]
    echo_backend.main()
