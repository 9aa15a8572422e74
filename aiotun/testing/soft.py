"""Rigs of in-process endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from ..endpoint import Endpoint, Opening
from ..host import SoftHost
from ..offload import MAX_SEGMENTS
from ..packet import UDP, Ethernet, IPv4, Protocol
from .offload import unfinished
from .rig import NUMBER, Rig

__all__ = ["OffloadRig", "SoftRig", "soft_offload_tap", "soft_offload_tun", "soft_tap", "soft_tun"]

Open = Callable[..., Opening[Any]]


class SoftRig(Rig):
    """An endpoint of a SoftHost; the network side is the interface itself."""

    def __init__(self, host: SoftHost, endpoint: Endpoint, open: Open) -> None:
        self.endpoint = endpoint
        self._host = host
        self._open = open
        self._name = endpoint.name
        self._interface = host.interface(endpoint.name)
        self._network = host.network_side(endpoint.name)

    def output(self, batch: list[bytes]) -> None:
        self._interface.output(batch)

    async def input(self, count: int) -> list[bytes]:
        packets: list[bytes] = []
        while len(packets) < count:
            packets += await self._network.recv_many(count - len(packets))
        return packets

    def set_up(self, up: bool) -> None:
        self._interface.set_up(up)

    def set_mtu(self, mtu: int) -> None:
        self._interface.set_mtu(mtu)

    def delete(self) -> None:
        self._host.destroy(self._name)

    async def reopen(self) -> Endpoint:
        reopened: Endpoint = await self._open(self._name)
        return reopened


class OffloadRig(SoftRig):
    """
    An endpoint of a SoftHost opened with offload, whose packets are UDP that goes both ways as super-packets.

    What the program receives is finished, and what it sends arrives finished, all the same.
    """

    def __init__(self, host: SoftHost, endpoint: Endpoint, open: Open, max_segments: int) -> None:
        super().__init__(host, endpoint, open)
        leave = unfinished(self.header > 0, max_segments=max_segments)
        output, input = self._interface.output, self._interface.input
        output.insert_before(next(iter(output)), leave)
        input.insert_before(list(input)[-1], leave)  # behind the count of what the program sent

    def packet(self, number: int, size: int = 64) -> bytes:
        payload = size - 28
        if payload < NUMBER:
            return super().packet(number, size)
        ends = "192.0.2.1", "198.51.100.1"
        datagram = UDP(1000, 2000, number.to_bytes(NUMBER, "big").ljust(payload, b"\0")).build(*ends)
        return self.frame(IPv4(*ends, Protocol.UDP, datagram, dont_fragment=True).build())

    def number(self, packet: bytes) -> int:
        if packet[self.header + 9] != Protocol.UDP:
            return super().number(packet)
        start = self.header + 28
        return int.from_bytes(packet[start : start + NUMBER], "big")

    def frame(self, packet: bytes) -> bytes:
        return Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01", 0x0800, packet).build() if self.header else packet


@asynccontextmanager
async def _rig(host: SoftHost, open: Open, options: dict[str, Any]) -> AsyncIterator[Rig]:
    async with host:
        yield SoftRig(host, await open("rig%d", **options), open)


@asynccontextmanager
async def _offload_rig(host: SoftHost, open: Open, options: dict[str, Any]) -> AsyncIterator[Rig]:
    open = partial(open, offload=True)
    max_segments = 1 if "queue_length" in options else MAX_SEGMENTS  # a bound in packets counts a merged one once
    async with host:
        yield OffloadRig(host, await open("rig%d", **options), open, max_segments)


def soft_tun(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of an in-process tun."""
    host = SoftHost()
    return _rig(host, host.open_tun, options)


def soft_tap(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of an in-process tap."""
    host = SoftHost()
    return _rig(host, host.open_tap, options)


def soft_offload_tun(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of an in-process tun with offload."""
    host = SoftHost()
    return _offload_rig(host, host.open_tun, options)


def soft_offload_tap(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of an in-process tap with offload."""
    host = SoftHost()
    return _offload_rig(host, host.open_tap, options)
