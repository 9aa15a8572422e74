"""Making the socket of a UDP channel or server: addresses, options, and whose fault it is if that fails."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, Unpack, get_args

from ..endpoint import Carries, Opening
from ..errors import DeviceBusy, DeviceError, device_error
from .udp import UdpChannel, UdpPort
from .udp_address import Address, address_of, address_text
from .udp_demux import Demux
from .udp_options import UdpOptions, configure, tell_local
from .udp_server import UdpServer
from .udp_socket import UdpSocket

__all__ = ["open_udp", "open_udp_pair", "serve_udp"]

T = TypeVar("T")

CARRIES = get_args(Carries)

WILDCARDS = ("0.0.0.0", "::")

LOW_PORT = (
    "to receive on a port below 1024 takes CAP_NET_BIND_SERVICE, and to send to a broadcast address is not for a VPN"
)


def open_udp(
    local: Address | None, remote: Address, *, carries: Carries | None = None, **options: Unpack[UdpOptions]
) -> Opening[UdpChannel]:
    """
    Open a UDP channel to *remote*; await the result, or enter it with ``async with``.

    Only datagrams from *remote* are received. May wait for a name to be looked up.

    Args:
        local: Host and port to receive on; port 0 is any free one. None leaves both to the system.
        remote: The peer's host and port.
        carries: What the packets are, for super-packets: the channel then takes them whole, cuts them as it sends them,
            and gives those it receives to who asks with ``superpackets=True``, as pump() does. For a tunnel that
            changes no packet on the way; with None a packet is any bytes.
        options: See UdpOptions.

    Raises:
        ValueError: If the remote port is 0, or an option is no value.
        DeviceBusy: If the local port is taken.
        PermissionError: If an option takes a right that this process lacks.
        DeviceError: If the local address isn't ours, or the system refuses for another reason.
        OSError: If a name cannot be looked up, or has no address of the peer's family.
    """

    _check_carries(carries)

    async def open() -> UdpChannel:
        if not 0 < remote[1] < 65536:
            raise ValueError(f"udp: no datagram can be sent to port {remote[1]} of {remote[0]}")
        family, there = await _looked_up(remote)
        here = None if local is None else (await _looked_up(local, family))[1]
        way = f"from {address_text(local)} to {address_text(remote)}" if local else f"to {address_text(remote)}"

        def connect(sock: socket.socket) -> None:
            if here is not None:
                sock.bind(here)
            sock.connect(there)

        return _made(family, options, f"open a channel {way}", connect, lambda sock: _channel(sock, carries, options))

    return Opening(open)


def serve_udp(
    local: Address, *, dual_stack: bool = True, unknown_limit: int = 256, **options: Unpack[UdpOptions]
) -> Opening[UdpServer]:
    """
    Open a UDP socket for many peers; await the result, or enter it with ``async with``.

    Args:
        local: Host and port to receive on; port 0 is any free one. ``::`` is any address, ``0.0.0.0`` any of IPv4.
            On these a peer is answered from the address that it sent to.
        dual_stack: Whether ``::`` is IPv4's too. Its addresses look as they do on an IPv4 socket.
        unknown_limit: Datagrams of nobody known that may wait.
        options: See UdpOptions.

    Raises:
        ValueError: If an option is no value.
        DeviceBusy: If the port is taken.
        PermissionError: If an option takes a right that this process lacks.
        DeviceError: If the address isn't ours, or the system refuses for another reason.
        OSError: If a name cannot be looked up.
    """

    async def open() -> UdpServer:
        if unknown_limit < 1:
            raise ValueError(f"udp: there is room for at least 1 datagram of nobody known, not {unknown_limit}")
        family, here = await _looked_up(local)

        def bind(sock: socket.socket) -> None:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
            sock.bind(here)
            if here[0] in WILDCARDS:
                tell_local(sock)

        return _made(
            family,
            options,
            f"open a server at {address_text(local)}",
            bind,
            lambda sock: UdpServer(Demux(_socket(sock, sock.getsockname(), options), unknown_limit)),
        )

    return Opening(open)


async def open_udp_pair(
    host: str = "127.0.0.1", *, carries: Carries | None = None, **options: Unpack[UdpOptions]
) -> tuple[UdpChannel, UdpChannel]:
    """Open two channels that are each other's peer, on free ports of *host*; the caller closes both."""
    _check_carries(carries)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as undo:
        one, other = (undo.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(2))
        with _refusals(f"open a channel from {address_text((host, 0))} to {address_text((host, 0))}"):
            for sock in (one, other):
                configure(sock, options)
                sock.bind((host, 0))
            one.connect(other.getsockname())
            other.connect(one.getsockname())
        undo.pop_all()
    return _channel(one, carries, options), _channel(other, carries, options)


async def _looked_up(address: Address, family: int = 0) -> tuple[int, Any]:
    """Return the family of an address and what the socket module calls it."""
    try:
        found = socket.getaddrinfo(*address, family, socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)  # does not wait
    except socket.gaierror:  # a name
        found = await asyncio.get_running_loop().getaddrinfo(*address, family=family, type=socket.SOCK_DGRAM)
    return found[0][0], found[0][4]


def _made(
    family: int,
    options: UdpOptions,
    doing: str,
    place: Callable[[socket.socket], None],
    make: Callable[[socket.socket], T],
) -> T:
    """Make a socket, configure and place it, and return what *make* makes of it."""
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        configure(sock, options)
        with _refusals(doing):
            place(sock)
        made = make(sock)
        undo.pop_all()
    return made


def _check_carries(carries: Carries | None) -> None:
    if carries not in (None, *CARRIES):
        raise ValueError(f"a channel carries {' or '.join(map(repr, CARRIES))}, not {carries!r}")


def _channel(sock: socket.socket, carries: Carries | None, options: UdpOptions) -> UdpChannel:
    udp = _socket(sock, sock.getpeername(), options)
    if carries is None:
        return UdpChannel(UdpPort(udp))
    from .udp_packet_port import UdpPacketPort  # late: it brings the rooms of packets and of offload

    return UdpChannel(UdpPacketPort(udp, carries))


def _socket(sock: socket.socket, told: Any, options: UdpOptions) -> UdpSocket:
    name = f"udp {address_text(address_of(told))}"
    return UdpSocket(sock, name, mtu=options.get("mtu"), gso=options.get("gso", True), gro=options.get("gro", False))


@contextlib.contextmanager
def _refusals(doing: str) -> Iterator[None]:
    """Say what the system refused to do."""
    try:
        yield
    except DeviceError:
        raise
    except OSError as error:
        message = f"udp: cannot {doing}: {error.strerror}"
        if isinstance(error, PermissionError):
            raise PermissionError(error.errno, f"{message}; {LOW_PORT}") from error
        if error.errno == errno.EADDRINUSE:
            raise DeviceBusy(message, error.errno) from error
        raise device_error(error, message) from error
