"""
Iterating over an endpoint.

Classes, not async generators: a generator is finished by the first cancel that reaches it, and one
that is left by ``break`` lives on until the garbage collector finds it. These hold no packet of
their own, so a break, a cancel or a second iterator loses nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..errors import DeviceClosed
from ..speedups import twin

__all__ = ["BatchIterator", "PacketIterator"]


@twin
class PacketIterator:
    """
    ``async for packet in endpoint``: packets one by one, out of the batch that was read ahead.

    Ends when the endpoint is closed; raises DeviceGone when the device is deleted.
    """

    __slots__ = ("_fill", "_pop")

    def __init__(self, pop: Callable[[], bytes], fill: Callable[[], Awaitable[None]]) -> None:
        self._pop = pop  # takes a packet that was read ahead; IndexError if there is none
        self._fill = fill  # waits until there is one

    def __aiter__(self) -> PacketIterator:
        return self

    async def __anext__(self) -> bytes:
        # Entering a try costs nothing; asking the deque for its length first does.
        try:
            return self._pop()
        except IndexError:
            pass
        try:
            await self._fill()
        except DeviceClosed:
            raise StopAsyncIteration from None
        return self._pop()


class BatchIterator:
    """``async for batch in endpoint.batches()``: lists of 1 to *limit* packets; ends like PacketIterator."""

    __slots__ = ("_limit", "_recv_many")

    def __init__(self, recv_many: Callable[[int], Awaitable[list[bytes]]], limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a batch has at least 1 packet, not {limit}")
        self._recv_many = recv_many
        self._limit = limit

    def __aiter__(self) -> BatchIterator:
        return self

    async def __anext__(self) -> list[bytes]:
        try:
            return await self._recv_many(self._limit)
        except DeviceClosed:
            raise StopAsyncIteration from None
