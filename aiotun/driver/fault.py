"""Faults of callbacks: a listener that raises must not stop what it was told of."""

from __future__ import annotations

import asyncio
import logging

__all__ = ["report"]

logger = logging.getLogger("aiotun.driver")


def report(message: str, error: Exception) -> None:
    """Hand an error that nobody waits for to the running loop's exception handler, or to the log without a loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        logger.error(message, exc_info=error)
    else:
        loop.call_exception_handler({"message": message, "exception": error})
