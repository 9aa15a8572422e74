"""A first-in first-out queue with a bound in packets and in bytes: the drivers' ``ifqueue``."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

import attrs

from ..errors import QueueFull

__all__ = ["Fifo", "QueueStatistics"]


@attrs.frozen(kw_only=True)
class QueueStatistics:
    """What went through a queue: ``offered == taken + queued + sum(dropped.values())``."""

    offered: int
    """Packets that someone tried to enqueue."""
    taken: int
    """Packets dequeued."""
    queued: int
    """Packets waiting now."""
    queued_bytes: int
    """Bytes waiting now."""
    dropped: Mapping[str, int]
    """Packets dropped, by reason."""


class Fifo:
    """
    Packets in order of arrival, at most *packets* of them and at most *max_bytes* together.

    Never waits. A packet that does not fit is dropped, counted as ``queue_full``, and
    the caller is told; one inside the queue leaves it only by dequeue() or purge().

    Modelled on struct ifqueue and IF_ENQUEUE() in BSD sys/net/if_var.h.
    """

    __slots__ = ("_dropped", "_offered", "_queue", "_taken", "max_bytes", "max_packets", "nbytes")

    def __init__(self, packets: int = 50, *, max_bytes: int | None = None) -> None:
        if packets < 1:
            raise ValueError(f"a queue holds at least 1 packet, not {packets}")
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"a queue holds at least 1 byte, not {max_bytes}")
        self.max_packets = packets
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._queue: deque[bytes] = deque()
        self._offered = 0
        self._taken = 0
        # Built at the first drop: most queues never drop, and a host may hold thousands of them.
        self._dropped: Counter[str] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def __repr__(self) -> str:
        return f"<Fifo {len(self)}/{self.max_packets} packets, {self.nbytes} bytes>"

    @property
    def head(self) -> bytes | None:
        """The packet that dequeue() would return, or None; it stays queued (IF_POLL)."""
        return self._queue[0] if self._queue else None

    def enqueue(self, packet: bytes) -> None:
        """
        Append *packet*.

        Raises:
            QueueFull: If it does not fit; it is dropped and counted.
        """
        if not self.enqueue_many((packet,)):
            raise QueueFull(f"queue is full: {len(self)} of {self.max_packets} packets, {self.nbytes} bytes")

    def enqueue_many(self, batch: Sequence[bytes]) -> int:
        """Append the packets that fit, from the front of *batch*; return how many. The others are dropped."""
        self._offered += len(batch)
        accepted = self._fitting(batch)
        if accepted < len(batch):
            self._drop("queue_full", len(batch) - accepted)
            batch = batch[:accepted]
        self._queue.extend(batch)
        self.nbytes += sum(map(len, batch))
        return accepted

    def dequeue(self) -> bytes | None:
        """Remove and return the oldest packet, or None if the queue is empty."""
        if not self._queue:
            return None
        self._taken += 1
        packet = self._queue.popleft()
        self.nbytes -= len(packet)
        return packet

    def dequeue_many(self, limit: int) -> list[bytes]:
        """Remove and return up to *limit* packets, oldest first."""
        queue = self._queue
        if limit >= len(queue):
            batch = list(queue)
            queue.clear()
        else:
            batch = [queue.popleft() for _ in range(limit)]
        self._taken += len(batch)
        self.nbytes -= sum(map(len, batch))
        return batch

    def purge(self, reason: str = "purged") -> list[bytes]:
        """Drop everything queued, counted under *reason*; return what was dropped, for taps that want to see it."""
        dropped = list(self._queue)
        self._queue.clear()
        self.nbytes = 0
        if dropped:
            self._drop(reason, len(dropped))
        return dropped

    def statistics(self) -> QueueStatistics:
        """Return a snapshot of the counters."""
        return QueueStatistics(
            offered=self._offered,
            taken=self._taken,
            queued=len(self._queue),
            queued_bytes=self.nbytes,
            dropped=dict(self._dropped or {}),
        )

    def _fitting(self, batch: Sequence[bytes]) -> int:
        """Return how many packets from the front of *batch* fit."""
        room = min(len(batch), self.max_packets - len(self._queue))
        if self.max_bytes is None:
            return max(room, 0)
        free = self.max_bytes - self.nbytes
        for index in range(room):
            free -= len(batch[index])
            if free < 0:
                return index
        return max(room, 0)

    def _drop(self, reason: str, count: int) -> None:
        if self._dropped is None:
            self._dropped = Counter()
        self._dropped[reason] += count
