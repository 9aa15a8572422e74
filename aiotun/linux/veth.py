"""A wire between two private networks: a pair of virtual Ethernet links, one end in each."""

from __future__ import annotations

import os
import socket
import struct

import attrs

from ..errors import device_error
from .configure import Settings, configure
from .guardian import ATTRIBUTE, HEADER, IFINFO, NLM_F_REQUEST
from .kept import KeptNamespace
from .transaction import Transaction

__all__ = ["End", "cut", "join"]

# Linux include/uapi/linux/netlink.h, rtnetlink.h, if_link.h and veth.h
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
RTM_NEWLINK = 16
RTM_DELLINK = 17
IFLA_IFNAME = 3
IFLA_LINKINFO = 18
IFLA_NET_NS_FD = 28
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
VETH_INFO_PEER = 1

NUMBER = struct.Struct("=I")


@attrs.frozen
class End:
    """One of the two links: the network it is in, its name there, and what it is to be."""

    network: KeptNamespace
    name: str
    settings: Settings


def join(near: End, far: End) -> None:
    """
    Make the pair, and bring both ends up. Blocks for some milliseconds, and for a second or two with IPv6 addresses.

    Raises:
        DeviceError: If the kernel refuses; then there is neither end.
    """
    netns = far.network.open_network()
    try:
        _ask(near, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _pair(far.name, netns))
    except OSError as error:
        message = f"{near.name}: cannot make a veth whose other end is {far.name}: {error.strerror}"
        raise device_error(error, message) from error
    finally:
        os.close(netns)
    try:
        _configure(near, far)
    except BaseException:
        cut(near)
        raise


def cut(end: End) -> None:
    """Delete an end, and with it the other one."""
    _ask(end, RTM_DELLINK, 0, b"")


def _configure(*ends: End) -> None:
    """Bring the ends up, and then wait for their addresses: one end alone has no carrier, and its wait no end."""
    for end in ends:
        _set(end, end.settings)
    for end in ends:
        _set(end, Settings(up=True))
    for end in ends:
        _set(end, attrs.evolve(end.settings, up=True))


def _set(end: End, settings: Settings) -> None:
    configure(Transaction(end.name, end.network), settings, lasting=False)


def _ask(end: End, kind: int, flags: int, attributes: bytes) -> None:
    """Ask the kernel to make or delete the end."""
    body = IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _named(end.name) + attributes
    transaction = Transaction(end.name, end.network)
    try:
        transaction.ask(HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | flags, 0, 0) + body)
    finally:
        transaction.keep()


def _pair(name: str, netns: int) -> bytes:
    """Return what makes a link one of a veth pair: the other one's name and network namespace."""
    peer = IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _named(name) + _attribute(IFLA_NET_NS_FD, NUMBER.pack(netns))
    info = _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, peer))
    return _attribute(IFLA_LINKINFO, _attribute(IFLA_INFO_KIND, b"veth") + info)


def _named(name: str) -> bytes:
    return _attribute(IFLA_IFNAME, name.encode("utf-8", "surrogateescape") + b"\0")


def _attribute(kind: int, value: bytes) -> bytes:
    length = ATTRIBUTE.size + len(value)
    return (ATTRIBUTE.pack(length, kind) + value).ljust(length + 3 & ~3, b"\0")
