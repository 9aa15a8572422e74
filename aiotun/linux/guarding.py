"""A guardian, seen from its owner: started, told each step, asked to undo or to let be."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from typing import Any

from .guardian import MESSAGE, Step
from .small_programs import no_standard_stream, python, reap

__all__ = ["Guardian"]

PROGRAM = "guardian.py"

PATIENCE = 30.0
"""Seconds for an answer; it takes milliseconds, or as long as a program that is run."""


BLOCKED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""What must not end it: who stops a service signals all its processes, and the guardian's work comes after that."""


_GUARDIANS: set[Guardian] = set()
"""Those of this process that have not ended."""


class Guardian:
    """
    The process that undoes this one's changes should this one be killed. Whoever starts it ends it.

    Starting takes some milliseconds, in which it is not waited for: what it is told, it reads later.

    Args:
        netlink: A route socket of the network that is changed; the guardian's from now on.
    """

    def __init__(self, netlink: socket.socket) -> None:
        with contextlib.ExitStack() as close:
            close.enter_context(netlink)
            close.enter_context(no_standard_stream())
            route = close.enter_context(netlink.dup())  # the one given may be a standard stream's number
            control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            close.enter_context(theirs)
            with contextlib.ExitStack() as undo:
                undo.enter_context(control)
                owner = os.pidfd_open(os.getpid())  # for this process's children hold its end of the socket, too
                close.callback(os.close, owner)
                self._process = _start(theirs.fileno(), owner, route.fileno())
                undo.pop_all()
        self._control = control
        self._control.settimeout(PATIENCE)
        try:
            _introduce(self)
        except BaseException:
            self._end()
            raise

    @property
    def pid(self) -> int:
        """The process to look for in a list of processes."""
        return self._process.pid

    def add(self, step: Step, fds: Sequence[int] = ()) -> None:
        """
        Tell a step that is about to be made.

        Raises:
            OSError: If nobody is there to be told.
        """
        socket.send_fds(self._control, [json.dumps({"step": step}).encode()], fds)

    def wait_for(self, younger: int) -> None:
        """Tell the pidfd of a guardian that undoes first, should the owner be killed. Gone by now, it need not know."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._control, [b'{"younger": true}'], [younger])

    def forget(self) -> None:
        """Take the last step back: it was not made."""
        self._control.send(b'{"forget": true}')

    def undo(self) -> Any:
        """Have every step undone and end; return a list of what could not be, or None if nobody is there to ask."""
        try:
            self._control.send(b'{"undo": true}')
            answer = self._control.recv(MESSAGE)
        except OSError:
            answer = b""
        self._end()
        return json.loads(answer) if answer else None

    def keep(self) -> None:
        """Let every change be, and end."""
        try:
            self._control.send(b'{"keep": true}')
        except OSError:
            pass  # it is gone, and did not undo either
        self._end()

    def abandon(self) -> None:
        """Give it up in a forked child: it is the parent's."""
        _GUARDIANS.discard(self)
        self._process.returncode = 0  # it is the parent's to wait for
        self._control.close()

    def _end(self) -> None:
        _GUARDIANS.discard(self)
        self._control.close()
        reap(self._process, PATIENCE)


def _introduce(guardian: Guardian) -> None:
    """Make a guardian known to those that were there before."""
    process = os.pidfd_open(guardian.pid)
    try:
        for older in tuple(_GUARDIANS):
            older.wait_for(process)
    finally:
        os.close(process)
    _GUARDIANS.add(guardian)


def _start(*fds: int) -> subprocess.Popen[bytes]:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)  # which it inherits
    try:
        return subprocess.Popen(
            [*python(PROGRAM, "guardian"), *map(str, fds)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=fds,
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
