"""What every queueing discipline is: the interface's ALTQ, with time as an argument."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

__all__ = ["Discipline", "Owner", "Queue", "QueueStatistics", "check_discipline", "whole"]


def whole(name: str, value: object) -> int:
    """
    Return *value*, a whole number, as an int; 1e6 is one.

    Raises:
        TypeError: If it is none, in a sentence that begins with *name*.
    """
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise TypeError(f"{name}, not {value!r}")


class Owner(Protocol):
    """What uses a discipline: an interface."""

    name: str


@attrs.frozen(kw_only=True)
class QueueStatistics:
    """What went through a queue: ``offered == taken + queued + sum(dropped.values())``."""

    offered: int
    """Packets that someone tried to enqueue."""
    taken: int
    """Packets dequeued."""
    queued: int
    """Packets waiting now."""
    queued_bytes: int
    """Bytes waiting now."""
    dropped: Mapping[str, int]
    """Packets dropped, by reason."""
    marked: int = 0
    """Packets that carry a congestion mark instead of having been dropped."""


class Discipline(ABC):
    """
    Decides which packets wait, which leave next, and when.

    Never waits and reads no clock: *now* is in seconds, of any clock, and never goes back.

    ready_at() and dequeue_many() keep one rule, so that a caller needs one timer and never polls:
    ``ready_at(now) <= now`` exactly when ``dequeue_many(1, now)`` gives a packet. A later time is when
    to ask again; until then nothing leaves, unless something is enqueued.

    Modelled on struct ifaltq and the IFQ macros in BSD sys/net/altq and sys/net/if_var.h.
    """

    __slots__ = ("_before", "max_packets", "offset", "owner")

    max_packets: int
    """The bound, in packets."""

    offset: int
    """Bytes of link header in front of the layer-3 packet, for those who look into packets."""

    owner: Owner | None
    """The interface that uses it, or None; one at a time."""

    def __init__(self, packets: int) -> None:
        self.max_packets = packets
        self.offset = 0
        self.owner = None
        self._before: Mapping[str, int] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Return how many packets wait."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self)}/{self.max_packets} packets, {self.nbytes} bytes>"

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes waiting now."""

    def room(self) -> int:
        """Return how many packets fit now without a drop."""
        return max(self.max_packets - len(self), 0)

    def fitting(self, batch: Sequence[bytes]) -> int:
        """
        Return how many packets from the front of *batch* fit now without a drop.

        A discipline whose bound is not in packets alone says so here. What does not fit an empty one never will.
        """
        return min(len(batch), self.room())

    def classify(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        """
        Return *batch*, each packet marked with its class where the discipline has classes.

        For the time before link headers are put on; see ``Classified``. A mark is for the discipline that made it.
        """
        return batch

    @abstractmethod
    def enqueue_many(self, batch: Sequence[bytes], now: float) -> Sequence[bytes]:
        """
        Queue packets and return those accepted, in order: *batch* itself if that is all of them.

        The others are dropped and counted. To make room, a discipline may drop older packets instead,
        counted as well.
        """

    @abstractmethod
    def dequeue_many(self, limit: int, now: float) -> list[bytes]:
        """Remove and return up to *limit* packets, those that may leave now."""

    @abstractmethod
    def head(self, now: float) -> bytes | None:
        """
        Return the packet to leave next, or None if none waits; it stays queued, and may have to wait for its time.

        A discipline that drops at dequeue drops here what stands before that packet. Modelled on IFQ_POLL().
        """

    @abstractmethod
    def ready_at(self, now: float) -> float | None:
        """Return when dequeue_many() gives something, at or before *now* if it would now; None if none waits."""

    @abstractmethod
    def purge(self, reason: str = "purged") -> list[bytes]:
        """Drop everything queued, counted under *reason*; return what was dropped, for taps that want to see it."""

    @abstractmethod
    def statistics(self) -> QueueStatistics:
        """Return a snapshot of the counters."""

    def attach(self, owner: Owner | None) -> None:
        """Belong to *owner*, whose drops are those from now on."""
        self.owner = owner
        self._before = self.statistics().dropped or None  # an empty dict of each queue is 64 bytes

    def detach(self, drop: Callable[[str, int], None]) -> None:
        """Belong to nobody; call *drop* with each reason and number of packets that the owner had dropped here."""
        dropped = self.dropped(self.owner)
        self.owner = None
        for reason, count in dropped.items():
            drop(reason, count)

    def dropped(self, owner: Owner | None) -> Mapping[str, int]:
        """Return the packets dropped since it belongs to *owner*, by reason; none if it does not."""
        if owner is None or self.owner is not owner:
            return {}
        dropped = self.statistics().dropped
        return dropped if self._before is None else Counter(dropped) - Counter(self._before)


def check_discipline(name: str, value: object) -> None:
    """Raise TypeError, in a sentence that begins with *name*, if *value* is not a discipline."""
    if not isinstance(value, Discipline):
        raise TypeError(f"{name} is a discipline such as Fifo(50), not {value!r}")


class Queue(Discipline):
    """A discipline that holds the packets itself, and counts them; ready whenever it is not empty."""

    __slots__ = ("_dropped", "_offered", "_taken")

    def __init__(self, packets: int) -> None:
        packets = whole("packets is a whole number", packets)
        if packets < 1:
            raise ValueError(f"a queue holds at least 1 packet, not {packets}")
        super().__init__(packets)
        self._offered = 0
        self._taken = 0
        # Built at the first drop: most queues never drop, and a host may hold thousands of them.
        self._dropped: Counter[str] | None = None

    def ready_at(self, now: float) -> float | None:
        return now if len(self) else None

    def purge(self, reason: str = "purged") -> list[bytes]:
        packets = self._empty()
        self._drop(reason, len(packets))
        return packets

    def statistics(self) -> QueueStatistics:
        return QueueStatistics(
            offered=self._offered,
            taken=self._taken,
            queued=len(self),
            queued_bytes=self.nbytes,
            dropped=dict(self._dropped or {}),
            marked=self._marked(),
        )

    @abstractmethod
    def _empty(self) -> list[bytes]:
        """Remove and return everything queued, oldest first within a flow."""

    def _marked(self) -> int:
        return 0

    def _drop(self, reason: str, count: int) -> None:
        if count:
            if self._dropped is None:
                self._dropped = Counter()
            self._dropped[reason] += count
