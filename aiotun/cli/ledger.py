"""
Where every packet went: one line for each hop between two stacks, and whether its sides agree.

A packet that a hop neither passed on, nor holds, nor counted as dropped, is *unaccounted*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

__all__ = ["Hop", "Ledger"]


@attrs.frozen(kw_only=True)
class Hop:
    """One step on a packet's way. All numbers are packets."""

    what: str
    """Between whom, for people: ``tun to tunnel``."""
    entered: int
    """Counted on the near side."""
    left: int
    """Counted on the far side."""
    waiting: int = 0
    """Queued in between."""
    dropped: Mapping[str, int] = attrs.field(factory=dict)
    """Dropped in between, by reason."""

    @property
    def unaccounted(self) -> int:
        """Packets lost without a reason; negative if packets came from nowhere."""
        return self.entered - self.left - self.waiting - sum(self.dropped.values())


@attrs.frozen
class Ledger:
    """The hops of one direction, in order."""

    name: str
    """The direction, for people: ``east to west``."""
    hops: tuple[Hop, ...]

    @property
    def sent(self) -> int:
        """Packets the stack at the near end sent."""
        return self.hops[0].entered

    @property
    def received(self) -> int:
        """Packets the stack at the far end received."""
        return self.hops[-1].left

    @property
    def waiting(self) -> int:
        """Packets queued anywhere on the way."""
        return sum(hop.waiting for hop in self.hops)

    @property
    def dropped(self) -> Counter[str]:
        """Packets dropped on the way, by reason."""
        return add(hop.dropped for hop in self.hops)

    @property
    def unaccounted(self) -> int:
        """Packets that do not add up, at any hop; what one hop lost and another made up is not netted."""
        return sum(abs(hop.unaccounted) for hop in self.hops)


def add(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Return the sum of several counts by reason, without zeros."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return +total
