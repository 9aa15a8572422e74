"""A way on which packets overtake each other."""

from __future__ import annotations

from collections import deque

from ..pipeline import Batch
from .chance import Chance

__all__ = ["reorder"]


class reorder(Chance):
    """
    Hold some packets back until *depth* others came. Super-packets pass whole.

    What overtakes is counted in packets and not in time, so at most *depth* packets are held at any moment, and the
    last of a conversation may stay until more come: ``flush()`` gives them back, and the end of a pump drops them.

    Args:
        probability: How many are held back, 0 to 1.
        depth: How many packets come after it before a held one goes on.
        seed: Where the random numbers begin; by default anywhere. The same seed holds back the same packets.

    Raises:
        ValueError: If the probability is none, or the depth below 1.
    """

    __slots__ = ("_count", "_depth", "_held")

    reason = "held"

    def __init__(self, probability: float, *, depth: int = 3, seed: int | None = None) -> None:
        super().__init__(probability, seed=seed)
        if depth < 1:
            raise ValueError(f"reorder: at least 1 packet overtakes, not {depth}")
        self._depth = depth
        self._held: deque[tuple[int, bytes]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return len(self._held)

    def __call__(self, batch: Batch) -> Batch:
        random, probability, held = self._random.random, self.probability, self._held
        sent = []
        for packet in batch:
            self._count += 1
            if random() < probability:
                held.append((self._count + self._depth, packet))
            else:
                sent.append(packet)
            if held and held[0][0] <= self._count:
                sent.append(held.popleft()[1])
        return sent

    def close(self, reason: str = "closed") -> None:
        """Drop what is held, counted under *reason*."""
        if self._held:
            self.dropped[reason] += len(self._held)
            self._held.clear()

    def flush(self) -> list[bytes]:
        """Return what is held back, and hold it no longer."""
        flushed = [packet for _, packet in self._held]
        self._held.clear()
        return flushed
