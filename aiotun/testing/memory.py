"""Rigs of links in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..channel import MemoryChannel, memory_pair
from ..endpoint import Endpoint
from .rig import Rig

__all__ = ["memory_channel"]


class MemoryRig(Rig):
    """One end of a link in memory; the network side is the other."""

    endpoint: MemoryChannel

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self.endpoint, self._far = self._pair()

    def _pair(self) -> tuple[MemoryChannel, MemoryChannel]:
        return memory_pair(names=("memory rig", "memory far"), **self._options)

    def output(self, batch: list[bytes]) -> None:
        self._far.send_many_nowait(batch)

    async def input(self, count: int) -> list[bytes]:
        packets: list[bytes] = []
        while len(packets) < count:
            packets += await self._far.recv_many(count - len(packets))
        return packets

    def set_up(self, up: bool) -> None:
        self.endpoint.set_link(up)

    def set_mtu(self, mtu: int) -> None:
        self.endpoint.set_mtu(mtu)

    def delete(self) -> None:
        self._far._port.close_now()  # what aclose() does, which would have to be awaited

    async def reopen(self) -> Endpoint:
        await self._far.aclose()
        endpoint, self._far = self._pair()
        return endpoint

    async def close(self) -> None:
        """Close both ends."""
        await self.endpoint.aclose()
        await self._far.aclose()


@asynccontextmanager
async def _rig(options: dict[str, Any]) -> AsyncIterator[Rig]:
    rig = MemoryRig(options)
    try:
        yield rig
    finally:
        await rig.close()


def memory_channel(*, queue_length: int | None = None, **options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a link in memory that carries 1500 bytes."""
    if queue_length is not None:
        options |= {"limit": queue_length, "when_full": "drop"}
    return _rig({"mtu": 1500, **options})
