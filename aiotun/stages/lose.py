"""A way that loses packets, one by one or several in a row."""

from __future__ import annotations

from ..pipeline import Batch
from .chance import Chance

__all__ = ["lose"]


class lose(Chance):
    """
    Drop packets at random, counted as ``lost``.

    Super-packets pass or are lost whole: a loss per packet wants them cut in front of it.

    Args:
        probability: How many are lost, 0 to 1.
        burst: How many are lost in a row, on average; by default as chance has it.
        seed: Where the random numbers begin; by default anywhere. The same seed loses the same packets.

    Raises:
        ValueError: If the probability is none, or no sequence has so many bursts.

    The bursts are those of a Gilbert model: Gilbert 1960, tc-netem(8) ``loss gemodel``.
    """

    __slots__ = ("_enter", "_losing", "_stay")

    reason = "lost"

    def __init__(self, probability: float, *, burst: float | None = None, seed: int | None = None) -> None:
        super().__init__(probability, seed=seed)
        self._losing = False
        # The chance that a packet is lost after one that was, and after one that was not.
        if burst is None or probability == 1:
            self._stay = self._enter = probability
            return
        if burst < 1 or probability > burst / (burst + 1):
            raise ValueError(f"lose: a burst of {burst} packets on average is not to be had at {probability}")
        self._stay = 1 - 1 / burst
        self._enter = probability / (burst * (1 - probability))

    def __call__(self, batch: Batch) -> Batch:
        random, stay, enter, losing = self._random.random, self._stay, self._enter, self._losing
        kept = []
        for packet in batch:
            losing = random() < (stay if losing else enter)
            if not losing:
                kept.append(packet)
        self._losing = losing
        if len(kept) < len(batch):
            self.dropped["lost"] += len(batch) - len(kept)
        return kept
