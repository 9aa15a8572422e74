"""Cancelling an opening on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiotun import Queues

__all__ = ["cancelled"]


async def cancelled(opening: Coroutine[Any, Any, Any], ticks: int) -> None:
    """Cancel an opening after so many turns of the loop; close what it opened, where it was faster than that."""
    task = asyncio.ensure_future(opening)
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        assert ticks > 1, "a thread cannot have ended yet"
        opened = task.result()
        if not isinstance(opened, Queues) and opened.device.persistent:
            opened.device.persistent = False
        await opened.aclose()
