"""Two hosts joined by the tunnel, and the ledger of what went between them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import attrs

from ..channel import UdpChannel
from ..endpoint import Endpoint, InterfaceCounters
from .ledger import Hop, Ledger
from .tunnel import KEY_SIZE, Tunnel

__all__ = ["Edge", "Joined", "Site", "interface_drops"]

# Drops of an interface that befall packets from the application to the stack; all others go the other way.
INPUT_DROPS = frozenset({"no_protocol", "input_queue_full", "input_closed", "kernel_input"})
# Drops of a UDP channel that befall datagrams received. ``reported_lost`` is neither: those were sent.
RECEIVE_DROPS = frozenset({"empty", "receive_buffer_full"})

QUIET = 2.0
"""Seconds to wait for packets on their way, at most, before they count as lost."""
GLANCE = 0.01
"""Seconds between two looks at whether all have arrived."""


@attrs.frozen(kw_only=True)
class Edge:
    """What the stack of one host counted at its interface. Packets."""

    sent: int
    """Given to the interface by the stack."""
    send_waiting: int = 0
    """Of these, queued for the application."""
    send_dropped: Mapping[str, int]
    """Of these, dropped by the interface."""
    received: int
    """Taken from the interface by the stack."""
    receive_dropped: Mapping[str, int]
    """Dropped by the interface before the stack saw them."""


@attrs.frozen
class Site:
    """One of the two hosts, as the tunnel sees it."""

    name: str
    tun: Endpoint
    channel: UdpChannel
    tunnel: Tunnel
    edge: Callable[[], Edge]
    """Asks the stack for its counters."""


class Joined:
    """
    Two tuns and the encrypted tunnel between them.

    The tuns and channels stay the caller's. *tunnel* makes the two ends, so that a test can put a
    faulty one in.
    """

    def __init__(
        self,
        names: tuple[str, str],
        tuns: tuple[Endpoint, Endpoint],
        channels: tuple[UdpChannel, UdpChannel],
        edges: tuple[Callable[[], Edge], Callable[[], Edge]],
        *,
        tunnel: Callable[..., Tunnel] = Tunnel,
    ) -> None:
        key = os.urandom(KEY_SIZE)
        self.sites = tuple(
            Site(name, tun, channel, tunnel(tun, channel, key, first=first), edge)
            for name, tun, channel, edge, first in zip(names, tuns, channels, edges, (True, False), strict=True)
        )

    async def run(self) -> None:
        """Carry packets until cancelled; see Tunnel.run()."""
        async with asyncio.TaskGroup() as tasks:
            for site in self.sites:
                tasks.create_task(site.tunnel.run())

    async def settle(self) -> None:
        """Wait until no packet is on its way any more; packets lost are not waited for longer than 2 seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + QUIET
        while loop.time() < deadline:
            if not any(ledger.unaccounted or ledger.waiting for ledger in self.ledgers()):
                return
            await asyncio.sleep(GLANCE)

    def ledgers(self) -> tuple[Ledger, Ledger]:
        """Return the account of both directions as it stands; packets on their way show as unaccounted."""
        first, second = self.sites
        return _ledger(first, second), _ledger(second, first)


def _split(counts: Mapping[str, int], second: frozenset[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the counts whose reason is not in *second*, and those whose is."""
    one = {reason: count for reason, count in counts.items() if reason not in second}
    return one, {reason: count for reason, count in counts.items() if reason in second}


def interface_drops(counters: InterfaceCounters | None) -> tuple[dict[str, int], dict[str, int]]:
    """Return what an interface dropped on the way to the application, and on the way to the stack."""
    return _split(counters.dropped if counters else {}, INPUT_DROPS)


def _ledger(near: Site, far: Site) -> Ledger:
    sent, received = near.edge(), far.edge()
    near_tun, near_udp = near.tun.statistics(), near.channel.statistics()
    far_udp = far.channel.statistics()
    outbound, inbound = near.tunnel.outbound, far.tunnel.inbound
    near_socket, far_socket = near_udp.interface, far_udp.interface
    assert near_socket is not None and far_socket is not None  # a UDP channel always counts
    not_sent = _split(near_socket.dropped, RECEIVE_DROPS | {"reported_lost"})[0]
    not_received = _split(far_socket.dropped, RECEIVE_DROPS)[1]
    hops = (
        Hop(
            what="stack to tun",
            entered=sent.sent,
            left=near_tun.taken_packets,
            waiting=sent.send_waiting,
            dropped=sent.send_dropped,
        ),
        Hop(
            what="tun to tunnel",
            entered=near_tun.taken_packets,
            left=outbound.taken,
            waiting=near_tun.held_packets,
            dropped=_closed(near_tun.dropped),
        ),
        Hop(what="seal", entered=outbound.taken, left=outbound.passed, dropped=dict(outbound.dropped)),
        Hop(what="tunnel to UDP", entered=outbound.passed, left=near_socket.ipackets, dropped=not_sent),
        Hop(what="UDP to UDP", entered=near_socket.ipackets, left=far_socket.opackets, dropped=not_received),
        Hop(
            what="UDP to tunnel",
            entered=far_socket.opackets,
            left=inbound.taken,
            waiting=far_udp.held_packets,
            dropped=_closed(far_udp.dropped),
        ),
        Hop(what="unseal", entered=inbound.taken, left=inbound.passed, dropped=dict(inbound.dropped)),
        Hop(
            what="tunnel to stack",
            entered=inbound.passed,
            left=received.received,
            dropped=received.receive_dropped,
        ),
    )
    return Ledger(f"{near.name} to {far.name}", hops)


def _closed(dropped: Mapping[str, int]) -> dict[str, int]:
    """Return the endpoint's drops of packets it had taken; ``no_memory`` came before that."""
    return {reason: count for reason, count in dropped.items() if reason == "closed"}
