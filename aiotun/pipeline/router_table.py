"""Whose a packet is: the routes of a router's legs, and the decisions made with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import cast

from .prefixes import Network, Prefixes
from .router_leg import Leg
from .router_peer import Peer

__all__ = ["Prefixed", "RouterTable", "ends_of"]

Prefixed = str | Network | Iterable[str | Network]

RECENT = 4096
"""Decisions that are kept for each leg, at most, until they are made anew: 0.05 us instead of 0.6 for each packet."""

# First four bits of a packet -> where its source and destination are (RFC 791, RFC 8200).
_ENDS = {4: slice(12, 20), 6: slice(8, 40)}
_NOWHERE = slice(0, 0)


class RouterTable:
    """
    The routes of the legs. What was decided is remembered with each leg, and forgotten when something changes.

    Args:
        what: What the router is called, for errors.
        tun: The leg that gets what is for nobody else.
        peers: Gives the other legs there are.
    """

    __slots__ = ("_check_source", "_peer_to_peer", "_peers", "_prefixes", "_tun", "_what")

    def __init__(
        self, what: str, tun: Peer, peers: Callable[[], Iterable[Peer]], *, check_source: bool, peer_to_peer: bool
    ) -> None:
        self._what = what
        self._tun = tun
        self._peers = peers
        self._prefixes: Prefixes[Leg] = Prefixes()
        self._check_source = check_source
        self._peer_to_peer = peer_to_peer

    def __len__(self) -> int:
        return len(self._prefixes)

    @property
    def check_source(self) -> bool:
        """Whether a peer may send only from sources that would be routed to it."""
        return self._check_source

    @check_source.setter
    def check_source(self, check: bool) -> None:
        self._check_source = check
        self._forget()

    @property
    def peer_to_peer(self) -> bool:
        """Whether packets between peers are sent on."""
        return self._peer_to_peer

    @peer_to_peer.setter
    def peer_to_peer(self, allowed: bool) -> None:
        self._peer_to_peer = allowed
        self._forget()

    def give(self, peer: Peer, routes: Prefixed) -> None:
        """
        Give *peer* these prefixes instead of those it had.

        Raises:
            ValueError: If one is none, or is another leg's; nothing is changed.
            TypeError: If one is neither text nor a network.
        """
        networks = self._networks(routes)
        for network in networks:
            owner = self._prefixes.get(network)
            if owner is not None and owner is not peer:
                raise ValueError(f"{self._what}: {network} is a route of {owner.name}, not of {peer.name} as well")
        for network in peer.routes:
            del self._prefixes[network]
        for network in networks:
            self._prefixes[network] = peer
        peer.routes = networks
        self._forget()

    def reached(self, ends: bytes) -> Leg:
        """Return the leg that leads to where a packet between these ends goes."""
        return self._prefixes.lookup(ends[len(ends) // 2 :]) or self._tun

    def decide(self, leg: Leg, ends: bytes) -> Leg | str:
        """Return where packets from *leg* between these ends go, or why they do not."""
        half = len(ends) // 2
        lookup = self._prefixes.lookup
        way: Leg | str | None
        if half not in (4, 16):
            way = "bad_packet"
        elif leg is self._tun:
            way = lookup(ends[half:])
            if way is None or way is leg:
                way = "no_route"
        elif self._check_source and lookup(ends[:half]) is not leg:
            way = "bad_source"
        else:
            way = lookup(ends[half:]) if self._peer_to_peer else None
            if way is None or way is leg:
                way = self._tun
        if len(leg.recent) >= RECENT:
            leg.recent.clear()
        leg.recent[ends] = way
        return way

    def _networks(self, routes: Prefixed) -> tuple[Network, ...]:
        """Return each prefix once."""
        one = isinstance(routes, str | bytes | IPv4Network | IPv6Network) or not isinstance(routes, Iterable)
        given = tuple(cast(Iterable[str | Network], (routes,) if one else routes))
        for route in given:
            if not isinstance(route, str | IPv4Network | IPv6Network):  # ipaddress takes bytes and numbers as well
                raise TypeError(f"{self._what}: a route is text or a network, not {route!r}")
        return tuple(dict.fromkeys(map(ip_network, given)))

    def _forget(self) -> None:
        self._tun.recent.clear()
        for peer in self._peers():
            peer.recent.clear()


def ends_of(packet: bytes) -> bytes:
    """Return source and destination of a packet, one behind the other; nothing, or less, if it has none."""
    return packet[_ENDS.get(packet[0] >> 4, _NOWHERE)] if packet else b""
