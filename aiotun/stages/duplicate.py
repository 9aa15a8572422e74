"""A way on which packets arrive twice."""

from __future__ import annotations

from ..pipeline import Batch
from .chance import Chance

__all__ = ["duplicate"]


class duplicate(Chance):
    """
    Send some packets twice, the copy right behind; drops nothing. Super-packets pass whole.

    Args:
        probability: How many are doubled, 0 to 1.
        seed: Where the random numbers begin; by default anywhere. The same seed doubles the same packets.

    Raises:
        ValueError: If the probability is none.
    """

    __slots__ = ()

    reason = "duplicate"

    def __call__(self, batch: Batch) -> Batch:
        random, probability = self._random.random, self.probability
        sent = []
        for packet in batch:
            sent.append(packet)
            if random() < probability:
                sent.append(packet)
        self.created += len(sent) - len(batch)
        return sent
