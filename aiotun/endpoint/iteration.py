"""
Iterating over an endpoint.

Classes, not async generators: a generator is finished by the first cancel that reaches it, and one
that is left by ``break`` lives on until the garbage collector finds it. These hold no packet of
their own, so a break, a cancel or a second iterator loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DeviceClosed

if TYPE_CHECKING:
    from .receiving import Receiving

__all__ = ["BatchIterator", "PacketIterator"]


class PacketIterator:
    """
    ``async for packet in endpoint``: packets one by one, out of the batch that was read ahead.

    Ends when the endpoint is closed; raises DeviceGone when the device is deleted.
    """

    __slots__ = ("_endpoint", "_pop")

    def __init__(self, endpoint: Receiving) -> None:
        self._endpoint = endpoint
        self._pop = endpoint._held.popleft

    def __aiter__(self) -> PacketIterator:
        return self

    async def __anext__(self) -> bytes:
        # Entering a try costs nothing; asking the deque for its length first does.
        try:
            return self._pop()
        except IndexError:
            pass
        try:
            await self._endpoint._fill()
        except DeviceClosed:
            raise StopAsyncIteration from None
        return self._pop()


class BatchIterator:
    """``async for batch in endpoint.batches()``: lists of 1 to *limit* packets; ends like PacketIterator."""

    __slots__ = ("_endpoint", "_limit")

    def __init__(self, endpoint: Receiving, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a batch has at least 1 packet, not {limit}")
        self._endpoint = endpoint
        self._limit = limit

    def __aiter__(self) -> BatchIterator:
        return self

    async def __anext__(self) -> list[bytes]:
        try:
            return await self._endpoint.recv_many(self._limit)
        except DeviceClosed:
            raise StopAsyncIteration from None
