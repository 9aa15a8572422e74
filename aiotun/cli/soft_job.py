"""The demo in process: two SoftHosts joined by the tunnel, with a ping and a bulk transfer through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ..channel import UdpChannel, open_udp_pair
from ..endpoint import BATCH, Tun
from ..host import SoftHost
from ..packet import UDP, IPv4, Protocol, UDPView
from .bulk import NUMBER_SIZE, BulkReceiver, BulkSender
from .joined import Edge, Joined, interface_drops
from .progress import Job
from .soft_stack import IPV4_HEADER, Addresses, Datagrams, SoftStack
from .tunnel import Tunnel

__all__ = ["SoftJob"]

EAST = Addresses("10.77.0.1", "fd77::1")
WEST = Addresses("10.77.0.2", "fd77::2")
DATA_PORT, ANSWER_PORT = 7701, 7702
HEADERS = IPV4_HEADER + 8

WINDOW = 128
"""Packets of the bulk transfer on their way at most: two batches; more only wait, and pings behind them."""
PING_EVERY = 0.1
"""Seconds."""
LAST_ANSWERS = 5.0
"""Seconds that the end of the transfer may take, at most."""
LAST_PING = 1.0
"""Seconds that the last pings may take to be answered, at most."""


class SoftJob(Job):
    """
    Two in-process hosts, any operating system, no privilege.

    Args:
        size: Bytes of an IP packet of the bulk transfer, and the tuns' mtu.
        tunnel: Makes one end of the tunnel, called as Tunnel is.
    """

    title = "two in-process hosts"

    def __init__(self, *, size: int = 1420, tunnel: Callable[..., Tunnel] = Tunnel) -> None:
        super().__init__()
        self._size = size
        self._tunnel = tunnel
        self._undo = contextlib.AsyncExitStack()
        self._answered = asyncio.Event()

    async def __aenter__(self) -> Self:
        async with self._undo:
            east, edge_east, self._east = await self._host(EAST, self._answers)
            west, edge_west, self._west = await self._host(WEST, self._data)
            self.measured.rtts = self._east.rtts
            channels = await open_udp_pair()
            for channel in channels:
                self._undo.push_async_callback(channel.aclose)
            window = _window(channels[1], self._size)
            self._sender = BulkSender(_bulk_head(self._size), self._size - HEADERS - NUMBER_SIZE, window)
            self._receiver = BulkReceiver(HEADERS, window)
            edges = (edge_east, edge_west)
            self.joined = Joined(("east", "west"), (east, west), channels, edges, tunnel=self._tunnel)
            self._undo = self._undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._undo.aclose()

    async def carry(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.joined.run())
            tasks.create_task(self._east.run())
            tasks.create_task(self._west.run())

    async def traffic(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ping(stop))
            tasks.create_task(self._transfer(stop))

    # --- inside -----------------------------------------------------------------------------------

    async def _host(self, addresses: Addresses, datagrams: Datagrams) -> tuple[Tun, Callable[[], Edge], SoftStack]:
        host = await self._undo.enter_async_context(SoftHost())
        tun = await host.open_tun("tun0", address=(f"{addresses.ipv4}/24", f"{addresses.ipv6}/64"), mtu=self._size)
        stack = SoftStack(host.network_side("tun0"), datagrams)
        return tun, _edge(host, stack), stack

    async def _ping(self, stop: asyncio.Event) -> None:
        """Ping every 0.1 s, IPv4 and IPv6 in turn."""
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            await self._east.ping(EAST, WEST, self.measured.pings)
            self.measured.pings += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PING_EVERY)
        deadline = loop.time() + LAST_PING
        while len(self.measured.rtts) < self.measured.pings and loop.time() < deadline:
            await asyncio.sleep(0.01)

    async def _transfer(self, stop: asyncio.Event) -> None:
        """Keep the window full until *stop*, then until all is answered."""
        sender, loop = self._sender, asyncio.get_running_loop()
        deadline: float | None = None
        while sender.unanswered or not stop.is_set():
            now = loop.time()
            if stop.is_set():
                deadline = deadline or now + LAST_ANSWERS
                if now > deadline:
                    break
            batch = [] if stop.is_set() else sender.fill(now, BATCH)
            batch = batch or sender.overdue(now)
            if batch:
                await self._east.send(batch)
            else:
                await self._wait_for_answer(now)
        self.measured.resent = sender.resent
        self.measured.intact = not sender.unanswered and sender.digest == self._receiver.digest

    async def _wait_for_answer(self, now: float) -> None:
        self._answered.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((self._sender.due or now + 0.1) - now):
                await self._answered.wait()

    async def _answers(self, packets: list[bytes]) -> None:
        """West answers the transfer, to east."""
        now = asyncio.get_running_loop().time()
        for packet in packets:
            again = self._sender.answer(UDPView(packet, IPV4_HEADER).payload, now)
            if again:
                await self._east.send(again)
        self._answered.set()

    async def _data(self, packets: list[bytes]) -> None:
        """The transfer arrives in the west, which answers once for all of a batch."""
        self._receiver.take(packets)
        self.measured.content = self._receiver.content
        answer = UDP(DATA_PORT, ANSWER_PORT, self._receiver.answer()).build(WEST.ipv4, EAST.ipv4)
        await self._west.send([IPv4(WEST.ipv4, EAST.ipv4, Protocol.UDP, answer).build()])


def _edge(host: SoftHost, stack: SoftStack) -> Callable[[], Edge]:
    interface = host.interface("tun0")

    def edge() -> Edge:
        output, input = interface_drops(interface.counters())
        return Edge(
            sent=stack.sent,
            send_waiting=len(interface.snd),
            send_dropped=output,
            received=stack.received,
            receive_dropped=input,
        )

    return edge


def _window(channel: UdpChannel, size: int) -> int:
    """Return how many packets of *size* bytes the channel's receive buffer holds for sure; the kernel counts 2 to 1."""
    with socket.fromfd(channel.fileno(), socket.AF_INET, socket.SOCK_DGRAM) as sock:
        granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return max(2, min(WINDOW, granted // (2 * size)))


def _bulk_head(size: int) -> bytes:
    """Return the IP and UDP headers of every bulk packet: they are all of one size."""
    datagram = UDP(ANSWER_PORT, DATA_PORT, bytes(size - HEADERS)).build(EAST.ipv4, WEST.ipv4)
    # No UDP checksum, RFC 768: the tunnel vouches for the packet, and the digest for the content.
    packet = IPv4(EAST.ipv4, WEST.ipv4, Protocol.UDP, datagram, dont_fragment=True).build()
    return packet[: HEADERS - 2] + bytes(2)
