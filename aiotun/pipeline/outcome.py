"""What a stage returns that has more to say than which packets go on."""

from __future__ import annotations

from collections import Counter

__all__ = ["Outcome"]


class Outcome(list[bytes]):
    """
    The batch that goes on, and what became of the rest.

    For a stage that drops under several reasons, or drops and creates in one batch: of a plain list its path knows
    only by how much it is shorter or longer. ``entered + created == len(outcome) + sum(dropped.values())``.
    """

    __slots__ = ("created", "dropped")

    created: int
    """Packets there are more of, before what was dropped is taken off."""
    dropped: Counter[str]
    """Packets that do not go on, by reason."""

    def __init__(self) -> None:
        super().__init__()
        self.created = 0
        self.dropped = Counter()
