"""Files without a name, in memory where the system has that: to be shared with other processes, or
left for the next image of this one. Never more than a descriptor, which goes with its last owner.
"""

import os
import sys

if sys.platform != "linux":
    import tempfile  # with all that it imports it takes 0.7 MB of a process that stays for ever


def make(name: str, size: int = 0) -> int:
    """Return the descriptor of a new file of *size* zero bytes; no child inherits it.

    Raises:
        OSError: no descriptors or no memory are left.
    """
    if sys.platform == "linux":
        fd = os.memfd_create(f"mcp-relay-{name}")
    else:
        fd, path = tempfile.mkstemp(prefix=f"mcp-relay-{name}-")
        os.unlink(path)
    try:
        os.ftruncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd


def write(name: str, data: bytes) -> int:
    """Return the descriptor of a new file with *data* in it.

    Raises:
        OSError: no descriptors or no memory are left.
    """
    fd = make(name)
    try:
        done = 0
        while done < len(data):
            done += os.pwrite(fd, memoryview(data)[done:], done)
    except OSError:
        os.close(fd)
        raise
    return fd


def read(fd: int) -> bytes:
    """Return all that is in the file.

    Raises:
        OSError: it is no descriptor of a file.
    """
    parts: list[bytes] = []
    done = 0
    while part := os.pread(fd, 1 << 30, done):
        parts.append(part)
        done += len(part)
    return b"".join(parts)
