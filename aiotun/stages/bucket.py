"""A token bucket that answers at once: enough, or not."""

from __future__ import annotations

from ..queueing.discipline import whole

__all__ = ["Bucket"]

_NS = 1_000_000_000


class Bucket:
    """
    Up to *burst* at once, then *rate* a second. It starts full.

    The arithmetic is of integers, on a clock of nanoseconds, as in ``queueing.TokenBucket``: no drift.

    Args:
        rate: Tokens a second.
        burst: Tokens it holds at most.
    """

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: int, burst: int) -> None:
        self.rate = whole("rate is a whole number a second", rate)
        self.burst = whole("burst is a whole number", burst)
        if self.rate < 1 or self.burst < 1:
            raise ValueError(f"rate and burst are 1 or more, not {rate} and {burst}")
        self._tokens = self.burst * _NS
        self._at: int | None = None

    def fill(self, now: float) -> None:
        """Add the tokens of the time that passed until *now*, in seconds; a clock that went back adds none."""
        at = int(now * _NS)
        if self._at is None or at > self._at:
            if self._at is not None:
                self._tokens = min(self._tokens + (at - self._at) * self.rate, self.burst * _NS)
            self._at = at

    def take(self, tokens: int = 1) -> bool:
        """Return whether there were so many *tokens*, and take them if so."""
        cost = tokens * _NS
        if cost > self._tokens:
            return False
        self._tokens -= cost
        return True
