"""Holding packets to a rate by dropping what is too much."""

from __future__ import annotations

from ..pipeline import Batch
from ..queueing.discipline import whole
from .bucket import Bucket
from .clock import Clock, loop_time
from .stock import Stock

__all__ = ["police"]

_MAX_SUPERPACKET = 65535


class police(Stock):
    """
    Drop the packets that exceed a rate, counted as ``policed``; none waits. ``shape`` is the one that lets them wait.

    In any *t* seconds at most ``burst + rate * t / 8`` bytes pass, counted by IP packet. A packet longer than the burst
    never passes; super-packets pass whole where the burst has room for the longest, and are cut in front where not.

    Args:
        rate: Bits per second.
        burst: Bytes that may pass at once.
        clock: Returns the time in seconds; the running loop's by default.

    Raises:
        ValueError: If rate or burst is below 1.
        TypeError: If one is not a whole number.

    A token bucket as RFC 2697 measures, of one color.
    """

    __slots__ = ("_bucket", "_clock", "superpackets")

    reason = "policed"

    def __init__(self, rate: int, burst: int, *, clock: Clock = loop_time) -> None:
        super().__init__()
        self._bucket = Bucket(rate, whole("burst is a whole number of bytes", burst) * 8)
        self._clock = clock
        self.superpackets = burst >= _MAX_SUPERPACKET

    def __call__(self, batch: Batch) -> Batch:
        bucket = self._bucket
        bucket.fill(self._clock())
        take = bucket.take
        passed = [packet for packet in batch if take(len(packet) * 8)]
        if len(passed) < len(batch):
            self.dropped["policed"] += len(batch) - len(passed)
        return passed
