"""One queue under the control of CoDel: which packet at its head may leave, and which is dropped or marked."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import repeat
from math import sqrt

import attrs

from .ecn import mark_congestion

__all__ = ["ControlledQueue", "Law"]


@attrs.define
class Law:
    """What all queues of one discipline go by, and count together."""

    target: float = attrs.field()
    """The delay in the queue that is no reason to drop, in seconds."""
    interval: float = attrs.field()
    """How long it may be passed before the first drop, in seconds: about the longest round trip time."""
    mtu: int = attrs.field()
    """Bytes of the largest packet: no more than that behind a packet, and it is never dropped."""
    ecn: bool
    """Whether to mark, where a packet can take a mark."""
    marked: int = 0
    """Packets marked so far."""

    @target.validator
    @interval.validator
    @mtu.validator
    def _positive(self, attribute: attrs.Attribute[float], value: float) -> None:
        if value <= 0:
            raise ValueError(f"codel: {attribute.name} must be more than 0, not {value}")

    def next_drop(self, at: float, count: int) -> float:
        """Return when to drop again after a drop due *at*, the *count*th in a row (control_law in RFC 8289)."""
        return at + self.interval / sqrt(count)


class ControlledQueue:
    """
    Packets with their times of arrival, and the state of CoDel; the names are those of RFC 8289 section 5.

    A decision about the head is taken once, when someone first asks for it: settle() takes it, pull() carries
    it out. So the packet that was polled is the one that leaves.
    """

    __slots__ = ("_arrivals", "_count", "_drop_next", "_dropping", "_first_above", "_lastcount", "_law", "_settled",
                 "nbytes", "packets")  # fmt: skip

    def __init__(self, law: Law) -> None:
        self.packets: deque[bytes] = deque()
        self.nbytes = 0
        self._arrivals: deque[float] = deque()
        self._law = law
        self._settled = False
        self._first_above: float | None = None
        self._dropping = False
        self._drop_next = 0.0
        self._count = 0
        self._lastcount = 0

    def push(self, batch: Sequence[bytes], now: float) -> None:
        """Append packets that arrive *now*."""
        self.packets.extend(batch)
        self._arrivals.extend(repeat(now, len(batch)))
        self.nbytes += sum(map(len, batch))

    def settle(self, now: float, offset: int = 0) -> bytes:
        """Drop packets until the head may leave, and return it. There must be a packet."""
        if not self._settled:
            self._decide(now, offset)
            self._settled = True
        return self.packets[0]

    def pull(self, now: float, offset: int = 0) -> bytes:
        """Remove and return the first packet that may leave. There must be a packet."""
        self.settle(now, offset)
        return self.drop_head()

    def pull_many(self, limit: int, now: float, offset: int = 0) -> list[bytes]:
        """Remove and return up to *limit* packets that may leave."""
        packets = self.packets
        if packets and limit and now - self._arrivals[0] < self._law.target:
            # Those behind came no earlier: none is above target, so the law need not look at each.
            self._first_above = None
            self._dropping = self._settled = False
            batch = [packets.popleft() for _ in range(min(limit, len(packets)))]
            for _ in batch:
                self._arrivals.popleft()
            self.nbytes -= sum(map(len, batch))
            return batch
        batch = []
        while packets and len(batch) < limit:
            batch.append(self.pull(now, offset))
        return batch

    def drop_head(self) -> bytes:
        """Remove and return the oldest packet, whatever the law says."""
        self._settled = False
        self._arrivals.popleft()
        packet = self.packets.popleft()
        self.nbytes -= len(packet)
        return packet

    def clear(self) -> list[bytes]:
        """Remove and return all packets; the law remembers what it knew."""
        packets = list(self.packets)
        self.packets.clear()
        self._arrivals.clear()
        self.nbytes = 0
        self._settled = False
        return packets

    def _decide(self, now: float, offset: int) -> None:
        """Take the decision of dequeue() in RFC 8289 section 5.5; a mark ends it, as in Linux codel_impl.h."""
        law = self._law
        above = self._ok_to_drop(now)
        if not self._dropping:
            if above:
                self._start_dropping(now, offset)
            return
        self._dropping = above
        while self._dropping and now >= self._drop_next:
            self._count += 1
            if self._mark(offset):
                self._drop_next = law.next_drop(self._drop_next, self._count)
                return
            self.drop_head()
            self._dropping = self._ok_to_drop(now)
            if self._dropping:
                self._drop_next = law.next_drop(self._drop_next, self._count)

    def _start_dropping(self, now: float, offset: int) -> None:
        law = self._law
        if not self._mark(offset):
            self.drop_head()
            self._ok_to_drop(now)
        self._dropping = True
        # Soon after the last time, the rate that controlled the queue then is where to start.
        delta = self._count - self._lastcount
        recent = now - self._drop_next < 16 * law.interval
        self._count = self._lastcount = delta if delta > 1 and recent else 1
        self._drop_next = law.next_drop(now, self._count)

    def _ok_to_drop(self, now: float) -> bool:
        """Return whether the delay has been above target for an interval (dodequeue() in RFC 8289 section 5.6)."""
        # More than one packet's bytes behind the head, so a drop never leaves the queue empty.
        behind = self.nbytes - len(self.packets[0])
        if now - self._arrivals[0] < self._law.target or behind <= self._law.mtu:
            self._first_above = None
            return False
        if self._first_above is None:
            self._first_above = now + self._law.interval
            return False
        return now >= self._first_above

    def _mark(self, offset: int) -> bool:
        """Mark the head, if that is wanted and it can take a mark."""
        marked = mark_congestion(self.packets[0], offset) if self._law.ecn else None
        if marked is None:
            return False
        self.packets[0] = marked
        self._law.marked += 1
        return True
