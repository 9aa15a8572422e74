"""
Stages that hold packets back for a time, and how what they held goes on.

A stage answers only when it is called, so a packet whose time comes later needs somebody to fetch it. The owner of the
path does that in one of two ways:

- it sets ``emit``, a callable that takes a batch on behind the stage: the stage then keeps one timer in the running
  loop, and calls it when packets are due;
- or it asks: ``ready_at(now)`` says when something is due, ``take(now)`` returns it.

Without either, what is due leaves in front of the next batch that comes. An owner that ends calls ``close()``.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable

from ..pipeline import Batch, Outcome
from .clock import Clock, loop_time
from .stock import Stock

__all__ = ["Holding"]

TICK = 0.001
"""Seconds to wait when a timer came too early: uvloop's are of whole milliseconds."""


class Holding(Stock):
    """A stage that holds packets back; ``len()`` is how many."""

    __slots__ = ("_clock", "_due", "_timer", "emit")

    reason = "held"

    emit: Callable[[Batch], object] | None
    """Takes a batch on behind this stage; for the owner of the path to set. Called from the running loop."""

    def __init__(self, clock: Clock = loop_time) -> None:
        super().__init__()
        self._clock = clock
        self.emit = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def __call__(self, batch: Batch) -> Batch:
        """Hold back what has to wait, return what is due; earlier packets come first."""
        now = self._clock()
        outcome = Outcome()
        held = len(self)
        outcome += self._take(now, outcome.dropped)  # first, to make room
        self._hold(batch, now, outcome.dropped)
        outcome += self._take(now, outcome.dropped)
        if self.emit is not None:
            self._set_timer(now)
        return self._counted(outcome, len(self) - held)

    @abstractmethod
    def __len__(self) -> int:
        """Return how many packets wait."""

    @abstractmethod
    def ready_at(self, now: float) -> float | None:
        """Return when take() gives something, at or before *now* if it would now; None if nothing waits."""

    def take(self, now: float) -> list[bytes]:
        """Remove and return the packets that are due."""
        return self._take(now, self.dropped)

    def close(self, reason: str = "closed") -> None:
        """Drop what is held, counted under *reason*, and stop the timer. Idempotent; the stage can be used again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if held := len(self):
            self._purge(reason)
            self.dropped[reason] += held

    @abstractmethod
    def _hold(self, batch: Batch, now: float, dropped: Counter[str]) -> None:
        """Take packets in, and count what is dropped."""

    @abstractmethod
    def _take(self, now: float, dropped: Counter[str]) -> list[bytes]:
        """Remove and return the packets that are due, and count what is dropped."""

    @abstractmethod
    def _purge(self, reason: str) -> None:
        """Throw away everything held; *reason* is for counters of its own."""

    def _set_timer(self, now: float, least: float = 0.0) -> None:
        when = self.ready_at(now)
        if when is None or (self._timer is not None and self._due <= when):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # then the next batch finds out by itself
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = when
        self._timer = loop.call_later(max(when - now, least), self._ring)

    def _ring(self) -> None:
        """Send on what is due, and come back for the rest, whatever becomes of it."""
        self._timer = None
        if self.emit is None:
            return
        due = self.take(self._clock())
        try:
            if due:
                self.emit(due)
        finally:
            self._set_timer(self._clock(), TICK)
