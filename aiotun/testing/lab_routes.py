"""The routes of a lab: the shortest way from every node to every address."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from .lab_host import LabHost
from .lab_interface import LabInterface, LabNode

__all__ = ["METRIC", "set_routes"]

METRIC = 1000
"""The metric of the lab's own routes: any that a test adds for the same prefix is taken first."""

DEFAULTS = ip_network("0.0.0.0/0"), ip_network("::/0")

Network = IPv4Network | IPv6Network
Peers = dict[LabInterface, LabInterface]
"""The two ends of each link, by each other."""


def set_routes(hosts: Iterable[LabHost], peers: Peers, behind: Sequence[tuple[Network, LabHost]]) -> None:
    """
    Give each host routes to the addresses of all others, by the fewest links, and to the prefixes *behind* some.

    A host with one link sends everything else that way too; if that is to a switch, to the first router there.
    """
    prefixes: dict[LabHost, list[Network]] = {}
    for network, host in behind:
        prefixes.setdefault(host, []).append(network)
    for host in hosts:
        for route in [route for route in host.routes if route.metric == METRIC and not route.connected]:
            host.routes.remove(route.prefix, METRIC)
        if len(host.ports) == 1 and not host.ports[0].header:
            for default in DEFAULTS:
                host.routes.add(default, host.ports[0].name, metric=METRIC)
            continue
        ways = list(_ways(host, peers))
        if not host.forwards and len(host.ports) == 1:
            _add_defaults(host, [target for target, _, first in ways if target is first and target.forwards])
        for target, interface, first in ways:
            own = [ip_network(address.ip) for address in target.addresses]
            for network in [*own, *prefixes.get(target, ())]:
                via = None
                if interface.header and (target is not first or network not in own):
                    via = _address(first, network.version)
                    if via is None:  # the router on this way has no address of that IP version
                        continue
                there = host.routes.lookup(network.network_address)
                if via is not None or there is None or not there.connected or there.interface != interface.name:
                    host.routes.add(network, interface.name, via, METRIC)


def _ways(start: LabHost, peers: Peers) -> Iterator[tuple[LabHost, LabInterface, LabHost]]:
    """Yield each other host, by which interface of *start* it is reached, and which host is first on the way."""
    seen: set[LabNode] = {start}
    # Where we are, the interface that led away from the start, and the first host on the way, if there was one.
    queue: deque[tuple[LabNode, LabInterface | None, LabHost | None]] = deque([(start, None, None)])
    while queue:
        here, left_by, first = queue.popleft()
        if here is not start and isinstance(here, LabHost) and not here.forwards:
            continue
        for interface in here.ports:
            there = peers[interface].node
            if there in seen:
                continue
            seen.add(there)
            out = left_by or interface
            hop = first
            if isinstance(there, LabHost):
                hop = first or there
                yield there, out, hop
            queue.append((there, out, hop))


def _add_defaults(host: LabHost, routers: Sequence[LabHost]) -> None:
    for default in DEFAULTS:
        via = next((address for router in routers if (address := _address(router, default.version))), None)
        if via is not None:
            host.routes.add(default, host.ports[0].name, via, METRIC)


def _address(host: LabHost, version: int) -> IPv4Address | IPv6Address | None:
    return next((address.ip for address in host.addresses if address.version == version), None)
