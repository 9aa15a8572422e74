"""When the packets of a capture are due again."""

from __future__ import annotations

import asyncio

from ..endpoint import Readiness
from .records import Recorded

__all__ = ["DueReadiness", "Schedule"]


class Schedule:
    """
    When packets are due, by the clock of the running loop: as far apart as they were recorded, in *speed*-th of it.

    One that is recorded before the one in front of it is due with that; so is one without a time.
    """

    __slots__ = ("_began", "_speed", "_start", "_told", "due")

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._began = 0.0  # by the loop's clock
        self._start: int | None = None  # the time then in the capture, in nanoseconds
        self._told: Recorded | None = None
        self.due = 0.0
        """When the packet asked for last is due, by the loop's clock, in seconds."""

    def is_due(self, recorded: Recorded) -> bool:
        """Return whether a packet is due. Ask for each in order, as often as you like."""
        now = asyncio.get_running_loop().time()
        if recorded is not self._told:
            self._told = recorded
            if recorded.time_ns is not None:
                if self._start is None:
                    self._began, self._start = self.due or now, recorded.time_ns
                self.due = max(self.due, self._began + (recorded.time_ns - self._start) / 1e9 / self._speed)
        return self.due <= now

    def restart(self) -> None:
        """Begin the capture anew: its first packet is due with the last one before."""
        self._start = None


class DueReadiness(Readiness):
    """The level "something is due", by the clock of the loop that waits."""

    __slots__ = ("_due", "_timer")

    def __init__(self, what: str) -> None:
        super().__init__(what, level=True)
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def clear_until(self, due: float) -> None:
        """Lower the level until then, by the loop's clock, in seconds."""
        self._due = due
        self.clear()

    def disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and self._loop is not None and not self._loop.is_closed():
            timer.cancel()

    def _arm(self) -> None:
        self.disarm()
        assert self._loop is not None  # wait() set it
        self._timer = self._loop.call_at(self._due, self.set)
