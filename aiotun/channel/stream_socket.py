"""Making stream sockets: their options, connecting, and the handshakes before the first packet."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs

from ..endpoint import FdReadiness
from ..errors import DeviceError, DeviceGone, device_error
from .stream import READ_SIZE
from .stream_framing import Framing
from .udp_address import Address, address_text

__all__ = ["StreamOptions", "connect_tcp", "connect_unix", "establish"]

T = TypeVar("T")

RETRY = 0.01
"""Seconds until a unix socket whose backlog is full is tried again; it tells nobody when it has room."""

# Linux asm-generic/socket.h and include/uapi/linux/tcp.h, where Python does not name them.
SO_MARK = getattr(socket, "SO_MARK", 36)
SO_BINDTODEVICE = getattr(socket, "SO_BINDTODEVICE", 25)
TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 18)


@attrs.frozen(kw_only=True)
class StreamOptions:
    """What is asked of the socket under a stream; None leaves it to the system. For unix sockets the buffers only."""

    no_delay: bool = True
    """Send what there is at once (TCP_NODELAY): batches are whole already, and packets are waited for."""
    keepalive: int | None = None
    """Ask a silent peer whether it is there after so many seconds, and give up after three more times as long."""
    user_timeout: float | None = None
    """Give up when the peer has not acknowledged what was sent for so many seconds (TCP_USER_TIMEOUT, RFC 5482)."""
    mark: int | None = None
    """Mark what is sent, for routing rules and filters (SO_MARK): so a tunnel's own packets stay out of it."""
    device: str | None = None
    """The interface to send and receive on, whatever the routes say (SO_BINDTODEVICE)."""
    send_buffer: int | None = None
    """Bytes of the kernel's send buffer, which it doubles (SO_SNDBUF): what a slow peer leaves with us."""
    receive_buffer: int | None = None
    """Bytes of the kernel's receive buffer, which it doubles (SO_RCVBUF)."""

    def apply(self, sock: socket.socket, name: str) -> None:
        """
        Set the options, of a socket not yet connected or just accepted.

        Raises:
            PermissionError: If a mark or an interface may not be set; the text names the remedy.
            DeviceError: If the system refuses for another reason.
        """
        values: list[tuple[str, int, int, int | bytes | None]] = [
            ("a send buffer", socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer),
            ("a receive buffer", socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer),
        ]
        if sock.family != getattr(socket, "AF_UNIX", None):
            values += self._of_tcp()
        for what, level, option, value in values:
            if value is None:
                continue
            try:
                sock.setsockopt(level, option, value)
            except PermissionError as error:
                remedy = f"{name}: may not set {what}; it takes CAP_NET_ADMIN (a mark) or CAP_NET_RAW (an interface)"
                raise PermissionError(error.errno, remedy) from error
            except OSError as error:
                raise device_error(error, f"{name}: cannot set {what} ({value!r}): {error.strerror}") from error

    def _of_tcp(self) -> list[tuple[str, int, int, int | bytes | None]]:
        tcp, alive = socket.IPPROTO_TCP, self.keepalive
        timeout = None if self.user_timeout is None else int(self.user_timeout * 1000)
        return [
            ("no delay", tcp, socket.TCP_NODELAY, int(self.no_delay)),
            ("keepalive", socket.SOL_SOCKET, socket.SO_KEEPALIVE, None if alive is None else 1),
            ("the time to keepalive", tcp, getattr(socket, "TCP_KEEPIDLE", 4), alive),
            ("the time between keepalives", tcp, getattr(socket, "TCP_KEEPINTVL", 5), alive),
            ("the number of keepalives", tcp, getattr(socket, "TCP_KEEPCNT", 6), None if alive is None else 3),
            ("a user timeout", tcp, TCP_USER_TIMEOUT, timeout),
            ("a mark", socket.SOL_SOCKET, SO_MARK, self.mark),
            ("an interface", socket.SOL_SOCKET, SO_BINDTODEVICE, None if self.device is None else self.device.encode()),
        ]


async def connect_tcp(host: str, port: int, local: Address | None, options: StreamOptions) -> socket.socket:
    """
    Return a socket connected to *host*: to the first of its addresses that answers, in the system's order.

    Raises:
        DeviceError: If none does; the text has each address and its reason.
        OSError: If a name cannot be looked up.
    """
    loop = asyncio.get_running_loop()
    name = f"tcp {address_text((host, port))}"
    refusals: list[tuple[str, OSError]] = []
    for family, _, _, _, there in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setblocking(False)
            options.apply(sock, name)
            try:
                if local is not None:
                    here = await loop.getaddrinfo(*local, family=family, type=socket.SOCK_STREAM)
                    sock.bind(here[0][4])
                await loop.sock_connect(sock, there)
            except OSError as error:
                refusals.append((str(there[0]), error))
                continue
            undo.pop_all()
            return sock
    reasons = {where: os.strerror(error.errno) if error.errno else str(error) for where, error in refusals}
    why = ", ".join(reasons.values() if set(reasons) == {host} else (f"{at}: {why}" for at, why in reasons.items()))
    way = f"from {address_text(local)} to" if local else "to"
    first = refusals[0][1]
    raise device_error(first, f"tcp: cannot connect {way} {address_text((host, port))}: {why}") from first


async def connect_unix(path: str, options: StreamOptions) -> socket.socket:
    """Return a socket connected to the unix socket *path*; raise DeviceError if it cannot be."""
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.setblocking(False)
        options.apply(sock, f"unix {path}")
        while True:
            try:
                # Not the loop's sock_connect(): EAGAIN is a full backlog here, and it would take it for "in progress".
                sock.connect(path)
                break
            except BlockingIOError:
                await asyncio.sleep(RETRY)
            except OSError as error:
                raise device_error(error, f"unix: cannot connect to {path}: {error.strerror}") from error
        undo.pop_all()
    return sock


async def establish(sock: socket.socket, name: str, framing: Framing) -> None:
    """
    Do the handshakes of *framing* over *sock*, which stays the caller's.

    Raises:
        DeviceGone: If the peer goes, or refuses.
        StreamBroken: If it does not speak the protocol, or cannot be trusted.
    """
    readable = FdReadiness(f"in the handshake of {name}", sock.fileno())
    writable = FdReadiness(f"in the handshake of {name}", sock.fileno(), writing=True)
    try:
        while True:
            answer = memoryview(framing.answer())
            while answer:
                answer = answer[await _when(writable, partial(sock.send, answer)) :]
            if framing.established:
                return
            framing.take(0)  # says so if it cannot be any more
            chunk = await _when(readable, partial(sock.recv, READ_SIZE))
            if not chunk:
                raise framing.ended()
            framing.feed(chunk)
    except (DeviceError, asyncio.CancelledError):
        raise
    except OSError as error:
        message = f"{name}: the connection was lost in the handshake: {error.strerror}"
        raise DeviceGone(message, error.errno) from error
    finally:
        readable.disarm()
        writable.disarm()


async def _when(ready: FdReadiness, attempt: Callable[[], T]) -> T:
    """Return what *attempt* does, tried again whenever it is ready."""
    while True:
        try:
            return attempt()
        except (BlockingIOError, InterruptedError):
            await ready.wait()
