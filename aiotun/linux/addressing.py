"""A link's addresses: added where they are not there, waited for until they can be used."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Any

import attrs

from ..errors import DeviceError
from .guardian import MESSAGE, messages
from .messages import ADD, DUMP, RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR, decode, encode
from .small_programs import readable
from .transaction import Transaction

__all__ = ["Address", "add_addresses", "list_addresses", "restoring", "wait_usable"]

RTMGRP_IPV6_IFADDR = 0x100  # Linux include/uapi/linux/rtnetlink.h

# Linux include/uapi/linux/if_addr.h
IFA_F_OPTIMISTIC = 0x04
IFA_F_DADFAILED = 0x08
IFA_F_TENTATIVE = 0x40

STATES = 0x20 | 0x80 | IFA_F_DADFAILED | IFA_F_TENTATIVE
"""The flags that the kernel sets: deprecated, permanent, and where duplicate address detection is."""

KEPT = ("IFA_LOCAL", "IFA_ADDRESS", "IFA_CACHEINFO", "IFA_RT_PRIORITY")
"""What an address has and keeps; the second last is for how long."""

PATIENCE = 30.0
"""Seconds for an address to become usable; the kernel takes 1 to 2, or as many as dad_transmits says."""

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@attrs.frozen
class Address:
    """An address of a link, with the far one of a point-to-point link."""

    local: IPv4Interface | IPv6Interface
    peer: IPv4Interface | IPv6Interface | None = None

    def __str__(self) -> str:
        return f"{self.local}" if self.peer is None else f"{self.local.ip} peer {self.peer}"

    def key(self) -> tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address, int]:
        """What the kernel tells one from another by: local address, far address, prefix length."""
        far = self.peer or self.local
        return self.local.ip, far.ip, far.network.prefixlen

    def message(self, kind: int, index: int, flags: int = 0) -> bytes:
        local, far, length = self.key()
        return encode(
            kind,
            flags,
            {"family": FAMILIES[local.version], "prefixlen": length, "index": index},
            [("IFA_LOCAL", str(local)), ("IFA_ADDRESS", str(far))],
        )


def list_addresses(transaction: Transaction, index: int) -> list[Any]:
    """Return the addresses of the link with this index, as the kernel tells them."""
    asked = encode(RTM_GETADDR, DUMP, {"family": socket.AF_UNSPEC, "index": index})
    return list(map(decode, transaction.ask(asked)))


def add_addresses(
    transaction: Transaction, index: int, addresses: Sequence[Address], there: Sequence[Any], *, lasting: bool
) -> None:
    """Add the addresses that are not *there*; to be removed again if the link outlives us."""
    known = set(map(_key, there))
    for address in addresses:
        if address.key() not in known:
            undo = {"send": [address.message(RTM_DELADDR, index).hex()]} if lasting else None
            transaction.change(f"address {address}", address.message(RTM_NEWADDR, index, ADD), undo)


def restoring(there: Sequence[Any]) -> list[bytes]:
    """Return the requests that add the IPv6 addresses again that a link loses when it goes down."""
    return [
        encode(
            RTM_NEWADDR,
            ADD,
            {name: one[name] for name in ("family", "prefixlen", "scope", "index")},
            [(name, one.get_attr(name)) for name in KEPT] + [("IFA_FLAGS", one.get_attr("IFA_FLAGS") & ~STATES)],
        )
        for one in there
        if one["family"] == socket.AF_INET6
    ]


def wait_usable(transaction: Transaction, index: int, addresses: Sequence[Address], stop: int | None = None) -> None:
    """
    Wait until the kernel lets the addresses be used: until duplicate address detection is done, RFC 4862 section 5.4.

    Args:
        stop: A descriptor that becomes readable when the wait shall end.

    Raises:
        DeviceError: If somebody else on the link has one of them, or it was removed, or the wait was ended.
    """
    waiting = {address.local.ip: address for address in addresses if address.local.version == 6}
    if not waiting:
        return
    name = transaction.name
    deadline = time.monotonic() + PATIENCE
    with transaction.origin.make_socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as told:
        told.bind((0, RTMGRP_IPV6_IFADDR))  # before asking: no change falls in between
        news = _there(transaction, index, waiting)
        while True:
            for message in map(decode, news):
                _look(name, index, message, waiting)
            if not waiting:
                return
            watched = [told.fileno()] if stop is None else [told.fileno(), stop]
            ready = readable(watched, deadline - time.monotonic())
            if told.fileno() not in ready:
                code = errno.ECANCELED if ready else errno.ETIMEDOUT
                address = next(iter(waiting.values()))
                raise DeviceError(f"{name}: address {address} is still tentative after {PATIENCE:g} s", code)
            news = _heard(told, transaction, index, waiting)


def _heard(told: socket.socket, transaction: Transaction, index: int, waiting: dict[Any, Address]) -> list[bytes]:
    try:
        return list(messages(told.recv(MESSAGE)))
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        return _there(transaction, index, waiting)  # some were lost


def _there(transaction: Transaction, index: int, waiting: dict[Any, Address]) -> list[bytes]:
    """Ask for the addresses there are; nobody will tell of one that went before."""
    told = transaction.ask(encode(RTM_GETADDR, DUMP, {"family": socket.AF_INET6}))
    there = {_key(message)[0] for message in map(decode, told) if message["index"] == index}
    for ip, address in waiting.items():
        if ip not in there:
            raise _removed(transaction.name, address)
    return told


def _removed(name: str, address: Address) -> DeviceError:
    return DeviceError(f"{name}: address {address} was removed by somebody else", errno.EADDRNOTAVAIL)


def _look(name: str, index: int, message: Any, waiting: dict[Any, Address]) -> None:
    ip = _key(message)[0]
    if message["index"] != index or ip not in waiting:
        return
    flags = message.get_attr("IFA_FLAGS") or message["flags"]
    if flags & IFA_F_DADFAILED:
        why = "somebody else on the link has it (duplicate address detection)"
        raise DeviceError(f"{name}: address {waiting[ip]} cannot be used: {why}", errno.EADDRINUSE)
    if message["header"]["type"] == RTM_DELADDR:
        raise _removed(name, waiting[ip])
    if not flags & IFA_F_TENTATIVE or flags & IFA_F_OPTIMISTIC:
        del waiting[ip]


def _key(message: Any) -> tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address, int]:
    far = ip_address(message.get_attr("IFA_ADDRESS"))
    local = message.get_attr("IFA_LOCAL")
    return (ip_address(local) if local else far), far, message["prefixlen"]
