"""Many peers behind one tun: the longest prefix says whose a packet is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from ..endpoint import Endpoint
from .path import Path
from .prefixes import Prefixes
from .pump_direction import Stages, path_of
from .pump_edge import REFUSALS
from .pump_release import Releases
from .pump_running import Running
from .pump_statistics import passage
from .router_graph import draw
from .router_leg import Leg
from .router_statistics import LegStatistics, RouterStatistics
from .stage import Batch

__all__ = ["Peer", "Router"]

Network = IPv4Network | IPv6Network
Prefixed = str | Network | Iterable[str | Network]

RECENT = 4096
"""Decisions that are kept for each leg, at most, until they are made anew: 0.05 us instead of 0.6 for each packet."""

# First four bits of a packet -> where its source and destination are (RFC 791, RFC 8200).
_ENDS = {4: slice(12, 20), 6: slice(8, 40)}
_NOWHERE = slice(0, 0)


class Peer(Leg):
    """One of a router's peers; made by Router.add()."""

    __slots__ = ("routes",)

    routes: tuple[Network, ...]
    """The prefixes that are reached by it, and that it may send from; set_routes() changes them."""

    def __init__(self, name: str, endpoint: Endpoint, arriving: Stages, leaving: Stages, **limits: Any) -> None:
        super().__init__(name, endpoint, arriving, leaving, **limits)
        self.routes = ()

    @property
    def outbound(self) -> Path:
        """The way to it; its stages may be changed at any time."""
        return self._leaving

    @property
    def inbound(self) -> Path:
        """The way from it."""
        return self._arriving


class Router(Running):
    """
    Joins one tun with many peers: a packet goes to the peer that has the longest prefix of its destination.

    ``await router`` runs it until the tun is closed; ``async with router:`` runs it while the block does. Peers come
    and go at any time. The endpoints stay the caller's.

    Nobody waits for anybody: what an endpoint has no room for is queued for that one alone, at most *packets* and
    *max_bytes* besides the batch in hand; a full queue drops the oldest packets of whoever has most in it: a peer, or
    a flow from the tun. A peer whose endpoint is closed, gone or fails stays, with its routes, and drops what it gets,
    until it is removed; ``peer.ended`` and ``peer.error`` say why. A fault in a stage ends the router, as in pump().

    Drops of packets from a leg: ``no_route``, ``bad_source``, ``bad_packet`` (neither IPv4 nor IPv6, or cut short).
    For a leg: ``overlimit``, ``closed``, ``gone``, ``failed``, ``removed``, ``cancelled``, and what its endpoint
    refuses, by the error's reason.

    Args:
        tun: Where the packets of this machine come from and go to.
        routes: Prefixes behind the tun, for the longest match; what no peer has goes there from peers as well.
        outbound: The stages for packets from the tun, before they are routed.
        inbound: The stages for packets to the tun.
        transit: The stages for packets between peers. If peers may be routers too, ``stages.decrement_ttl()`` must be
            there: it ends packets that go in circles.
        check_source: Drop what a peer sends from a source that would not be routed to that peer.
        peer_to_peer: Send packets between peers on; if not, all that comes from peers goes to the tun.
        packets: How many packets may wait for one endpoint.
        max_bytes: How many bytes may.
        coalesce: As for pump().

    Modelled on the allowed IPs of WireGuard, https://www.wireguard.com/papers/wireguard.pdf section 2.
    """

    __slots__ = ("_limits", "_peers", "_removed", "_table", "_transit", "_tun", "check_source", "peer_to_peer")

    def __init__(
        self,
        tun: Endpoint,
        *,
        routes: Prefixed = (),
        outbound: Stages = (),
        inbound: Stages = (),
        transit: Stages = (),
        check_source: bool = True,
        peer_to_peer: bool = True,
        packets: int = 512,
        max_bytes: int = 1 << 20,
        coalesce: bool | None = None,
    ) -> None:
        if tun.kind == "tap":
            raise ValueError(f"{tun.name}: a router is for packets, a tap carries frames")
        super().__init__(f"the router of {tun.name}")
        self.check_source = check_source
        self.peer_to_peer = peer_to_peer
        self._limits = {"packets": packets, "max_bytes": max_bytes, "coalesce": coalesce}
        self._table: Prefixes[Leg] = Prefixes()
        self._transit = path_of(transit, f"{tun.name} transit", ("peer", "peer"))
        self._tun = Peer(tun.name, tun, outbound, inbound, **self._limits)
        self._peers: dict[str, Peer] = {}
        self._removed = LegStatistics(name="removed")
        self.set_routes(self._tun, routes)

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The peers, in the order they were added in."""
        return tuple(self._peers.values())

    @property
    def transit(self) -> Path:
        """The way between peers; its stages may be changed at any time."""
        return self._transit

    def add(
        self, endpoint: Endpoint, routes: Prefixed, *, name: str = "", outbound: Stages = (), inbound: Stages = ()
    ) -> Peer:
        """
        Add a peer and return it; while the router runs, it carries packets from now on. Does not wait.

        Args:
            endpoint: What leads to it; stays the caller's.
            routes: Its prefixes: ``["10.8.0.2/32", "fd00::2/128"]``.
            name: What it is called, the endpoint's name by default.
            outbound: The stages for packets to it.
            inbound: The stages for packets from it, before they are routed.

        Raises:
            ValueError: If a prefix is none or is another peer's, or there is a peer of that name.
        """
        name = name or endpoint.name
        if name in self._peers or name == self._tun.name:
            raise ValueError(f"{self.what} has a peer {name} already")
        if any(leg.endpoint is endpoint for leg in (self._tun, *self._peers.values())):
            raise ValueError(f"{self.what} uses {endpoint.name} already")
        peer = Peer(name, endpoint, inbound, outbound, **self._limits)
        self.set_routes(peer, routes)
        self._peers[name] = peer
        if self.running:
            self._carry(peer)
        return peer

    async def remove(self, peer: Peer) -> None:
        """
        Remove a peer, its routes and what waits for it. Waits until nobody uses its endpoint any more.

        Raises:
            LookupError: If it is not one of the router's.
        """
        if self._peers.get(peer.name) is not peer:
            raise LookupError(f"{self.what} has no peer {peer.name}")
        self.set_routes(peer, ())
        del self._peers[peer.name]
        peer.end("removed")
        self._removed += peer.statistics()
        await peer.stop()

    def set_routes(self, peer: Peer, routes: Prefixed) -> None:
        """
        Give *peer* these prefixes instead of those it had, with effect from the next packet.

        Raises:
            ValueError: If one is none, or is another peer's; nothing is changed.
        """
        given = (routes,) if isinstance(routes, str | IPv4Network | IPv6Network) else routes
        networks = tuple(dict.fromkeys(map(ip_network, given)))
        for network in networks:
            owner = self._table.get(network)
            if owner is not None and owner is not peer:
                raise ValueError(f"{self.what}: {network} is a route of {owner.name}, not of {peer.name} as well")
        for network in peer.routes:
            del self._table[network]
        for network in networks:
            self._table[network] = peer
        peer.routes = networks
        for leg in (self._tun, *self._peers.values()):
            leg.recent.clear()

    def statistics(self) -> RouterStatistics:
        """Return what was counted so far, also after the end. Does not wait."""
        created, held, dropped, _ = passage(self._transit)
        return RouterStatistics(
            tun=self._tun.statistics(),
            peers=tuple(peer.statistics() for peer in self._peers.values()),
            removed=self._removed,
            transit=LegStatistics(name="transit", created=created, waiting=held, dropped=dict(dropped)),
        )

    def graph(self, format: str = "mermaid") -> str:
        """
        Return a picture of all legs with a counter on each edge: ``"mermaid"`` or ``"dot"``.

        Raises:
            ValueError: If the format is another one.
        """
        return draw(self.what, self.statistics()).render(format)

    def __repr__(self) -> str:
        return f"<Router {self._tun.name}: {len(self._peers)} peers, {len(self._table)} routes>"

    # --- inside -----------------------------------------------------------------------------------

    def _start(self) -> None:
        self._tun.releases.append(Releases(self._transit, self._deliver, self._tun.fail))
        self._task(self._receive_from_tun())
        self._task(self._tun.serve())
        for peer in self._peers.values():
            self._carry(peer)

    def _carry(self, peer: Peer) -> None:
        peer.tasks = self._task(peer.receive(self._route)), self._task(peer.serve())

    async def _receive_from_tun(self) -> None:
        await self._tun.receive(self._route)
        self._stop()
        if self._tun.error is not None:
            raise self._tun.error

    def _route(self, leg: Leg, batch: Batch) -> None:
        """Send on what came from *leg*."""
        recent = leg.recent
        ways: dict[Leg | str, list[bytes]] = {}
        for packet in batch:
            ends = _ends(packet)
            way = recent.get(ends) or self._decide(leg, ends)
            if way in ways:
                ways[way].append(packet)
            else:
                ways[way] = [packet]
        for way, packets in ways.items():
            if isinstance(way, str):
                leg.refused[way] += len(packets)
                continue
            leg.forwarded += len(packets)
            if leg is self._tun:
                way.offer(packets, None)
            elif way is self._tun or not self._transit:
                way.offer(packets, leg)
            else:
                with contextlib.suppress(*REFUSALS):  # the path counted them
                    self._deliver(self._transit(packets))

    def _deliver(self, batch: Batch) -> None:
        """Send on what came out of the way between peers, which may have changed it, or held it back before."""
        ways: dict[Leg, list[bytes]] = {}
        for packet in batch:
            ends = _ends(packet)
            way = self._table.lookup(ends[len(ends) // 2 :]) or self._tun
            ways.setdefault(way, []).append(packet)
        for way, packets in ways.items():
            way.offer(packets, None)

    def _decide(self, leg: Leg, ends: bytes) -> Leg | str:
        """Return where packets between these ends go, or why they do not."""
        half = len(ends) // 2
        lookup = self._table.lookup
        way: Leg | str | None
        if half not in (4, 16):
            way = "bad_packet"
        elif leg is self._tun:
            way = lookup(ends[half:])
            if way is None or way is leg:
                way = "no_route"
        elif self.check_source and lookup(ends[:half]) is not leg:
            way = "bad_source"
        else:
            way = lookup(ends[half:]) if self.peer_to_peer else None
            if way is None or way is leg:
                way = self._tun
        if len(leg.recent) >= RECENT:
            leg.recent.clear()
        leg.recent[ends] = way
        return way


def _ends(packet: bytes) -> bytes:
    """Return source and destination of a packet, one behind the other; nothing, or less, if it has none."""
    return packet[_ENDS.get(packet[0] >> 4, _NOWHERE)] if packet else b""
