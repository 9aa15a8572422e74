"""Stock, the base of every stage in this room: a callable that counts its own drops by reason."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import ClassVar

from ..pipeline import Batch, Outcome
from ..pipeline.stage import stage_name

__all__ = ["Stock"]


class Stock(ABC):
    """
    A stage that says what became of every packet.

    Conservation, for every stage of this room::

        packets in + created == packets out + len(stage) + sum(dropped.values())

    A packet that goes elsewhere instead of on, to another output or in answer, is counted as dropped under a word
    that says so.

    A stage of this room is named like a function, since it is used as one: it is called with a batch, never waits,
    never raises because of what a packet holds, and never changes the batch or a packet in place. It belongs to one
    path, in one thread.
    """

    __slots__ = ("created", "dropped")

    superpackets: bool = True
    """Whether the stage takes super-packets whole."""
    counted: ClassVar[bool] = False
    delivers: ClassVar[bool] = False
    reason: ClassVar[str]
    """What a path counts its drops under, where the stage does not say more."""

    created: int
    """Packets of the stage's own making."""
    dropped: Counter[str]
    """Packets that did not go on, by reason."""

    def __init__(self) -> None:
        self.created = 0
        self.dropped = Counter()

    def __len__(self) -> int:
        """Return how many packets the stage holds back now."""
        return 0

    def __bool__(self) -> bool:
        """True, also of a stage that holds nothing."""
        return True

    def __repr__(self) -> str:
        return f"<stage {stage_name(self)}>"

    @abstractmethod
    def __call__(self, batch: Batch) -> Batch:
        """Take a batch, return what goes on."""

    def _counted(self, outcome: Outcome, held: int = 0) -> Outcome:
        """Add what became of a batch to the counters, *held* more being held now; return it for the path's."""
        if outcome.dropped:
            self.dropped.update(outcome.dropped)
        self.created += outcome.created
        if held > 0:  # in terms of a path, what is held is dropped, and created again when it goes on
            outcome.dropped["held"] += held
        outcome.created += max(-held, 0)
        return outcome
