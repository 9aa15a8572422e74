"""
Programs of this package that run in a process of their own, with nothing but the standard library.

They are files of Python beside this one, run by path: a fork of a program with threads and event loops would have
copies of all that, and an import of aiotun would cost each of them its memory and its start.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from pkgutil import get_data

from ..errors import DeviceError

__all__ = ["no_standard_stream", "python", "readable", "reap"]

ISOLATED = ("-I", "-S")
"""Python's options for a program that needs the standard library only: no site-packages, no environment."""


def python(program: str, wanted_by: str) -> list[str]:
    """
    Return the command that runs a program of this package.

    Raises:
        DeviceError: If there is no interpreter to run it.
    """
    if not sys.executable or getattr(sys, "frozen", False):  # which would run the frozen program once more
        message = f"{wanted_by}: sys.executable is no Python interpreter, and it takes one to run {program}"
        raise DeviceError(message, errno.ENOENT)
    path = Path(__file__).with_name(program)
    where = [str(path)] if path.exists() else ["-c", (get_data(__package__, program) or b"").decode()]  # in a zip file
    return [sys.executable, *ISOLATED, *where]


@contextlib.contextmanager
def no_standard_stream() -> Iterator[None]:
    """Let no new descriptor be 0, 1 or 2, where those are closed: in a program they are its standard streams."""
    with contextlib.ExitStack() as stack:
        fd = -1
        while fd <= 2:
            fd = os.open(os.devnull, os.O_RDWR)
            stack.callback(os.close, fd)
        yield


def readable(fds: list[int], seconds: float) -> list[int]:
    """Return which descriptors are ready to be read after at most so many seconds; any number of them, any size."""
    poll = select.poll()  # not select(), which takes no descriptor above 1023
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(max(seconds, 0) * 1000)]


def reap(process: subprocess.Popen[bytes], patience: float) -> None:
    """Wait for a process's end, and kill it if that takes too long. Popen.wait() with a timeout looks every 50 ms."""
    with contextlib.suppress(ProcessLookupError):  # of who ignores SIGCHLD, nobody waits for children
        pidfd = os.pidfd_open(process.pid)
        try:
            if not readable([pidfd], patience):  # somebody stopped it
                process.kill()
        finally:
            os.close(pidfd)
    process.wait()
