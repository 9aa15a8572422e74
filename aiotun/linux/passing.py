"""
Passing open devices between processes, over a unix socket (SCM_RIGHTS of unix(7)).

asyncio's own sock_recv() and sock_sendall() carry no descriptors, so this waits for the socket to be ready and then
calls sendmsg() and recvmsg() itself. It waits on a duplicate: the loop may be watching the socket already.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from array import array
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ..endpoint import FdReadiness, Tap, Tun, WhenDown
from ..errors import DeviceClosed, DeviceError
from .tunfile import TunFile

__all__ = [
    "HasFileno",
    "receive_descriptors",
    "receive_tap",
    "receive_tun",
    "send_descriptors",
    "send_endpoint",
]

INT = array("i").itemsize

SPARE = 64
"""Bytes for what else may come with a message, SCM_CREDENTIALS or SCM_SECURITY: without room it costs descriptors."""

T = TypeVar("T")
E = TypeVar("E", Tun, Tap)


class HasFileno(Protocol):
    """A socket, or what asyncio's ``transport.get_extra_info("socket")`` gives."""

    def fileno(self) -> int: ...


async def send_endpoint(sock: HasFileno, endpoint: Tun | Tap) -> None:
    """
    Give the device of *endpoint* to the process at the other end of a unix socket; the endpoint is closed.

    One byte is sent, with the descriptor: receive_tun() or receive_tap() takes it, and so does recvmsg() of any
    program. Waits while the socket is full. If cancelled or refused, nothing was sent and the endpoint is as before.
    Packets in the kernel's queue go with the device; those read ahead remain here, for recv_nowait(). What was set
    beyond the device when it was opened stays set, as after detach_fd(). What a BrokerHost opened stays bound to that
    host: it goes when the host is closed.

    Args:
        sock: A connected unix socket, blocking or not, of the type stream, datagram or sequential packets.

    Raises:
        DeviceClosed: If the endpoint is closed.
        DeviceError: If it has no device of the kernel behind it.
        OSError: If the socket refuses.
    """
    if endpoint.closed:
        raise DeviceClosed(f"{endpoint.name}: the endpoint is closed")
    fd = endpoint.fileno()
    try:
        TunFile(fd, 0).interface()
    except OSError as error:
        raise DeviceError(f"{endpoint.name}: there is no device of the kernel to be passed", error.errno) from error
    await send_descriptors(sock, [fd], b"\0")
    os.close(endpoint.detach_fd())  # at once, and not in a thread: a cancel from now on would be too late


async def receive_tun(sock: HasFileno, *, when_down: WhenDown = "wait") -> Tun:
    """
    Adopt a tun that the process at the other end of a unix socket sends; see send_endpoint() and Tun.from_fd().

    Takes one byte, and the one descriptor with it; waits for them. Canceling is safe: a descriptor is adopted or
    still in the socket. What cannot be adopted is closed.

    Args:
        sock: A connected unix socket, blocking or not; it stays the caller's.
        when_down: What receiving does while the interface is down.

    Raises:
        EOFError: If the other end was closed.
        OSError: If no descriptor came, or several, or one that is not a tun with plain packets on it; or EMFILE.
    """
    return await _receive(sock, lambda fd: Tun.from_fd(fd, when_down=when_down))


async def receive_tap(sock: HasFileno, *, when_down: WhenDown = "wait") -> Tap:
    """Adopt a tap that the process at the other end of a unix socket sends; as receive_tun()."""
    return await _receive(sock, lambda fd: Tap.from_fd(fd, when_down=when_down))


async def _receive(sock: HasFileno, adopt: Callable[[int], E]) -> E:
    message, fds = await receive_descriptors(sock, 1, 1)
    if not message:
        raise EOFError("unix socket: the other end was closed, no device came")
    if not fds:
        raise OSError(errno.EBADMSG, "unix socket: a message without a descriptor came, a device was expected")
    try:
        return adopt(fds[0])
    except BaseException:
        os.close(fds[0])
        raise


async def send_descriptors(sock: HasFileno, fds: Sequence[int], message: bytes) -> None:
    """
    Send *message*, and with it descriptors, which stay open here and the caller's.

    Waits while the socket is full. If cancelled, nothing was sent. On a stream the message must be short, for it is
    sent once; no more than 253 descriptors fit (SCM_MAX_FD of Linux include/net/scm.h).
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
    flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
    await _when_ready(sock, lambda own: own.sendmsg([message], rights, flags), writing=True)


async def receive_descriptors(sock: HasFileno, size: int, limit: int) -> tuple[bytes, list[int]]:
    """
    Return the next message, of *size* bytes at most, and the descriptors that came with it: the caller's.

    They are close-on-exec. Waits for a message; canceling is safe. ``(b"", [])`` when the other end was closed.
    Whatever is wrong with a message, no descriptor of it stays open.

    Raises:
        OSError: EMSGSIZE if a message is longer or has more than *limit* descriptors, EMFILE if this process may
            not have so many.
    """
    room = socket.CMSG_SPACE((limit + 1) * INT) + SPARE  # for one too many, to tell it from EMFILE
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    # Not recv_fds(), which in Python 3.11 loses the flags.
    message, ancillary, told, _ = await _when_ready(sock, lambda own: own.recvmsg(size, room, flags))
    with contextlib.ExitStack() as undo:
        fds = array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content[: len(content) - len(content) % INT])
        for fd in fds:
            undo.callback(os.close, fd)
        if told & socket.MSG_TRUNC:
            raise OSError(errno.EMSGSIZE, f"unix socket: a message of more than {size} bytes came")
        if len(fds) > limit:
            raise OSError(errno.EMSGSIZE, f"unix socket: {len(fds)} descriptors or more came, {limit} may")
        if told & socket.MSG_CTRUNC:
            raise OSError(errno.EMFILE, "unix socket: no descriptor is free for what came; raise `ulimit -n`")
        undo.pop_all()
    return message, fds.tolist()


async def _when_ready(sock: HasFileno, operation: Callable[[socket.socket], T], *, writing: bool = False) -> T:
    """Return what the operation returns once it does not block; nothing is awaited after it."""
    with socket.socket(fileno=os.dup(sock.fileno())) as own:
        what = "passing descriptors" if writing else "receiving descriptors"
        ready = FdReadiness(what, own.fileno(), writing=writing)
        try:
            while True:
                try:
                    return operation(own)
                except BlockingIOError:
                    await ready.wait()
        finally:
            ready.disarm()
