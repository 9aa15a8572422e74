"""A way on which bits flip."""

from __future__ import annotations

from ..pipeline import Batch
from .chance import Chance

__all__ = ["corrupt"]


class corrupt(Chance):
    """
    Flip one bit, anywhere, in some packets; drops nothing. No checksum follows: that is the point.

    Super-packets are cut in front: one has no checksum that a receiver could find wrong.

    Args:
        probability: How many are changed, 0 to 1; an empty packet has no bits.
        seed: Where the random numbers begin; by default anywhere. The same seed flips the same bits.

    Raises:
        ValueError: If the probability is none.
    """

    __slots__ = ("corrupted",)

    superpackets = False
    reason = "corrupt"

    corrupted: int
    """Packets changed."""

    def __init__(self, probability: float, *, seed: int | None = None) -> None:
        super().__init__(probability, seed=seed)
        self.corrupted = 0

    def __call__(self, batch: Batch) -> Batch:
        random, probability = self._random.random, self.probability
        return [self._flip(packet) if random() < probability and packet else packet for packet in batch]

    def _flip(self, packet: bytes) -> bytes:
        bit = self._random.randrange(len(packet) * 8)
        octets = bytearray(packet)
        octets[bit >> 3] ^= 0x80 >> (bit & 7)
        self.corrupted += 1
        return bytes(octets)
