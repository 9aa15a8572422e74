"""
System calls that take milliseconds, off the event loop, in a thread of their own.

Creating and configuring an interface waits for the kernel's rtnl lock, and deleting one for a grace
period (about 20 ms measured). A fresh thread each time, not a pool's: it may enter another network
namespace, and must never serve anybody else afterwards. No packet ever takes this way.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["in_thread", "run_in_thread"]

T = TypeVar("T")


async def in_thread(function: Callable[[], T], *, discard: Callable[[T], object] = lambda result: None) -> T:
    """
    Run *function* in a thread and return what it returns, or raise what it raises.

    A cancel is raised only after the thread ended; a result nobody will get is given to *discard*.
    """
    outcome = _Outcome(function)
    cancelled = await _joined(outcome.run)
    if cancelled is None:
        return outcome.get()
    if outcome.error is None:
        await _joined(lambda: discard(outcome.get()))
    raise cancelled


async def _joined(target: Callable[[], object]) -> asyncio.CancelledError | None:
    """Run *target* in a thread until its end, and return the last cancel that came meanwhile."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def run() -> None:
        try:
            target()
        finally:
            loop.call_soon_threadsafe(ended.set_result, None)

    thread = threading.Thread(target=run, name="aiotun")
    thread.start()
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError as error:
            cancelled = error
    thread.join()
    return cancelled


def run_in_thread(function: Callable[[], T]) -> T:
    """Run *function* in a thread and wait for it, blocking: for a few microseconds in another namespace."""
    outcome = _Outcome(function)
    thread = threading.Thread(target=outcome.run, name="aiotun")
    thread.start()
    thread.join()
    return outcome.get()


class _Outcome(Generic[T]):
    """What became of a function that ran in another thread."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # raised again by get(), in the thread that asked
            self.error = error

    def get(self) -> T:
        if self.error is not None:
            raise self.error
        return self._result[0]
