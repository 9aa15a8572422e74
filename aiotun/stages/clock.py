"""The clock that stages read: the running loop's, so that a simulated one is obeyed, or else the system's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["Clock", "loop_time"]

Clock = Callable[[], float]
"""Returns the time in seconds, of any beginning; never goes back."""


def loop_time() -> float:
    """Return the time of the running event loop, or of the system where none runs, in seconds."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
