"""Changing a network that is there: one more address, one more route; in the calling thread."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from ..routing import Route
from .configure import Settings, configure
from .links import link_state
from .messages import REPLACE, RTM_NEWROUTE
from .origin import Origin
from .routes import route_message
from .transaction import Transaction

__all__ = ["add_address", "add_route"]


def add_address(name: str, address: IPv4Interface | IPv6Interface, origin: Origin) -> None:
    """
    Give the link called *name* an address, unless it has it. Blocks for some milliseconds.

    Raises:
        PermissionError, DeviceError: As configure().
    """
    configure(Transaction(name, origin), Settings(addresses=[address]), lasting=False)


def add_route(
    prefix: IPv4Network | IPv6Network,
    via: IPv4Address | IPv6Address | None,
    name: str | None,
    origin: Origin,
) -> None:
    """
    Lead packets for *prefix* to the router *via*, or out of the link called *name*, or both.

    A route to the same prefix is replaced. Blocks for some milliseconds.

    Raises:
        PermissionError, DeviceError: If the kernel refuses, or there is no such link.
    """
    transaction = Transaction(str(prefix), origin)
    try:
        index = None if name is None else link_state(transaction, name).index
        request = route_message(RTM_NEWROUTE, Route(prefix, via=via), index, REPLACE)
        transaction.change("the route", request)
    finally:
        transaction.keep()
