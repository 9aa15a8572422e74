"""A very small IP stack for the in-process demo: it answers pings, sends pings, and hands on UDP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import attrs

from ..endpoint import Endpoint
from ..packet import ICMP, ICMPType, ICMPv6, ICMPv6Type, ICMPv6View, ICMPView, IPv4, IPv6, Protocol, echo_reply

__all__ = ["Addresses", "Datagrams", "SoftStack"]

UDP_BYTE = int(Protocol.UDP)
IPV4_HEADER, IPV6_HEADER = 20, 40
ECHO_TEXT = bytes(range(56))
"""What an echo request carries: as many bytes as ping(8) sends."""
IDENTIFIER = 0xA10

Datagrams = Callable[[list[bytes]], Awaitable[None]]
"""Takes a batch of IPv4 packets with UDP in them."""


@attrs.frozen
class Addresses:
    """One host's addresses."""

    ipv4: str
    ipv6: str


class SoftStack:
    """
    The stack of one in-process host, on the network side of its tun.

    Args:
        side: The network side; it stays the caller's.
        datagrams: Gets the IPv4 UDP packets of each batch received.
    """

    def __init__(self, side: Endpoint, datagrams: Datagrams) -> None:
        self.sent = 0
        """Packets given to the interface."""
        self.received = 0
        """Packets taken from it."""
        self.rtts: list[float] = []
        """Round trip times of the pings, in seconds."""
        self._side = side
        self._datagrams = datagrams
        self._sending = asyncio.Lock()
        self._asked: dict[int, float] = {}  # by perf_counter(): uvloop's own clock ticks in milliseconds

    async def run(self) -> None:
        """Receive and answer until cancelled, or until the network side is closed."""
        async for batch in self._side.batches():
            self.received += len(batch)
            datagrams = [packet for packet in batch if packet[9] == UDP_BYTE and packet[0] == 0x45]
            if datagrams:
                await self._datagrams(datagrams)
            if len(datagrams) < len(batch):
                await self._echoes([packet for packet in batch if packet[9] != UDP_BYTE or packet[0] != 0x45])

    async def send(self, batch: Sequence[bytes]) -> None:
        """Send packets in order; waits while the interface's queue is full."""
        if not batch:
            return
        async with self._sending:
            await self._side.send_many(batch)
            self.sent += len(batch)

    async def ping(self, source: Addresses, target: Addresses, number: int) -> None:
        """Send an echo request over IPv4, if *number* is even, or IPv6."""
        sequence = number & 0xFFFF
        packet: IPv4 | IPv6
        if number % 2:
            request6 = ICMPv6.echo_request(IDENTIFIER, sequence, ECHO_TEXT).build(source.ipv6, target.ipv6)
            packet = IPv6(source.ipv6, target.ipv6, Protocol.ICMPV6, request6)
        else:
            request = ICMP.echo_request(IDENTIFIER, sequence, ECHO_TEXT).build()
            packet = IPv4(source.ipv4, target.ipv4, Protocol.ICMP, request)
        self._asked[sequence] = time.perf_counter()
        await self.send([packet.build()])

    async def _echoes(self, packets: list[bytes]) -> None:
        replies: list[bytes] = []
        for packet in packets:
            reply = echo_reply(packet)
            if reply is not None:
                replies.append(reply)
            else:
                self._answered(packet)
        await self.send(replies)

    def _answered(self, packet: bytes) -> None:
        """Note the round trip time if *packet* answers a ping of ours."""
        view: ICMPView | ICMPv6View
        if packet[0] >> 4 == 4:
            view = ICMPView(packet, IPV4_HEADER)
            reply = int(ICMPType.ECHO_REPLY)
        else:
            view = ICMPv6View(packet, IPV6_HEADER)
            reply = int(ICMPv6Type.ECHO_REPLY)
        if view.type != reply or view.identifier != IDENTIFIER:
            return
        asked = self._asked.pop(view.sequence, None)
        if asked is not None:
            self.rtts.append(time.perf_counter() - asked)
