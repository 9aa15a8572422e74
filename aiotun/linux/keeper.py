"""
The process that keeps a private network: a program, run by path with nothing but the standard library.

``keeper.py CONTROL OWNER``, two descriptors: a SOCK_SEQPACKET socket to serve, and a pidfd of the process to die
with. It enters a user, network and PID namespace of its own, brings up lo, and then answers requests, one message
each, with a descriptor made inside. A message is JSON: ``{"open": path}`` or ``{"socket": [family, type, proto]}``,
answered by ``{}`` with the descriptor, and by an empty list once the keeper's own copy of it is closed; or by
``{"errno": number, "doing": what}``. The first message is the keeper's, with the namespaces, or what was refused.

Two processes, since a PID namespace begins with a child. That child is its init: with it the kernel ends every
program inside, however the child ended. It ends when its owner does, or closes the socket, or its parent is killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["NAMESPACES", "main"]

# Linux include/uapi/linux/sched.h
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

NAMESPACES = ("user", "pid", "net")
"""The namespaces of the first message, under their names in /proc; in the order in which they can be entered."""

PR_SET_PDEATHSIG = 1  # Linux include/uapi/linux/prctl.h

# Linux include/uapi/linux/sockios.h and if.h
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
IFREQ = struct.Struct("16sH22x")

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Make the namespaces, and keep them."""
    control, owner = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    os.chdir("/")  # so as to keep no directory busy
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not _make_namespaces(control):
        sys.exit(1)
    child = os.fork()
    if child:
        control.close()  # the owner shall see the child's end of it close
        os.waitpid(child, 0)
        os._exit(0)
    else:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the orphans that an init inherits
        _tell(control, {}, [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in NAMESPACES])
        _serve(control, owner)
        os._exit(0)


def _make_namespaces(control: socket.socket) -> bool:
    """Enter namespaces of this process's own, as their root, and bring up lo; tell what was refused."""
    uid, gid = os.geteuid(), os.getegid()
    doing = "make a user, network and PID namespace"
    try:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "")
        doing = "be root of the user namespace"
        Path("/proc/self/setgroups").write_text("deny")  # without which nobody but root may map groups
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        doing = "bring up lo"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            fcntl.ioctl(sock, SIOCSIFFLAGS, IFREQ.pack(b"lo", IFF_UP))
    except OSError as error:
        _tell(control, {"errno": error.errno, "doing": doing})
        return False
    return True


def _serve(control: socket.socket, owner: int) -> None:
    """Answer requests until there will be no more, or the owner ended."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(owner, select.POLLIN)
    while owner not in dict(poll.poll()) and (request := control.recv(4096)):
        _answer(control, json.loads(request))


def _answer(control: socket.socket, request: dict[str, object]) -> None:
    ((doing, what),) = request.items()
    try:
        fd = _open(what) if isinstance(what, str) else socket.socket(*what).detach()  # type: ignore[misc]
    except OSError as error:
        _tell(control, {"errno": error.errno, "doing": doing})
    else:
        _tell(control, {}, [fd])


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)


def _tell(control: socket.socket, message: dict[str, object], fds: Sequence[int] = ()) -> None:
    """Send a message, and with it descriptors that are the other side's alone afterwards."""
    try:
        socket.send_fds(control, [json.dumps(message).encode()], fds)
        for fd in fds:
            os.close(fd)
        if fds:  # until now, a device that the other side closes would not have been deleted
            control.send(b"[]")
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # nobody is there any more


if __name__ == "__main__":
    main()
