"""
Asking the kernel about one link: the few rtnetlink messages an endpoint needs, and how they are laid out.

Routes and settings go through pyroute2. This much is here because it runs inside the
event loop: pyroute2 costs 130-180 ms to import and its asyncio face does not run on uvloop.
The numbers are of Linux include/uapi/linux/{netlink,rtnetlink,if_link}.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

import attrs

from .origin import MakeSocket
from .tuninfo import TunInfo, tun_info

__all__ = [
    "HEADER",
    "NLMSG_ERROR",
    "NLM_F_REQUEST",
    "RECEIVE_SIZE",
    "Link",
    "attributes",
    "check_error",
    "messages",
    "open_netlink",
    "parse_link",
    "query_link",
]

NLMSG_ERROR = 2
RTM_NEWLINK = 16
RTM_GETLINK = 18
NLM_F_REQUEST = 1
RTMGRP_LINK = 0x1
RTMGRP_IPV4_IFADDR = 0x10
RTMGRP_IPV6_IFADDR = 0x100

IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINKINFO = 18
IFLA_STATS64 = 23
IFLA_CARRIER = 33
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
IFINFO = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change mask."""
ATTRIBUTE = struct.Struct("=HH")
"""struct rtattr: length, type."""
STATS64 = struct.Struct("=8Q")
"""The head of struct rtnl_link_stats64: packets, bytes, errors and drops, each received then transmitted."""

RECEIVE_SIZE = 65536


@attrs.frozen(kw_only=True)
class Link:
    """One link as the kernel describes it; rx and tx are the kernel's, tx towards the application."""

    index: int
    name: str
    mtu: int
    flags: int
    carrier: bool = True
    """Whether packets can be carried; unlike IFF_LOWER_UP it does not follow the administrative state."""
    kind: str = ""
    """What made it: ``tun``, ``tap``, ``multi-queue tun``, ``veth``; empty for what the kernel gives no kind."""
    tun: TunInfo | None = None
    """What the tun driver says of it, if it is the tun driver's."""
    type: int = 0
    """The link type, an ARPHRD number."""
    counted: bool = True
    """Whether the kernel told the counters that follow."""
    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0


def open_netlink(make: MakeSocket = socket.socket, *, subscribe: bool = False) -> socket.socket:
    """Open a route socket, subscribed to links and addresses or for questions, where *make* does. The caller's."""
    sock = make(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        sock.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR if subscribe else 0))
        sock.setblocking(not subscribe)
    except BaseException:
        sock.close()
        raise
    return sock


def query_link(sock: socket.socket, name: str) -> Link:
    """
    Return the link called *name* in the socket's namespace. Answered at once, by the kernel itself.

    Raises:
        OSError: If there is no such link (ENODEV).
    """
    attribute = _attribute(IFLA_IFNAME, name.encode("utf-8", "surrogateescape") + b"\0")
    body = IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute
    sock.send(HEADER.pack(HEADER.size + len(body), RTM_GETLINK, NLM_F_REQUEST, 1, 0) + body)
    for kind, _, payload in messages(sock.recv(RECEIVE_SIZE)):
        check_error(kind, payload, name)
        if kind == RTM_NEWLINK:
            return parse_link(payload)
    raise OSError(errno.EPROTO, f"{name}: the kernel did not answer")


def check_error(kind: int, payload: bytes, what: str) -> None:
    """Raise the OSError that a message of this *kind* stands for, if it is an error."""
    if kind == NLMSG_ERROR:
        code = -struct.unpack_from("=i", payload)[0]
        raise OSError(code, f"{what}: {os.strerror(code)}")


def messages(buffer: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the type, the flags and the payload of each message in *buffer*."""
    offset = 0
    while offset + HEADER.size <= len(buffer):
        length, kind, flags, *_ = HEADER.unpack_from(buffer, offset)
        if length < HEADER.size:
            return
        yield kind, flags, buffer[offset + HEADER.size : offset + length]
        offset += _aligned(length)


def parse_link(payload: bytes) -> Link:
    """Return the link that an RTM_NEWLINK or RTM_DELLINK speaks of."""
    _, link_type, index, flags, _ = IFINFO.unpack_from(payload)
    found = dict(attributes(payload[IFINFO.size :]))
    name = found[IFLA_IFNAME].rstrip(b"\0").decode("utf-8", "surrogateescape")
    mtu = struct.unpack("=I", found[IFLA_MTU])[0] if IFLA_MTU in found else 0
    statistics = STATS64.unpack_from(found[IFLA_STATS64]) if IFLA_STATS64 in found else (0,) * 8
    rx_packets, tx_packets, rx_bytes, tx_bytes, _, _, rx_dropped, tx_dropped = statistics
    kind, tun = _kind(found.get(IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=name,
        mtu=mtu,
        flags=flags,
        carrier=found.get(IFLA_CARRIER) != b"\0",
        kind=kind,
        tun=tun,
        type=link_type,
        rx_packets=rx_packets,
        tx_packets=tx_packets,
        rx_bytes=rx_bytes,
        tx_bytes=tx_bytes,
        rx_dropped=rx_dropped,
        tx_dropped=tx_dropped,
    )


def _kind(info: bytes) -> tuple[str, TunInfo | None]:
    """Return the kind of link; for the tun driver's, which of its kinds, and what more it says."""
    found = dict(attributes(info))
    kind = found.get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode("ascii", "replace")
    if kind != "tun":
        return kind, None
    tun = tun_info(dict(attributes(found.get(IFLA_INFO_DATA, b""))))
    return tun.kind, tun


def attributes(buffer: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the value of each attribute in *buffer*."""
    offset = 0
    while offset + ATTRIBUTE.size <= len(buffer):
        length, kind = ATTRIBUTE.unpack_from(buffer, offset)
        if length < ATTRIBUTE.size:
            return
        yield kind, buffer[offset + ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def _attribute(kind: int, value: bytes) -> bytes:
    length = ATTRIBUTE.size + len(value)
    return (ATTRIBUTE.pack(length, kind) + value).ljust(_aligned(length), b"\0")


def _aligned(length: int) -> int:
    return length + 3 & ~3
