"""
Asking the kernel about one link, and reading what it announces: the few rtnetlink messages an endpoint needs.

Addresses, routes and settings go through pyroute2. This much is here because it runs inside the
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

__all__ = ["Link", "LinkMessage", "Overrun", "link_messages", "open_netlink", "query_link"]

NLMSG_ERROR = 2
RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
NLM_F_REQUEST = 1
RTMGRP_LINK = 1

IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINKINFO = 18
IFLA_STATS64 = 23
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
IFLA_TUN_TYPE = 3
IFLA_TUN_MULTI_QUEUE = 7

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
IFINFO = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change mask."""
ATTRIBUTE = struct.Struct("=HH")
"""struct rtattr: length, type."""
STATS64 = struct.Struct("=8Q")
"""The head of struct rtnl_link_stats64: packets, bytes, errors and drops, each received then transmitted."""

RECEIVE_SIZE = 65536


class Overrun(Exception):
    """The kernel had announcements that did not fit the socket's buffer: ask anew."""


@attrs.frozen(kw_only=True)
class Link:
    """One link as the kernel describes it; rx and tx are the kernel's, tx towards the application."""

    index: int
    name: str
    mtu: int
    flags: int
    kind: str = ""
    """What made it: ``tun``, ``tap``, ``multi-queue tun``, ``veth``; empty for what the kernel gives no kind."""
    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0


@attrs.frozen
class LinkMessage:
    """An announcement: the link is there, like this, or it left this namespace."""

    link: Link
    deleted: bool


def open_netlink(make: MakeSocket = socket.socket, *, subscribe: bool = False) -> socket.socket:
    """Open a route socket, subscribed to links or for questions, where *make* does. The caller's."""
    sock = make(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        sock.bind((0, RTMGRP_LINK if subscribe else 0))
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
    for kind, payload in _messages(sock.recv(RECEIVE_SIZE)):
        if kind == NLMSG_ERROR:
            code = -struct.unpack_from("=i", payload)[0]
            raise OSError(code, f"{name}: {os.strerror(code)}")
        if kind == RTM_NEWLINK:
            return _link(payload)
    raise OSError(errno.EPROTO, f"{name}: the kernel did not answer")


def link_messages(sock: socket.socket) -> list[LinkMessage]:
    """
    Return the announcements that wait on a subscribed socket; ``[]`` when there are none.

    Raises:
        Overrun: If some were lost.
    """
    found: list[LinkMessage] = []
    while True:
        try:
            buffer = sock.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return found
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise Overrun from None
            raise
        found += [
            LinkMessage(_link(payload), kind == RTM_DELLINK)
            for kind, payload in _messages(buffer)
            # Other families speak of a role: AF_BRIDGE says "deleted" of a port that left its bridge.
            if kind in (RTM_NEWLINK, RTM_DELLINK) and payload[0] == socket.AF_UNSPEC
        ]


def _messages(buffer: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + HEADER.size <= len(buffer):
        length, kind, *_ = HEADER.unpack_from(buffer, offset)
        if length < HEADER.size:
            return
        yield kind, buffer[offset + HEADER.size : offset + length]
        offset += _aligned(length)


def _link(payload: bytes) -> Link:
    _, _, index, flags, _ = IFINFO.unpack_from(payload)
    attributes = dict(_attributes(payload[IFINFO.size :]))
    name = attributes[IFLA_IFNAME].rstrip(b"\0").decode("utf-8", "surrogateescape")
    mtu = struct.unpack("=I", attributes[IFLA_MTU])[0] if IFLA_MTU in attributes else 0
    statistics = STATS64.unpack_from(attributes[IFLA_STATS64]) if IFLA_STATS64 in attributes else (0,) * 8
    rx_packets, tx_packets, rx_bytes, tx_bytes, _, _, rx_dropped, tx_dropped = statistics
    return Link(
        index=index,
        name=name,
        mtu=mtu,
        flags=flags,
        kind=_kind(attributes.get(IFLA_LINKINFO, b"")),
        rx_packets=rx_packets,
        tx_packets=tx_packets,
        rx_bytes=rx_bytes,
        tx_bytes=tx_bytes,
        rx_dropped=rx_dropped,
        tx_dropped=tx_dropped,
    )


def _kind(info: bytes) -> str:
    """Return the kind of link; for the tun driver's, which of its kinds (tun_fill_info() in drivers/net/tun.c)."""
    attributes = dict(_attributes(info))
    kind = attributes.get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode("ascii", "replace")
    if kind != "tun":
        return kind
    tun = dict(_attributes(attributes.get(IFLA_INFO_DATA, b"")))
    layer = {b"\1": "tun", b"\2": "tap"}.get(tun.get(IFLA_TUN_TYPE, b""), "tun")
    return f"multi-queue {layer}" if tun.get(IFLA_TUN_MULTI_QUEUE, b"\0") != b"\0" else layer


def _attributes(buffer: bytes) -> Iterator[tuple[int, bytes]]:
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
