"""Memory that two processes can map, known by a descriptor."""

import os
import sys
import tempfile


def shared_memory(name: str, size: int) -> int:
    """Return a descriptor of *size* zeroed bytes, close-on-exec. They take room as they are used.

    Raises:
        OSError: no descriptor or no memory is left.
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
