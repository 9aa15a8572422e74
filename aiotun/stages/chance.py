"""What the stages that play a bad network have in common: a probability, and random numbers from a seed."""

from __future__ import annotations

from random import Random

from .stock import Stock

__all__ = ["Chance"]


class Chance(Stock):
    """
    A stage that does something to some packets, decided for each in its turn.

    The same *seed* decides the same for the same packets, whatever batches they come in.

    Args:
        probability: Of how many, 0 to 1.
        seed: Where the random numbers begin; by default anywhere.

    Raises:
        ValueError: If the probability is none.
    """

    __slots__ = ("_random", "probability")

    probability: float
    """Of how many packets, 0 to 1."""

    def __init__(self, probability: float, *, seed: int | None = None) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise ValueError(f"{type(self).__name__}: a probability is 0 to 1, not {probability}")
        self.probability = probability
        self._random = Random(seed)
