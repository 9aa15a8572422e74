"""Strict priority: a class is served only while all those before it have nothing to give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from .classified import Classful
from .discipline import Discipline, Owner, QueueStatistics, check_discipline

__all__ = ["Priority"]


class Priority(Classful):
    """
    Several disciplines, the first of them first.

    Args:
        classes: The disciplines, highest priority first; they belong to this one from now on.
        classify: Returns the class of a layer-3 packet, 0 for the first. Any other number than those there
            are means the last class, as a default class does elsewhere: no packet can stop the interface.

    An exception of *classify* passes through classify() and enqueue_many(), before anything is queued or counted.

    Modelled on priq in BSD sys/net/altq/altq_priq.c.
    """

    __slots__ = ("_classify", "classes")

    def __init__(self, classes: Sequence[Discipline], classify: Callable[[bytes], int]) -> None:
        if not classes:
            raise ValueError("priority: there must be at least 1 class, not 0")
        for each in classes:
            check_discipline("a class of a priority", each)
        self.classes = tuple(classes)
        self._classify = classify
        # No super().__init__(): owner and offset are those of the classes, which may be in use.
        self.max_packets = sum(each.max_packets for each in self.classes)
        self._before = None

    def __len__(self) -> int:
        return sum(map(len, self.classes))

    @property
    def nbytes(self) -> int:
        return sum(each.nbytes for each in self.classes)

    @property
    def offset(self) -> int:
        """Bytes of link header in front of the layer-3 packet; every class has the same."""
        return self.classes[0].offset

    @offset.setter
    def offset(self, offset: int) -> None:
        for each in self.classes:
            each.offset = offset

    @property
    def owner(self) -> Owner | None:
        """The interface that uses it, which uses every class as well."""
        return next((each.owner for each in self.classes if each.owner is not None), None)

    @owner.setter
    def owner(self, owner: Owner | None) -> None:
        for each in self.classes:
            each.owner = owner

    def room(self) -> int:
        """Return how many packets fit now, whatever their class: what the fullest class has room for."""
        return min(each.room() for each in self.classes)

    def fitting(self, batch: Sequence[bytes]) -> int:
        fit = min(each.fitting(batch) for each in self.classes)  # whatever their class, as room()
        if fit or len(self):
            return fit
        # All are empty, and no class but its own need ever take the first packet.
        keyed = cast("list[tuple[bytes, int]]", self._keyed(batch[:1]))
        return sum(self.classes[index].fitting((packet,)) for packet, index in keyed)

    def key(self, packet: bytes) -> int:
        """Return the class of a layer-3 packet, as an index."""
        index = self._classify(packet)
        last = len(self.classes) - 1
        return index if 0 <= index < last else last

    def enqueue_many(self, batch: Sequence[bytes], now: float) -> Sequence[bytes]:
        keyed = cast("list[tuple[bytes, int]]", self._keyed(batch))
        parts: list[list[bytes]] = [[] for _ in self.classes]
        for packet, index in keyed:
            parts[index].append(packet)
        accepted = [each.enqueue_many(part, now) for each, part in zip(self.classes, parts, strict=True)]
        if sum(map(len, accepted)) == len(batch):
            return batch
        return _in_order(batch, keyed, accepted)

    def dequeue_many(self, limit: int, now: float) -> list[bytes]:
        batch: list[bytes] = []
        for each in self.classes:
            batch += each.dequeue_many(limit - len(batch), now)
        return batch

    def head(self, now: float) -> bytes | None:
        ready = self._ready(now)
        return min(ready, key=lambda each: each[0])[1].head(now) if ready else None

    def ready_at(self, now: float) -> float | None:
        return min((at for at, _ in self._ready(now)), default=None)

    def purge(self, reason: str = "purged") -> list[bytes]:
        return [packet for each in self.classes for packet in each.purge(reason)]

    def statistics(self) -> QueueStatistics:
        """Return the counters of all classes together."""
        parts = [each.statistics() for each in self.classes]
        dropped: Counter[str] = Counter()
        for part in parts:
            dropped.update(part.dropped)
        return QueueStatistics(
            offered=sum(part.offered for part in parts),
            taken=sum(part.taken for part in parts),
            queued=sum(part.queued for part in parts),
            queued_bytes=sum(part.queued_bytes for part in parts),
            dropped=dict(dropped),
            marked=sum(part.marked for part in parts),
        )

    def _ready(self, now: float) -> list[tuple[float, Discipline]]:
        """Return when each class that is not empty is ready, not before *now*: of two ready now, the first counts."""
        found = ((each.ready_at(now), each) for each in self.classes)
        return [(max(at, now), each) for at, each in found if at is not None]


def _in_order(
    batch: Sequence[bytes], keyed: Sequence[tuple[bytes, int]], accepted: Sequence[Sequence[bytes]]
) -> list[bytes]:
    """Return the packets of *batch* that their classes accepted: each class accepted some of its own, in order."""
    waiting: list[Iterator[bytes]] = [iter(each) for each in accepted]
    expected = [next(each, None) for each in waiting]
    found = []
    for original, (packet, index) in zip(batch, keyed, strict=True):
        if packet is expected[index]:
            found.append(original)
            expected[index] = next(waiting[index], None)
    return found
