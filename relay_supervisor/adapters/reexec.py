"""Going on in this process with other code: `execve`, with the state in a file without a name.

What is not undone at a failure must not be done here: until `execve` succeeds the old code serves,
and after it the new code has changed nothing until it has read the state and built itself up.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from relay_supervisor import memory_file

TRIES_MAX: Final = 200
"""So often code that does not come up is tried, new and old by turns, before the relay is lost."""

PROGRAM: Final = """\
# mcp-relay, after relayctl swap --supervisor
import os, sys, time
state, left, role, why, *codes = sys.argv[1:]
try:
    import site
    site.main()
    from relay_supervisor.main import resume
    go_on = resume(int(state), why if role == "old" else "")
except BaseException as error:
    if left == "0":
        raise
    if role == "new":
        why = "its code failed before it took over: " + ascii(error)[:400]
    else:
        time.sleep(0.2)  # somebody may be writing the files of both: they will be whole again
    program = sys.orig_argv[sys.orig_argv.index("-c") + 1]
    for role in {"new": ("old", "new"), "old": ("new", "old")}[role]:
        python, flags = codes[:2] if role == "new" else codes[2:]
        argv = [python, *flags.split(), "-c", program, state, str(int(left) - 1), role, why]
        try:
            os.execv(python, argv + codes)
        except OSError:
            pass
    raise
go_on()
"""
"""What the new interpreter runs, without anybody's site packages at first: should the new code not
even import, the old one gets its state back. Part of the contract between releases: `resume`."""


class Code(msgspec.Struct, frozen=True):
    """An interpreter, whose environment has the code."""

    python: str
    own: bool
    """The one the relay was started with; any other heeds no paths of the client's environment."""

    def flags(self) -> list[str]:
        """Return the interpreter's options. -P: the working directory is the user's project."""
        return ["-P", "-S"] if self.own else ["-E", "-P", "-S"]


@contextlib.contextmanager
def signals_held() -> Iterator[list[int]]:
    """Let all signals wait, also over `execve`; give the mask from before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield [int(number) for number in before]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release_signals(mask: Sequence[int]) -> None:
    """Let signals come again."""
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def become(code: Code, before: Code, state: bytes, keep: Sequence[int]) -> str:
    """Go on with *code*, which gets *state* and the descriptors *keep*, and *before* should it not
    come up. Returns only if that failed: the reason, with everything as it was.
    """
    try:
        fd = memory_file.write("state", state)
    except OSError as error:
        return f"there is no memory for its state: {error}"
    try:
        for kept in (fd, *keep):
            os.set_inheritable(kept, True)
        argv = [code.python, *code.flags(), "-c", PROGRAM, str(fd), str(TRIES_MAX), "new", ""]
        for one in (code, before):
            argv += [one.python, " ".join(one.flags())]
        os.execv(code.python, argv)  # noqa: S606 - no shell is wanted
    except (OSError, ValueError) as error:
        reason = f"{code.python} cannot be run: {error}"
    keep_private(keep)
    os.close(fd)
    return reason


def keep_private(descriptors: Sequence[int]) -> None:
    """Let no child inherit these any more."""
    for fd in descriptors:
        with contextlib.suppress(OSError):
            os.set_inheritable(fd, False)
