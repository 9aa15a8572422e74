"""Many peers behind one tun: the longest prefix says whose a packet is."""

from __future__ import annotations

from ..endpoint import Endpoint
from .path import Path
from .pump_direction import Stages, path_of
from .pump_release import Releases, passed
from .pump_running import Running
from .pump_statistics import Passage
from .router_graph import draw
from .router_leg import Leg
from .router_peer import Peer
from .router_statistics import LegStatistics, RouterStatistics
from .router_table import Prefixed, RouterTable, ends_of
from .stage import Batch

__all__ = ["Router"]


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

    __slots__ = (
        "_limits",
        "_passage",
        "_peers",
        "_removed",
        "_table",
        "_transit",
        "_tun",
    )

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
        _refuse_frames(tun)
        super().__init__(f"the router of {tun.name}")
        self._limits = {"packets": packets, "max_bytes": max_bytes, "coalesce": coalesce}
        self._transit = path_of(transit, f"{tun.name} transit", ("peer", "peer"), "transit")
        self._passage = Passage(self._transit)
        self._tun = Peer(tun.name, tun, outbound, inbound, **self._limits)
        self._peers: dict[str, Peer] = {}
        self._removed = LegStatistics(name="removed")
        self._table = RouterTable(
            self.what, self._tun, self._peers.values, check_source=check_source, peer_to_peer=peer_to_peer
        )
        self._table.give(self._tun, routes)

    @property
    def check_source(self) -> bool:
        """Whether a peer may send only from sources that would be routed to it; counts from the next packet on."""
        return self._table.check_source

    @check_source.setter
    def check_source(self, check: bool) -> None:
        self._table.check_source = check

    @property
    def peer_to_peer(self) -> bool:
        """Whether packets between peers are sent on; counts from the next packet on."""
        return self._table.peer_to_peer

    @peer_to_peer.setter
    def peer_to_peer(self, allowed: bool) -> None:
        self._table.peer_to_peer = allowed

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
            ValueError: If a prefix is none or is another peer's, there is a peer of that name, the endpoint carries
                frames or is in the router already, or a Path is in use by another way.
            TypeError: If a prefix is neither text nor a network.
            RuntimeError: If the router has ended.
        """
        if self._stopped:
            raise RuntimeError(f"{self.what} has ended; make another one")
        _refuse_frames(endpoint)
        name = name or endpoint.name
        if name in self._peers or name == self._tun.name:
            raise ValueError(f"{self.what} has a peer {name} already")
        if any(leg.endpoint is endpoint for leg in (self._tun, *self._peers.values())):
            raise ValueError(f"{self.what} uses {endpoint.name} already")
        peer = Peer(name, endpoint, inbound, outbound, **self._limits)
        self._table.give(peer, routes)
        self._peers[name] = peer
        if self.running:
            try:
                self._carry(peer)
            except BaseException:
                self._table.give(peer, ())
                del self._peers[name]
                raise
        return peer

    async def remove(self, peer: Peer) -> None:
        """
        Remove a peer, its routes and what waits for it. Waits until nobody uses its endpoint any more.

        Raises:
            LookupError: If it is not one of the router's.
        """
        self._check_own(peer)
        self._table.give(peer, ())
        del self._peers[peer.name]
        peer.end("removed")
        self._removed += peer.statistics()
        await peer.stop()

    def set_routes(self, peer: Peer, routes: Prefixed) -> None:
        """
        Give *peer* these prefixes instead of those it had, with effect from the next packet.

        Raises:
            LookupError: If it is not one of the router's.
            ValueError: If one is none, or is another peer's; nothing is changed.
            TypeError: If one is neither text nor a network.
        """
        self._check_own(peer)
        self._table.give(peer, routes)

    def statistics(self) -> RouterStatistics:
        """Return what was counted so far, also after the end. Does not wait."""
        created, held, dropped, _ = self._passage.counted()
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
        self._tun.begin(self._route)
        self._passage.begin()
        self._task(self._receive_from_tun())
        self._task(self._tun.serve()).add_done_callback(self._tun.let_go)
        for peer in self._peers.values():
            self._carry(peer)

    def _carry(self, peer: Peer) -> None:
        peer.begin(self._route)
        try:
            peer.tasks = self._task(peer.receive(self._route)), self._task(peer.serve())
        except BaseException:
            peer.end("cancelled")
            raise
        peer.tasks[1].add_done_callback(peer.let_go)

    def _check_own(self, peer: Peer) -> None:
        if self._peers.get(peer.name) is not peer:
            raise LookupError(f"{self.what} has no peer {peer.name}")

    async def _receive_from_tun(self) -> None:
        await self._tun.receive(self._route)
        self._stop()
        if self._tun.error is not None:
            raise self._tun.error

    def _route(self, leg: Leg, batch: Batch) -> None:
        """Send on what came from *leg*."""
        if self._tun.ended is not None:  # the router is about to
            leg.refused[self._tun.ended] += len(batch)
            return
        recent = leg.recent
        ways: dict[Leg | str, list[bytes]] = {}
        for packet in batch:
            ends = ends_of(packet)
            way = recent.get(ends) or self._table.decide(leg, ends)
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
                self._cross(packets)

    def _cross(self, packets: list[bytes]) -> None:
        """Take packets through the stages between peers."""
        self._deliver(passed(self._transit, packets))

    def _deliver(self, batch: Batch) -> None:
        """Send on what came out of the way between peers, which may have changed it, or held it back before."""
        ways: dict[Leg, list[bytes]] = {}
        for packet in batch:
            ways.setdefault(self._table.reached(ends_of(packet)), []).append(packet)
        for way, packets in ways.items():
            way.offer(packets, None)


def _refuse_frames(endpoint: Endpoint) -> None:
    if endpoint.carries == "ethernet":
        raise ValueError(f"{endpoint.name}: a router is for packets, this {endpoint.kind} carries frames")
