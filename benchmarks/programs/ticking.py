"""A timer in the running loop, and how late its ticks are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ticking(milliseconds: float) -> Iterator[list[float]]:
    """Run a timer of that period while inside; the list gets each tick's lateness in seconds."""
    loop = asyncio.get_running_loop()
    period = milliseconds / 1000
    late: list[float] = []
    due = time.perf_counter() + period

    def tick() -> None:
        nonlocal due
        if left:
            return
        now = time.perf_counter()
        late.append(now - due)
        due = now + period
        loop.call_later(period, tick)

    left = False
    loop.call_later(period, tick)
    try:
        yield late
    finally:
        left = True


def lateness(late: list[float]) -> dict[str, float]:
    """Return the quantiles of *late*, in seconds."""
    ordered = sorted(late)
    return {
        "ticks": float(len(ordered)),
        "late_p50": ordered[len(ordered) // 2],
        "late_p99": ordered[len(ordered) * 99 // 100],
        "late_max": ordered[-1],
    }
