"""What a UDP socket shall be: its mark, its interface, its buffers, what it does about the path's mtu."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import Literal, TypedDict

from ..errors import DeviceError, device_error

__all__ = ["BUFFER", "UdpOptions", "configure", "tell_local"]

BUFFER = 4 << 20
"""Bytes asked for each way of a socket: about 1700 datagrams of 1420 bytes, as the kernel counts them."""

PathMtuDiscovery = Literal["dont", "want", "do", "probe", "interface", "omit"]


class UdpOptions(TypedDict, total=False):
    """What is not given stays the system's choice."""

    mtu: int
    """Bytes of the longest packet to send, from 1 up; what a datagram can have, if not given."""
    mark: int
    """SO_MARK of every datagram sent, for rules and firewalls; takes CAP_NET_ADMIN, or CAP_NET_RAW since Linux 5.17."""
    device: str
    """The interface to send and receive by, and no other (SO_BINDTODEVICE)."""
    buffer: int
    """Bytes of kernel memory asked for each way; 4 MiB, as far as the system grants it."""
    path_mtu_discovery: PathMtuDiscovery
    """
    What to do about datagrams longer than the path carries (IP_MTU_DISCOVER): ``do`` never fragments, and refuses what
    is known to be too long, ``probe`` never fragments and tries all the same, ``dont`` lets everybody fragment,
    ``want`` fragments here where it is known to be needed.
    """
    gso: bool
    """Whether to send datagrams of one size in trains where the kernel can (UDP_SEGMENT); True if not given."""
    gro: bool
    """
    Whether to receive them so (UDP_GRO). Then what the kernel had no room for is counted in trains, so
    ``receive_buffer_full`` says "at least". False if not given.
    """


# Linux include/uapi/asm-generic/socket.h, linux/in.h and linux/in6.h.
SO_BINDTODEVICE = 25
SO_MARK = 36
FORCED = {socket.SO_SNDBUF: 32, socket.SO_RCVBUF: 33}  # beyond net.core.*mem_max, with CAP_NET_ADMIN
IP_MTU_DISCOVER = 10
IPV6_MTU_DISCOVER = 23
MODES = {"dont": 0, "want": 1, "do": 2, "probe": 3, "interface": 4, "omit": 5}
IP_PKTINFO = 8
IPV6_RECVPKTINFO = 49

GRANT = "run as root, or grant it (`setcap {cap}+ep` on the interpreter, AmbientCapabilities= in a systemd unit)"
REMEDIES = {
    "mark": "it takes CAP_NET_ADMIN, or CAP_NET_RAW since Linux 5.17: " + GRANT.format(cap="cap_net_admin"),
    "device": "before Linux 5.7 it takes CAP_NET_RAW: " + GRANT.format(cap="cap_net_raw"),
}


def configure(sock: socket.socket, options: UdpOptions) -> None:
    """
    Set what *options* ask for; before the socket is bound.

    Raises:
        ValueError: If the mode of path mtu discovery is none.
        PermissionError: If a mark or an interface takes a right that this process lacks; the text says which.
        DeviceError: If there is no such interface, or the system has no such option.
    """
    sock.setblocking(False)
    mark, device, mode = options.get("mark"), options.get("device"), options.get("path_mtu_discovery")
    if mode is not None and mode not in MODES:
        raise ValueError(f"path_mtu_discovery is one of {', '.join(MODES)}, not {mode!r}")
    if mark is not None:
        _set(sock, "mark", f"mark datagrams with {mark}", socket.SOL_SOCKET, SO_MARK, mark)
    if device is not None:
        name = device.encode() + b"\0"
        _set(sock, "device", f"be bound to {device}", socket.SOL_SOCKET, SO_BINDTODEVICE, name)
    if mode is not None:
        doing = f"have path_mtu_discovery={mode!r}"
        _set(sock, "mode", doing, socket.IPPROTO_IP, IP_MTU_DISCOVER, MODES[mode])
        if sock.family == socket.AF_INET6:
            _set(sock, "mode", doing, socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, MODES[mode])
    for option, forced in FORCED.items():
        _enlarge(sock, option, forced, options.get("buffer", BUFFER))


def tell_local(sock: socket.socket) -> None:
    """Have the kernel tell with each datagram which address of ours it was sent to, where it can."""
    with contextlib.suppress(OSError):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        elif sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def _set(sock: socket.socket, what: str, doing: str, level: int, option: int, value: int | bytes) -> None:
    if sys.platform != "linux":
        raise DeviceError(f"udp: the socket cannot {doing}: only Linux has it", errno.EOPNOTSUPP)
    try:
        sock.setsockopt(level, option, value)
    except PermissionError as error:
        raise PermissionError(error.errno, f"udp: the socket may not {doing}; {REMEDIES.get(what, '')}") from error
    except OSError as error:
        if what == "device" and error.errno == errno.ENODEV:
            raise DeviceError(f"udp: the socket cannot {doing}: there is no such interface", error.errno) from error
        raise device_error(error, f"udp: the socket cannot {doing}: {error.strerror}") from error


def _enlarge(sock: socket.socket, option: int, forced: int, size: int) -> None:
    """Ask for a buffer of *size* bytes, by right if we have it; what the system then grants is enough to work with."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, forced, size)
            return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, option, size)
