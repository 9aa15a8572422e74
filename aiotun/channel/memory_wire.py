"""One direction of a link in memory: a bounded queue in time, without a clock of its own."""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import attrs

from ..batch import nbytes
from .memory_impairment import Impairment

__all__ = ["Wire", "WireStatistics"]


@attrs.frozen(kw_only=True)
class WireStatistics:
    """
    A snapshot of one direction of a link, in packets.

    ``sent + created == delivered + queued + sum(dropped.values())``.
    """

    sent: int
    """Packets given to the link."""
    created: int
    """Packets that the link made of others: duplicates."""
    delivered: int
    """Packets that the receiving end took."""
    queued: int
    """Packets that wait to leave, are under way, or wait to be received."""
    corrupted: int
    """Packets that the link changed; they count as delivered all the same."""
    dropped: Mapping[str, int]
    """
    Packets that will not arrive, by reason: ``lost`` by the impairment, ``queue_full``, ``link_down`` while they were
    under way, or ``closed`` with the receiving end.
    """


class Wire:
    """
    Packets from one end to the other. Never waits; the time is an argument, in seconds.

    Chance is drawn packet by packet in the order of sending, so that it falls the same however they are batched.
    """

    def __init__(
        self, impairment: Impairment, chance: random.Random, *, limit: int, limit_bytes: int, drops: bool
    ) -> None:
        self.impair(impairment)
        self.arrived: deque[bytes] = deque()
        """Packets to be received."""
        self.refused = False
        """Whether a sender was told that there is no room, and not yet that there is."""
        self._chance = chance
        self._limit, self._limit_bytes, self._drops = limit, limit_bytes, drops
        self._flying: list[tuple[float, int, bytes]] = []  # a heap by the time of arrival, then the order of sending
        self._leaving: deque[float] = deque()  # when each packet that waits for its turn will have left
        self._free_at = 0.0  # when the last of them will have
        self._latest = 0.0  # when the last packet that is not overtaken arrives
        self._bytes = self._serial = 0
        self.sent = self.sent_bytes = self.delivered = self.delivered_bytes = 0
        self._created = self._corrupted = 0
        self._dropped: Counter[str] = Counter()

    def impair(self, impairment: Impairment) -> None:
        """Do this to what is offered from now on."""
        self._impairment = impairment
        self._unimpaired = impairment == Impairment()

    @property
    def flying(self) -> bool:
        """Whether packets are under way."""
        return bool(self._flying)

    def offer(self, batch: Sequence[bytes], now: float) -> int:
        """Take packets from the front of *batch* and return how many: fewer where a full queue does not drop."""
        self.advance(now)
        if self._unimpaired and not self._flying and len(self.arrived) + len(batch) <= self._limit:
            size = nbytes(batch)
            if self._bytes + size <= self._limit_bytes:
                self.arrived.extend(batch)
                self._bytes += size
                self.sent += len(batch)
                self.sent_bytes += size
                return len(batch)
        for index, packet in enumerate(batch):
            if self._has_room(packet):
                self._transmit(packet, now)
            elif self._drops:
                self._dropped["queue_full"] += 1
            else:
                self.refused = True
                return index
            self.sent += 1
            self.sent_bytes += len(packet)
        return len(batch)

    def take(self, limit: int, now: float) -> list[bytes]:
        """Return up to *limit* packets that have arrived, oldest first."""
        self.advance(now)
        arrived = self.arrived
        if len(arrived) <= limit:
            batch = list(arrived)
            arrived.clear()
        else:
            batch = [arrived.popleft() for _ in range(limit)]
        size = nbytes(batch)
        self._bytes -= size
        self.delivered += len(batch)
        self.delivered_bytes += size
        return batch

    def advance(self, now: float) -> None:
        """Let arrive what does until *now*."""
        flying, leaving = self._flying, self._leaving
        while leaving and leaving[0] <= now:
            leaving.popleft()
        while flying and flying[0][0] <= now:
            self.arrived.append(heapq.heappop(flying)[2])

    def next_event(self) -> float | None:
        """Return when advance() is worth a call: a packet arrives, or leaves while a sender wants room; or None."""
        arrival = self._flying[0][0] if self._flying else None
        if self.refused and self._leaving:
            return self._leaving[0] if arrival is None else min(arrival, self._leaving[0])
        return arrival

    def has_room(self) -> bool:
        """Whether a packet can be offered, if it is not a long one."""
        return self._has_room(b"")

    def cut(self, reason: str) -> None:
        """Drop what is under way; what has arrived can be received."""
        self._dropped[reason] += len(self._flying)
        self._bytes -= sum(len(packet) for _, _, packet in self._flying)
        self._flying.clear()
        self._leaving.clear()
        self._free_at = self._latest = 0.0

    def close(self) -> None:
        """Drop everything: nobody will receive it."""
        self.cut("closed")
        self._dropped["closed"] += len(self.arrived)
        self.arrived.clear()
        self._bytes = 0

    def statistics(self) -> WireStatistics:
        """Return what was counted so far."""
        return WireStatistics(
            sent=self.sent,
            created=self._created,
            delivered=self.delivered,
            queued=len(self.arrived) + len(self._flying),
            corrupted=self._corrupted,
            dropped=dict(+self._dropped),
        )

    # --- inside -----------------------------------------------------------------------------------

    def _has_room(self, packet: bytes) -> bool:
        held = len(self.arrived) + len(self._flying)
        if held >= self._limit or held and self._bytes + len(packet) > self._limit_bytes:
            return False
        length = self._impairment.queue_length
        return length is None or len(self._leaving) < length

    def _transmit(self, packet: bytes, now: float) -> None:
        impairment, chance = self._impairment, self._chance.random
        left = now
        if impairment.rate is not None:
            left = self._free_at = max(now, self._free_at) + len(packet) * 8 / impairment.rate
            self._leaving.append(left)
        if impairment.loss and chance() < impairment.loss:
            self._dropped["lost"] += 1
            return
        if impairment.corrupt and chance() < impairment.corrupt:
            packet = self._flip_bit(packet)
        self._fly(packet, left, now)
        if impairment.duplicate and chance() < impairment.duplicate:
            self._created += 1
            self._fly(packet, left, now)

    def _fly(self, packet: bytes, left: float, now: float) -> None:
        impairment = self._impairment
        least, most = impairment.delay
        arrival = left + (least if least == most else self._chance.uniform(least, most))
        arrival = max(arrival, self._latest)
        if impairment.reorder and self._chance.random() < impairment.reorder:
            arrival += impairment.reorder_delay
        else:
            self._latest = arrival
        self._bytes += len(packet)
        if arrival <= now:
            self.arrived.append(packet)
        else:
            self._serial += 1
            heapq.heappush(self._flying, (arrival, self._serial, packet))

    def _flip_bit(self, packet: bytes) -> bytes:
        changed = bytearray(packet)
        bit = self._chance.randrange(len(packet) * 8)
        changed[bit // 8] ^= 1 << bit % 8
        self._corrupted += 1
        return bytes(changed)
