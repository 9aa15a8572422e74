"""Which event loop runs, and where: an endpoint may move from one to another, but not while the first one runs."""

from __future__ import annotations

import asyncio

__all__ = ["running_elsewhere", "running_loop"]


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def running_elsewhere(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Return whether *loop* runs in another thread: then nothing of it may be touched from this one."""
    return loop is not None and loop.is_running() and loop is not running_loop()
