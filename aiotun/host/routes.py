"""The routing table: which interface a packet leaves by, and who is next on its way."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)
from operator import attrgetter

import attrs

from ..errors import DeviceError
from ..packet import Address, AddressLike
from ..packet.value import to_packed
from ..pipeline.prefixes import Prefixes

__all__ = ["NoRoute", "Route", "Routes", "choose_source"]

Network = IPv4Network | IPv6Network


class NoRoute(DeviceError):
    """No route leads to the destination."""

    code = errno.ENETUNREACH
    reason = "no_route"


@attrs.frozen
class Route:
    """One line of the routing table."""

    prefix: Network
    """The destinations it is for."""
    interface: str
    """The name of the interface they are reached by."""
    via: Address | None = None
    """The router that is next on the way; None if the destination itself is."""
    metric: int = 0
    """Of two routes for one prefix, the one with the lower metric is taken."""
    connected: bool = False
    """Whether it came with an address of the interface, and goes with it."""

    @property
    def flags(self) -> str:
        """The flags of ``netstat -r``: Up, Gateway, Host, C for connected, S for static."""
        host = self.prefix.prefixlen == self.prefix.max_prefixlen
        return f"U{'G' * (self.via is not None)}{'H' * host}{'C' if self.connected else 'S'}"


class Routes:
    """
    The routing table of a host, for both IP versions: the longest prefix wins, then the lowest metric.

    Changes take effect with the next packet. Modelled on rtable(4) of the BSDs.
    """

    __slots__ = ("_connected", "_table")

    def __init__(self) -> None:
        self._table: Prefixes[list[Route]] = Prefixes()  # of one prefix the lowest metric first
        self._connected: dict[str, set[Network]] = {}  # by interface

    def __len__(self) -> int:
        return sum(map(len, self._table.entries()))

    def __iter__(self) -> Iterator[Route]:
        """Iterate over the routes: IPv4 first, by address, then by length, then by metric."""
        for prefix in self._table:
            yield from self._same(prefix)

    def add(self, prefix: str | Network, interface: str, via: str | Address | None = None, metric: int = 0) -> Route:
        """
        Add a route and return it.

        Args:
            prefix: The destinations, ``"10.9.0.0/16"``; ``"0.0.0.0/0"`` and ``"::/0"`` are the defaults.
            interface: The name of the interface they are reached by.
            via: The router that is next on the way.
            metric: Lower is taken first, among routes for the same prefix.

        Raises:
            ValueError: If prefix and router are not addresses of one IP version.
            DeviceError: If there is a route for that prefix with that metric already (EEXIST).
        """
        network = ip_network(prefix)
        router = None if via is None else ip_address(via)
        if router is not None and router.version != network.version:
            raise ValueError(f"{network}: the router {router} is of another IP version")
        for route in self._same(network):
            if route.metric == metric:
                text = f"{network}: there is a route by {route.interface} with metric {metric} already"
                raise DeviceError(text, errno.EEXIST)
        route = Route(network, interface, router, metric)
        self._insert(route)
        return route

    def remove(self, prefix: str | Network, metric: int = 0) -> None:
        """
        Remove the route for *prefix* with *metric*. One that came with an address goes with the address.

        Raises:
            DeviceError: If there is none (ESRCH).
        """
        network = ip_network(prefix)
        for route in self._same(network):
            if route.metric == metric and not route.connected:
                self._delete(route)
                return
        raise DeviceError(f"{network}: there is no route with metric {metric} to remove", errno.ESRCH)

    def connect(self, interface: str, addresses: Iterable[IPv4Interface | IPv6Interface]) -> None:
        """Make the connected routes of *interface* those of its addresses: what is missing comes, the rest goes."""
        wanted = {address.network for address in addresses}
        there = self._connected.pop(interface, set())
        for network in there - wanted:
            self._delete(Route(network, interface, connected=True))
        for network in wanted - there:
            self._insert(Route(network, interface, connected=True))
        if wanted:
            self._connected[interface] = wanted

    def forget(self, interface: str) -> None:
        """Remove every route by *interface*, which was deleted."""
        self._connected.pop(interface, None)
        for route in [route for same in self._table.entries() for route in same]:
            if route.interface == interface:
                self._delete(route)

    def lookup(self, destination: AddressLike) -> Route | None:
        """
        Return the route to *destination*, or None if there is none.

        Raises:
            ValueError: If it is not an address.
        """
        routes = self._table.lookup(to_packed(destination))
        return routes[0] if routes else None

    def describe(self) -> str:
        """Return the table as text, in the shape of ``netstat -r``."""
        rows = [("Destination", "Gateway", "Flags", "Metric", "Netif")]
        for route in self:
            gateway = "link" if route.via is None else str(route.via)
            rows.append((str(route.prefix), gateway, route.flags, str(route.metric), route.interface))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "\n".join(lines)

    # --- inside -----------------------------------------------------------------------------------

    def _same(self, prefix: Network) -> list[Route]:
        return self._table.get(prefix) or []

    def _insert(self, route: Route) -> None:
        same = [*self._same(route.prefix), route]
        self._table[route.prefix] = sorted(same, key=attrgetter("metric"))

    def _delete(self, route: Route) -> None:
        same = self._same(route.prefix)
        same.remove(route)
        if not same:
            del self._table[route.prefix]


def choose_source(
    addresses: Iterable[IPv4Interface | IPv6Interface], destination: Address
) -> IPv4Address | IPv6Address | None:
    """
    Return which of an interface's addresses speaks to *destination*; None if it has none of that IP version.

    One whose prefix holds the destination comes first, the longest; then one of the same scope, link-local or not.
    RFC 6724 section 5, rules 2 and 8, as far as an interface without zones needs them.
    """
    same = [address for address in addresses if address.version == destination.version]
    if not same:
        return None
    best = max(
        same,
        key=lambda address: (
            address.network.prefixlen if destination in address.network else -1,
            address.ip.is_link_local == destination.is_link_local,
        ),
    )
    return ip_address(best.ip.packed)  # without a zone, which no packet carries
