"""
A private network, seen from outside: started, asked for descriptors, ended.

Everything that is opened inside is a descriptor of this process afterwards. And whoever made a user namespace has
every right in it (user_namespaces(7)), so the descriptors are enough to make and configure a device from here: the
keeper's process never has to do more than open what it is asked for.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import subprocess
import sys
import threading
from array import array
from pathlib import Path
from typing import Any, Self

from ..errors import DeviceClosed, DeviceGone
from .constants import CLONE_DEVICE
from .keeper import NAMESPACES
from .refusals import no_namespace

__all__ = ["KeptNamespace"]

KEEPER = Path(__file__).with_name("keeper.py")
ENTERING = Path(__file__).with_name("entering.py")

ISOLATED = ("-I", "-S")
"""Python's options for a program that needs the standard library only: no site-packages, no environment."""

PATIENCE = 10.0
"""Seconds for an answer, which takes microseconds, and for an end; then something is wrong with the process."""

MESSAGE = 4096
ANCILLARY = socket.CMSG_SPACE(len(NAMESPACES) * array("i").itemsize)

CLOSED = "private host: it is closed"
ENDED = "private host: the process that keeps it has ended"


class KeptNamespace:
    """
    A user, PID and network namespace, and the process that keeps them. Whoever starts it closes it.

    Calls block: start() for some 25 ms, close() for 2, the others for 0.2. They may come from any thread.
    """

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._control.settimeout(PATIENCE)
        self._namespaces: list[int] = []
        self._lock = threading.Lock()

    @classmethod
    def start(cls) -> Self:
        """
        Make the namespaces, with lo up.

        Raises:
            PermissionError, DeviceError: If this user may not have them; the text names what forbids it.
        """
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        owner = os.pidfd_open(os.getpid())  # for the children this process may fork hold its end of the socket, too
        try:
            command = [sys.executable, *ISOLATED, str(KEEPER), str(theirs.fileno()), str(owner)]
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), owner),
                start_new_session=True,  # a Ctrl-C is the owner's to answer
            )
        except BaseException:
            control.close()
            raise
        finally:
            theirs.close()
            os.close(owner)
        kept = cls(process, control)
        try:
            answer, kept._namespaces = kept._receive()
            if answer:
                raise no_namespace(answer["errno"], answer["doing"])
        except BaseException:
            kept.close()
            raise
        return kept

    @property
    def pid(self) -> int:
        """The process to look for in a list of processes; it has one child, the init of the PID namespace."""
        return self._process.pid

    def open_clone_device(self) -> int:
        """Open ``/dev/net/tun`` inside; see Origin."""
        return self._ask("open", CLONE_DEVICE)

    def make_socket(self, family: int, type: int, proto: int) -> socket.socket:
        """Make a socket inside; see Origin."""
        return socket.socket(fileno=self._ask("socket", [family, type, proto]))

    def holds(self, netns: int) -> bool:
        """Return whether the descriptor of a network namespace stands for the one inside."""
        with self._lock:
            return bool(self._namespaces) and os.path.samestat(os.fstat(netns), os.fstat(self._namespaces[-1]))

    def entering(self, command: list[str]) -> tuple[list[str], tuple[int, ...]]:
        """Return the command that runs *command* inside, and the descriptors it must inherit."""
        if not self._namespaces:
            raise DeviceClosed(CLOSED)
        fds = tuple(self._namespaces)
        return [sys.executable, *ISOLATED, str(ENTERING), *map(str, fds), *command], fds

    def close(self) -> None:
        """End the keeper, and with it every program inside; wait for that. Idempotent."""
        with self._lock:
            self._hang_up()
            fds, self._namespaces = self._namespaces, []
            for fd in fds:
                os.close(fd)
            if self._process.returncode is None:
                self._reap()

    def _reap(self) -> None:
        """Wait for the keeper's end; not by Popen.wait(), which with a timeout looks every 50 ms only."""
        ended = os.pidfd_open(self._process.pid)
        try:
            if not select.select([ended], [], [], PATIENCE)[0]:  # somebody stopped it
                self._process.kill()
        finally:
            os.close(ended)
        self._process.wait()

    def _hang_up(self) -> None:
        if self._control.fileno() != -1:
            # Not only closed: a child that this process forked may have it open as well.
            self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()

    def _ask(self, doing: str, what: object) -> int:
        with self._lock:
            if not self._namespaces:
                raise DeviceClosed(CLOSED)
            if self._control.fileno() == -1:
                raise DeviceGone(ENDED)
            try:
                self._control.send(json.dumps({doing: what}).encode())
            except BrokenPipeError as error:
                raise DeviceGone(ENDED) from error
            answer, fds = self._receive()
        if answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        return fds[0]

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        """Return the next message and its descriptors, of which the keeper has no copy any more."""
        with contextlib.ExitStack() as undo:
            # Not recv_fds(), which in Python 3.11 loses the flags.
            message, ancillary, flags, _ = self._heard(MESSAGE, ANCILLARY, socket.MSG_CMSG_CLOEXEC)
            fds = [fd for _, _, rights in ancillary for fd in array("i", rights)]
            for fd in fds:
                undo.callback(os.close, fd)
            answer: dict[str, Any] = json.loads(message)
            if not answer:
                self._heard(MESSAGE)
            if flags & socket.MSG_CTRUNC:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            undo.pop_all()
        return answer, fds

    def _heard(self, *arguments: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        """Receive one message."""
        try:
            heard = self._control.recvmsg(*arguments)
        except TimeoutError as error:  # what is answered later must not be taken for another answer
            self._hang_up()
            raise DeviceGone(f"private host: no answer within {PATIENCE:.0f} s") from error
        except ConnectionResetError as error:
            raise DeviceGone(ENDED) from error
        if not heard[0]:
            raise DeviceGone(ENDED)
        return heard
