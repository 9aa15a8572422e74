"""A token bucket around any discipline: at most so many bits a second, with bursts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .discipline import Discipline, Owner, QueueStatistics, check_discipline, whole
from .fifo import Fifo

__all__ = ["TokenBucket"]

_NS = 1_000_000_000
_BYTE = 8 * _NS  # what one byte costs: tokens are bits times nanoseconds, so that a rate times a time is exact


class TokenBucket(Discipline):
    """
    Lets packets out of a discipline at *rate*, after a pause up to *burst* at once.

    In any *t* seconds at most ``burst + rate * t / 8`` bytes leave. A packet longer than the burst leaves when
    the bucket is full, and the bucket owes the difference: nothing is lost and the rate holds, only
    that one packet is more than a burst.

    The arithmetic is of integers, on a clock of nanoseconds: there is no drift however long it runs.

    Args:
        rate: Bits per second.
        burst: Bytes that may leave at once; the bucket starts full.
        queue: What the packets wait in, a Fifo by default; it belongs to this one from now on.

    Modelled on the token bucket regulator of BSD sys/net/altq/altq_subr.c.
    """

    __slots__ = ("_at", "_queue", "_tokens", "burst", "rate")

    def __init__(self, rate: int, burst: int, queue: Discipline | None = None) -> None:
        rate = whole("rate is a whole number of bits per second", rate)
        burst = whole("burst is a whole number of bytes", burst)
        if rate < 1:
            raise ValueError(f"a token bucket lets at least 1 bit per second out, not {rate}")
        if burst < 1:
            raise ValueError(f"a token bucket holds at least 1 byte, not {burst}")
        self.rate = rate
        self.burst = burst
        if queue is None:
            queue = Fifo()
        check_discipline("the queue of a token bucket", queue)
        self._queue = queue
        self._tokens = burst * _BYTE
        self._at: int | None = None
        """When the tokens were counted, in nanoseconds; None before the first time."""
        # No super().__init__(): owner and offset are those of the discipline inside, which may be in use.
        self.max_packets = self._queue.max_packets
        self._before = None

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def nbytes(self) -> int:
        return self._queue.nbytes

    @property
    def offset(self) -> int:
        """Bytes of link header in front of the layer-3 packet, as the discipline inside has it."""
        return self._queue.offset

    @offset.setter
    def offset(self, offset: int) -> None:
        self._queue.offset = offset

    @property
    def owner(self) -> Owner | None:
        """The interface that uses it, which uses the discipline inside as well."""
        return self._queue.owner

    @owner.setter
    def owner(self, owner: Owner | None) -> None:
        self._queue.owner = owner

    def room(self) -> int:
        return self._queue.room()

    def fitting(self, batch: Sequence[bytes]) -> int:
        return self._queue.fitting(batch)

    def classify(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        """Return *batch* as the discipline inside marks it."""
        return self._queue.classify(batch)

    def enqueue_many(self, batch: Sequence[bytes], now: float) -> Sequence[bytes]:
        return self._queue.enqueue_many(batch, now)

    def dequeue_many(self, limit: int, now: float) -> list[bytes]:
        self._fill(now)
        batch: list[bytes] = []
        while len(batch) < limit:
            packet = self._queue.head(now)
            if packet is None or self._lacking(packet) > 0:
                break
            taken = self._queue.dequeue_many(1, now)
            if not taken:  # a regulator inside has its own time
                break
            self._tokens -= len(packet) * _BYTE
            batch += taken
        return batch

    def head(self, now: float) -> bytes | None:
        return self._queue.head(now)

    def ready_at(self, now: float) -> float | None:
        """
        Return when the next packet has its tokens, and its time in the discipline inside.

        With regulators inside it may be late: a shorter packet may overtake by then.
        """
        inside = self._queue.ready_at(now)
        packet = self._queue.head(now)
        if inside is None or packet is None:
            return None
        at = self._fill(now)
        lacking = self._lacking(packet)
        return inside if lacking <= 0 else max(inside, _seconds(at + -(-lacking // self.rate)))

    def purge(self, reason: str = "purged") -> list[bytes]:
        return self._queue.purge(reason)

    def statistics(self) -> QueueStatistics:
        """Return the counters of the discipline inside: a regulator delays, and drops nothing."""
        return self._queue.statistics()

    def _fill(self, now: float) -> int:
        """Add the tokens of the time that passed; return *now* in nanoseconds."""
        at = _nanoseconds(now)
        if self._at is not None:
            self._tokens = min(self._tokens + (at - self._at) * self.rate, self.burst * _BYTE)
        self._at = at
        return at

    def _lacking(self, packet: bytes) -> int:
        """Return how many tokens are missing for *packet* to leave; 0 or less if none."""
        return min(len(packet), self.burst) * _BYTE - self._tokens


def _nanoseconds(now: float) -> int:
    return int(now * _NS)


def _seconds(at: int) -> float:
    """Return the first time that is not before *at*: after years, a float's steps are longer than a nanosecond."""
    now = at / _NS
    while _nanoseconds(now) < at:
        now = math.nextafter(now, math.inf)
    return now
