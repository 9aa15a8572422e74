"""CoDel, controlled delay: a queue that drops when packets have waited too long, for too long."""

from __future__ import annotations

from collections.abc import Sequence

from .controlled import ControlledQueue, Law
from .discipline import Queue

__all__ = ["CoDel"]


class CoDel(Queue):
    """
    First in, first out; once packets have waited *target* for an *interval*, ever more of them are dropped.

    A drop happens at dequeue or head() and is counted as ``codel``; what does not fit is ``queue_full``.
    The last packets, an mtu of them, are never dropped, so a queue that is not empty always has one to give.

    Args:
        packets: The bound, in packets.
        target: The delay that is no reason to drop, in seconds.
        interval: How long it may be passed before the first drop, in seconds.
        mtu: Bytes of the largest packet, link header included.
        ecn: Mark packets instead of dropping them, if their ends understand that; a marked packet is ``marked``.

    RFC 8289.
    """

    __slots__ = ("_law", "_queue")

    def __init__(
        self, packets: int = 1000, *, target: float = 0.005, interval: float = 0.1, mtu: int = 1514, ecn: bool = False
    ) -> None:
        super().__init__(packets)
        self._law = Law(target, interval, mtu, ecn)
        self._queue = ControlledQueue(self._law)

    def __len__(self) -> int:
        return len(self._queue.packets)

    @property
    def nbytes(self) -> int:
        return self._queue.nbytes

    def enqueue_many(self, batch: Sequence[bytes], now: float) -> Sequence[bytes]:
        self._offered += len(batch)
        room = self.room()
        if room < len(batch):
            self._drop("queue_full", len(batch) - room)
            batch = batch[:room]
        self._queue.push(batch, now)
        return batch

    def dequeue_many(self, limit: int, now: float) -> list[bytes]:
        before = len(self._queue.packets)
        batch = self._queue.pull_many(limit, now, self.offset)
        self._taken += len(batch)
        self._drop("codel", before - len(self._queue.packets) - len(batch))
        return batch

    def head(self, now: float) -> bytes | None:
        before = len(self._queue.packets)
        if not before:
            return None
        packet = self._queue.settle(now, self.offset)
        self._drop("codel", before - len(self._queue.packets))
        return packet

    def _empty(self) -> list[bytes]:
        return self._queue.clear()

    def _marked(self) -> int:
        return self._law.marked
