"""A first-in first-out queue with a bound in packets and in bytes: the drivers' ``ifqueue``."""

from __future__ import annotations

from collections.abc import Sequence

from .discipline import Queue, whole

__all__ = ["Fifo"]


class Fifo(Queue):
    """
    Packets in order of arrival, at most *packets* of them and at most *max_bytes* together.

    A packet that does not fit is dropped with all behind it in its batch, counted as ``queue_full``;
    one inside the queue leaves it only by dequeue_many() or purge(). Time plays no part.

    Modelled on struct ifqueue and IF_ENQUEUE() in BSD sys/net/if_var.h.
    """

    __slots__ = ("_free", "_packets", "max_bytes")

    def __init__(self, packets: int = 50, *, max_bytes: int | None = None) -> None:
        if max_bytes is not None:
            max_bytes = whole("max_bytes is a whole number", max_bytes)
            if max_bytes < 1:
                raise ValueError(f"a queue holds at least 1 byte, not {max_bytes}")
        super().__init__(packets)
        self.max_bytes = max_bytes
        # Bytes that still fit, kept only where they are bounded: to count them is half of what a packet costs here.
        self._free = max_bytes
        # A list: an empty one takes 56 bytes where a deque takes 760, and slicing off a batch of 64
        # beats 64 calls of popleft() until tens of thousands of packets have to move up.
        self._packets: list[bytes] = []

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def nbytes(self) -> int:
        return sum(map(len, self._packets))

    def room(self) -> int:
        """Return how many packets fit now, as far as their number counts; none if all bytes are taken."""
        return 0 if self._free == 0 else super().room()

    def fitting(self, batch: Sequence[bytes]) -> int:
        room = min(len(batch), super().room())
        if self._free is None:
            return room
        free = self._free
        for index in range(room):
            free -= len(batch[index])
            if free < 0:
                return index
        return room

    def enqueue_many(self, batch: Sequence[bytes], now: float = 0.0) -> Sequence[bytes]:
        self._offered += len(batch)
        # fitting(), where only packets are bounded, costs three calls.
        free = self.max_packets - len(self._packets)
        accepted = len(batch) if self._free is None and len(batch) <= free else self.fitting(batch)
        if accepted < len(batch):
            self._drop("queue_full", len(batch) - accepted)
            batch = batch[:accepted]
        self._packets.extend(batch)
        if self._free is not None:
            self._free -= sum(map(len, batch))
        return batch

    def dequeue_many(self, limit: int, now: float = 0.0) -> list[bytes]:
        packets = self._packets
        if limit >= len(packets):
            self._taken += len(packets)
            return self._empty()
        batch = packets[:limit]
        del packets[:limit]
        self._taken += len(batch)
        if self._free is not None:
            self._free += sum(map(len, batch))
        return batch

    def head(self, now: float = 0.0) -> bytes | None:
        return self._packets[0] if self._packets else None

    def ready_at(self, now: float = 0.0) -> float | None:
        return now if self._packets else None

    def _empty(self) -> list[bytes]:
        packets, self._packets = self._packets, []
        self._free = self.max_bytes
        return packets
