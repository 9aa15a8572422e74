"""Changing a network that is there: one more address, one more route; in the calling thread, through pyroute2."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from .configure import Settings, configure, explained, route_socket
from .origin import MakeSocket
from .rtnetlink import open_netlink, query_link

__all__ = ["add_address", "add_route"]


def add_address(name: str, address: IPv4Interface | IPv6Interface, make: MakeSocket) -> None:
    """
    Give the link called *name* an address, unless it has it. Blocks for some milliseconds.

    Raises:
        PermissionError, DeviceError: As configure().
    """
    configure(name, Settings(addresses=[address]), make)


def add_route(
    prefix: IPv4Network | IPv6Network,
    via: IPv4Address | IPv6Address | None,
    name: str | None,
    make: MakeSocket,
) -> None:
    """
    Lead packets for *prefix* to the router *via*, or out of the link called *name*, or both.

    A route to the same prefix is replaced. Blocks for some milliseconds.

    Raises:
        PermissionError, DeviceError: If the kernel refuses, or there is no such link.
    """
    wanted: dict[str, object] = {"dst": str(prefix)}
    if via is not None:
        wanted["gateway"] = str(via)
    if name is not None:
        wanted["oif"] = _index(name, make)
    with route_socket(make) as netlink, explained(str(prefix), "the route"):
        netlink.route("replace", **wanted)


def _index(name: str, make: MakeSocket) -> int:
    with open_netlink(make) as netlink:
        return query_link(netlink, name).index
