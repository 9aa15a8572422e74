"""Endpoints to join in tests: a medium whose room a test decides, and packets that are told apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from endpoint.fakes import FakePort, Read

from aiotun.endpoint import Tun
from aiotun.packet import IPv4, Protocol

TURNS = 50
"""Turns of the loop after which everything that waits for nothing has happened."""


class Medium(FakePort):
    """A port with room for a number of packets, which a test gives it; None is room without end."""

    def __init__(self, name: str, room: int | None = None) -> None:
        super().__init__()
        self.name = self.next_name = name
        self.room = room
        self.make_room(0)

    def output(self, *batches: Read) -> None:
        super().output(*batches)
        self.readable.set()

    def read_many(self, limit: int) -> list[bytes]:
        batch = super().read_many(limit)
        if not self.read_script:
            self.readable.clear()
        return batch

    def write_many(self, batch: Sequence[bytes]) -> int:
        if self.room is not None and not self.write_script:
            batch = batch[: self.room]
            self.room -= len(batch)
            self.make_room(0)
        return super().write_many(batch)

    def make_room(self, count: int | None) -> None:
        """Add room for so many packets; None is room without end."""
        self.room = None if count is None or self.room is None else self.room + count
        if self.room == 0:
            self.writable.clear()
        else:
            self.writable.set()


class WholeMedium(Medium):
    """A port that takes super-packets, and gives them to those who ask."""

    superpackets = True
    offload = frozenset({"tso", "uso", "tcp_gro", "udp_gro"})

    def read_whole(self, limit: int) -> list[bytes]:
        return super().read_many(limit)

    def read_many(self, limit: int) -> list[bytes]:
        return [bytes(packet) for packet in super().read_many(limit)]


@asynccontextmanager
async def ends(*ports: Medium) -> AsyncIterator[list[Tun]]:
    """Endpoints on *ports*, closed at the end."""
    endpoints = [Tun(port) for port in ports]
    try:
        yield endpoints
    finally:
        for endpoint in endpoints:
            await endpoint.aclose()


async def turns(count: int = TURNS) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait, in turns of the loop, until it holds."""
    while not condition():
        await asyncio.sleep(0)


def udp(src: str, dst: str, number: int = 0, size: int = 12) -> bytes:
    """An IPv4 packet of 28 + *size* bytes with *number* in its last four, as numbers() finds it."""
    body = (8 + size).to_bytes(2, "big")
    return IPv4(src, dst, Protocol.UDP, bytes(4) + body + bytes(size - 2) + number.to_bytes(4, "big")).build()
