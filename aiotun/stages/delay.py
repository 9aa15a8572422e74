"""A way that takes time."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from random import Random

from ..pipeline import Batch
from .clock import Clock, loop_time
from .holding import Holding

__all__ = ["delay"]


class delay(Holding):
    """
    Let every packet wait for *seconds*.

    With *jitter* each waits for a time of its own, and packets overtake each other as they do on such a way. The same
    *seed* gives the same times, whatever batches the packets come in. A packet beyond *limit* is dropped, counted as
    ``queue_full``. Super-packets pass whole.

    Args:
        seconds: How long a packet waits.
        jitter: How much longer or shorter it may be, in seconds; evenly distributed.
        limit: How many packets wait at most.
        seed: Where the random numbers begin; by default anywhere.
        clock: Returns the time in seconds; the running loop's by default.

    Raises:
        ValueError: If a packet would have to leave before it came.

    Modelled on tc-netem(8).
    """

    __slots__ = ("_count", "_heap", "_jitter", "_limit", "_random", "_seconds")

    def __init__(
        self,
        seconds: float,
        jitter: float = 0.0,
        *,
        limit: int = 1000,
        seed: int | None = None,
        clock: Clock = loop_time,
    ) -> None:
        super().__init__(clock)
        if not 0 <= jitter <= seconds:
            raise ValueError(f"a delay of {seconds} s with a jitter of {jitter} s is no delay")
        if limit < 1:
            raise ValueError(f"a delay holds at least 1 packet, not {limit}")
        self._seconds = seconds
        self._jitter = jitter
        self._limit = limit
        self._random = Random(seed)
        self._heap: list[tuple[float, int, bytes]] = []
        self._count = 0  # of two packets due at the same time, the one that came first leaves first

    def __len__(self) -> int:
        return len(self._heap)

    def ready_at(self, now: float) -> float | None:
        return self._heap[0][0] if self._heap else None

    def _take(self, now: float, dropped: Counter[str]) -> list[bytes]:
        heap = self._heap
        due = []
        while heap and heap[0][0] <= now:
            due.append(heappop(heap)[2])
        return due

    def _hold(self, batch: Batch, now: float, dropped: Counter[str]) -> None:
        heap, jitter, uniform = self._heap, self._jitter, self._random.uniform
        for packet in batch:
            wait = self._seconds + uniform(-jitter, jitter) if jitter else self._seconds
            if len(heap) >= self._limit:
                dropped["queue_full"] += 1
                continue
            self._count += 1
            heappush(heap, (now + wait, self._count, packet))

    def _purge(self, reason: str) -> None:
        self._heap.clear()
