"""Making the socket of a UDP channel: addresses, buffers, and whose fault it is if that fails."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

from ..endpoint import Opening
from ..errors import DeviceBusy, DeviceError, device_error
from .udp import UdpChannel, UdpPort

__all__ = ["BUFFER", "open_udp", "open_udp_pair"]

Address = tuple[str, int]

BUFFER = 4 << 20
"""Bytes asked for each way of a socket: about 1700 datagrams of 1420 bytes, as the kernel counts them."""

# Linux asm-generic/socket.h: like SO_SNDBUF and SO_RCVBUF, beyond net.core.*mem_max with CAP_NET_ADMIN.
FORCED = {socket.SO_SNDBUF: 32, socket.SO_RCVBUF: 33}


def open_udp(local: Address | None, remote: Address) -> Opening[UdpChannel]:
    """
    Open a UDP channel to *remote*; await the result, or enter it with ``async with``.

    Only datagrams from *remote* are received. May wait for a name to be looked up.

    Args:
        local: Host and port to receive on; port 0 is any free one. None leaves both to the system.
        remote: The peer's host and port.

    Raises:
        ValueError: If the remote port is 0.
        DeviceBusy: If the local port is taken.
        DeviceError: If the local address isn't ours, or the system refuses for another reason.
        OSError: If a name cannot be looked up, or has no address of the peer's family.
    """

    async def open() -> UdpChannel:
        if not 0 < remote[1] < 65536:
            raise ValueError(f"udp: no datagram can be sent to port {remote[1]} of {remote[0]}")
        loop = asyncio.get_running_loop()
        family, _, _, _, there = (await loop.getaddrinfo(*remote, type=socket.SOCK_DGRAM))[0]
        here = None
        if local is not None:
            here = (await loop.getaddrinfo(*local, family=family, type=socket.SOCK_DGRAM))[0][4]
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            try:
                if here is not None:
                    sock.bind(here)
                sock.connect(there)
            except OSError as error:
                raise _refused(error, local, remote) from error
            undo.pop_all()
        return _channel(sock)

    return Opening(open)


async def open_udp_pair(host: str = "127.0.0.1") -> tuple[UdpChannel, UdpChannel]:
    """Open two channels that are each other's peer, on free ports of *host*; the caller closes both."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as undo:
        one, other = (undo.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(2))
        try:
            for sock in (one, other):
                sock.bind((host, 0))
            one.connect(other.getsockname())
            other.connect(one.getsockname())
        except OSError as error:
            raise _refused(error, (host, 0), (host, 0)) from error
        undo.pop_all()
    return _channel(one), _channel(other)


def _channel(sock: socket.socket) -> UdpChannel:
    sock.setblocking(False)
    for option, forced in FORCED.items():
        _enlarge(sock, option, forced)
    host, port = sock.getpeername()[:2]
    return UdpChannel(UdpPort(sock, f"udp {_text((host, port))}"))


def _enlarge(sock: socket.socket, option: int, forced: int) -> None:
    """Ask for a generous buffer, by right if we have it; what the system then grants is enough to work with."""
    if hasattr(socket, "SO_PASSCRED"):  # Linux, where the forced options are
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER)
            return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)


def _refused(error: OSError, local: Address | None, remote: Address) -> DeviceError:
    way = f"from {_text(local)} to {_text(remote)}" if local else f"to {_text(remote)}"
    message = f"udp: cannot open a channel {way}: {error.strerror}"
    if error.errno == errno.EADDRINUSE:
        return DeviceBusy(message, error.errno)
    return device_error(error, message)


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
