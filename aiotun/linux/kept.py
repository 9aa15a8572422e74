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
import socket
import subprocess
import threading
from array import array
from typing import Any, Self

from ..endpoint.forking import abandon_in_child, close_copy
from ..errors import DeviceClosed, DeviceGone
from .constants import CLONE_DEVICE
from .keeper import NAMESPACES
from .refusals import no_namespace
from .small_programs import no_standard_stream, python, reap

__all__ = ["KeptNamespace"]

KEEPER = "keeper.py"
ENTERING = "entering.py"

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
        self.abandoned = False
        """Whether this is a forked child's copy, which has nothing to close."""
        abandon_in_child(self)

    @classmethod
    def start(cls) -> Self:
        """
        Make the namespaces, with lo up.

        Raises:
            PermissionError, DeviceError: If this user may not have them; the text names what forbids it.
        """
        with no_standard_stream():
            return cls._start(python(KEEPER, "private host"))

    @classmethod
    def _start(cls, keeper: list[str]) -> Self:
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        owner = -1
        try:
            owner = os.pidfd_open(os.getpid())  # for the children this process may fork hold its end of the socket, too
            process = subprocess.Popen(
                [*keeper, str(theirs.fileno()), str(owner)],
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
            if owner != -1:
                os.close(owner)
        kept = cls(process, control)
        try:
            answer, kept._namespaces = kept._receive()
            if answer:
                raise no_namespace(answer["errno"], answer["doing"])
            if not kept._namespaces:
                raise _no_room()
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

    def open(self, path: str) -> int:
        """Open a file of /proc/sys inside; see Origin."""
        return self._ask("open", path)

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
        return [*python(ENTERING, "private host"), *map(str, fds), *command], fds

    def open_network(self) -> int:
        """Open the network namespace once more; the descriptor is the caller's."""
        with self._lock:
            if not self._namespaces:
                raise DeviceClosed(CLOSED)
            return os.dup(self._namespaces[-1])

    def close(self) -> None:
        """End the keeper, and with it every program inside; wait for that. Idempotent."""
        with self._lock:
            self._hang_up()
            fds, self._namespaces = self._namespaces, []
            for fd in fds:
                os.close(fd)
            if self._process.returncode is None:
                reap(self._process, PATIENCE)

    def abandon(self) -> None:
        """See Abandoning: what a child closed as its own, it would close for its parent."""
        self.abandoned = True
        self._lock = threading.Lock()  # a thread of the parent may have held it
        self._process.returncode = 0  # it is the parent's to wait for
        self._control.close()
        fds, self._namespaces = self._namespaces, []
        for fd in fds:
            close_copy(fd)

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
                answer, fds = self._receive()
            except BrokenPipeError as error:
                raise DeviceGone(ENDED) from error
            except BaseException:  # what a signal interrupted among them: a late answer must not be taken for another
                self._hang_up()
                raise
        if answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        if not fds:
            raise _no_room()
        return fds[0]

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        """Return the next message and its descriptors, of which the keeper has no copy any more; none without room."""
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
                return answer, []
            undo.pop_all()
        return answer, fds

    def _heard(self, *arguments: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        """Receive one message."""
        try:
            heard = self._control.recvmsg(*arguments)
        except TimeoutError as error:
            raise DeviceGone(f"private host: no answer within {PATIENCE:.0f} s") from error
        except ConnectionResetError as error:
            raise DeviceGone(ENDED) from error
        if not heard[0]:
            raise DeviceGone(ENDED)
        return heard


def _no_room() -> OSError:
    return OSError(errno.EMFILE, os.strerror(errno.EMFILE))
