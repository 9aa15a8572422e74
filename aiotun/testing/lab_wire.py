"""One direction of a lab's link: a wire that records what is sent over it, and what becomes of it."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..channel.memory_impairment import Impairment
from ..channel.memory_wire import Wire
from .lab_record import Crossing, Record

__all__ = ["RecordedWire"]


class RecordedWire(Wire):
    """A direction from one node to another."""

    def __init__(
        self,
        record: Record,
        source: str,
        target: str,
        impairment: Impairment,
        chance: random.Random,
        *,
        ethernet: bool,
        limit: int,
        limit_bytes: int,
        drops: bool,
    ) -> None:
        super().__init__(impairment, chance, limit=limit, limit_bytes=limit_bytes, drops=drops)
        self.impairment = impairment
        self._record = record
        self._source, self._target, self._ethernet = source, target, ethernet

    def impair(self, impairment: Impairment) -> None:
        super().impair(impairment)
        self.impairment = impairment

    def offer(self, batch: Sequence[bytes], now: float) -> int:
        """Take packets one by one, so that the fate of each is known."""
        for index, packet in enumerate(batch):
            lost, full = self._dropped["lost"], self._dropped["queue_full"]
            created, corrupted = self._created, self._corrupted
            if not super().offer((packet,), now):
                return index
            dropped = changed = ""
            if self._dropped["lost"] > lost:
                dropped = "lost"
            elif self._dropped["queue_full"] > full:
                dropped = "queue_full"
            elif self._corrupted > corrupted or self._created > created:
                changes = {"corrupted": self._corrupted > corrupted, "duplicated": self._created > created}
                changed = " and ".join(word for word, happened in changes.items() if happened)
            self._record.entries.append(
                Crossing(now, self._source, self._target, packet, dropped, changed, self._ethernet)
            )
        return len(batch)

    def cut(self, reason: str) -> None:
        if self._flying and reason != "closed":
            self._record.note(f"{len(self._flying)} under way dropped: {reason}", self._source, self._target)
        super().cut(reason)
