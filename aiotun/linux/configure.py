"""
Giving a link its settings, in the calling thread: each compared first, set if it differs, undone if a later one fails.

A user who may not change a device can still open one that is as it should be.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

import attrs

from ..routing import Route, Rule
from .addressing import Address, add_addresses, list_addresses, restoring, wait_usable
from .dns import set_dns
from .links import link_state, set_attributes, set_up
from .origin import MakeSocket
from .routes import add_routes
from .rules import add_rules
from .sysctls import set_sysctls
from .transaction import Transaction

__all__ = ["Settings", "configure", "route_socket"]


@attrs.frozen(kw_only=True)
class Settings:
    """What to set; None leaves a setting as it is."""

    addresses: Sequence[IPv4Interface | IPv6Interface] = ()
    peers: Sequence[IPv4Interface | IPv6Interface] = ()
    """The far ends of a point-to-point link, one of an address's IP version at most."""
    mtu: int | None = None
    """Largest layer-3 packet, in bytes."""
    queue_length: int | None = None
    """Packets the kernel keeps for the application."""
    mac: bytes | None = None
    group: int | None = None
    ipv6_linklocal: bool | None = None
    """Whether the kernel gives the link an IPv6 link-local address, and with it solicitations nobody asked for."""
    up: bool = False
    """Up, and with addresses that can be used."""
    sysctls: Mapping[str, str] = attrs.field(factory=dict)
    routes: Sequence[Route] = ()
    rules: Sequence[Rule] = ()
    dns: Sequence[IPv4Address | IPv6Address | str] = ()
    """Name servers, and domains to look for short names in."""


def configure(transaction: Transaction, settings: Settings, *, lasting: bool, stop: int | None = None) -> None:
    """
    Make the link that the transaction is named after what *settings* say, or leave everything as it was.

    Blocks for some milliseconds; for seconds where an address is checked for duplicates on its link.

    Args:
        lasting: Whether the link outlives us, so that all there was before is to come back.
        stop: A descriptor that becomes readable when waiting shall end.

    Raises:
        PermissionError: If a setting differs and changing it takes CAP_NET_ADMIN.
        DeviceError: If the kernel refuses a value; the text names it. DeviceGone if there is no such link.
    """
    if settings == Settings():
        transaction.settle()
        return
    with transaction.rolled_back():
        link = link_state(transaction, transaction.name)
        peers = {peer.version: peer for peer in settings.peers}
        addresses = [Address(address, peers.get(address.version)) for address in settings.addresses]
        there = list_addresses(transaction, link.index) if addresses or lasting else []
        again = restoring(there) if lasting else []
        set_attributes(
            transaction,
            link,
            queue_length=settings.queue_length,
            mac=settings.mac,
            group=settings.group,
            linklocal=settings.ipv6_linklocal,
            mtu=settings.mtu,
            lasting=lasting,
            restoring=again,
        )
        set_sysctls(transaction, settings.sysctls, lasting=lasting)
        add_addresses(transaction, link.index, addresses, there, lasting=lasting)
        if settings.up:
            set_up(transaction, link, lasting=lasting, restoring=again)
            wait_usable(transaction, link.index, addresses, stop)
        if settings.routes:
            add_routes(transaction, link.index, settings.routes, lasting=lasting)
        add_rules(transaction, settings.rules)
        if settings.dns:
            set_dns(transaction, settings.dns)
        transaction.settle()


@contextmanager
def route_socket(make: MakeSocket = socket.socket) -> Iterator[Any]:
    """Open pyroute2's face of *make*'s namespace, on asyncio's own loop: it does not run on uvloop."""
    from pyroute2 import IPRoute  # late, for its cost

    with closing(asyncio.SelectorEventLoop()) as loop:
        sock = make(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)
        try:
            with IPRoute(use_event_loop=loop, fileno=sock.detach()) as netlink:
                yield netlink
        finally:
            loop.run_until_complete(asyncio.sleep(0))  # its transport closes at the next turn
