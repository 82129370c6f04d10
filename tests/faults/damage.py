"""What may happen to a file of the state directory between two looks at it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def one_bit_off(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def nothing_but_its_head(path: Path) -> None:
    path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def too_large(path: Path) -> None:
    os.truncate(path, 1 << 30)


def of_another_version(path: Path) -> None:
    """The first digit in it, which tells the version where one is told, is another one."""
    content = path.read_bytes()
    at = next(n for n, byte in enumerate(content) if chr(byte).isdigit())
    path.write_bytes(content[:at] + b"9" + content[at + 1 :])


DAMAGES: Final[tuple[Callable[[Path], None], ...]] = (
    halved,
    emptied,
    one_bit_off,
    garbage,
    nothing_but_its_head,
    of_another_version,
    a_directory,
    a_dangling_link,
    too_large,
)
