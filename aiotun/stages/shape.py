"""Holding packets to a rate by a queueing discipline."""

from __future__ import annotations

from collections import Counter

from ..pipeline import Batch
from ..queueing import Discipline
from ..queueing.discipline import check_discipline
from .clock import Clock, loop_time
from .holding import Holding

__all__ = ["shape"]

_ALL = 1 << 30


class shape(Holding):
    """
    Queue packets by a discipline, and let them go on at its pace: ``shape(TokenBucket(10_000_000, 15_000))``.

    The discipline decides what is dropped, and under which reason. Super-packets are cut in front:
    a rate holds for packets, a discipline sorts and marks them.

    Args:
        queue: What the packets wait in; it belongs to this stage from now on.
        clock: Returns the time in seconds; the running loop's by default.

    Raises:
        TypeError: If the queue is not a discipline.
    """

    __slots__ = ("_seen", "queue")

    superpackets = False

    queue: Discipline
    """What the packets wait in."""

    def __init__(self, queue: Discipline, *, clock: Clock = loop_time) -> None:
        check_discipline("the queue of shape", queue)
        super().__init__(clock)
        self.queue = queue
        self._seen = Counter(queue.statistics().dropped)

    def __len__(self) -> int:
        return len(self.queue)

    def ready_at(self, now: float) -> float | None:
        return self.queue.ready_at(now)

    def _take(self, now: float, dropped: Counter[str]) -> list[bytes]:
        taken = self.queue.dequeue_many(_ALL, now)
        self._count(dropped)
        return taken

    def _hold(self, batch: Batch, now: float, dropped: Counter[str]) -> None:
        self.queue.enqueue_many(batch, now)
        self._count(dropped)

    def _purge(self, reason: str) -> None:
        self.queue.purge(reason)
        self._seen = Counter(self.queue.statistics().dropped)  # the stage counts these itself

    def _count(self, dropped: Counter[str]) -> None:
        """Take over what the discipline dropped since the last time."""
        found = Counter(self.queue.statistics().dropped)
        if found != self._seen:
            dropped.update(found - self._seen)
            self._seen = found
