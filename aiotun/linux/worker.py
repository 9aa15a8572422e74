"""
System calls that take milliseconds, off the event loop, in a thread of their own.

Creating and configuring an interface waits for the kernel's rtnl lock, and deleting one for a grace
period (about 20 ms measured). A fresh thread each time, not a pool's: it may enter another network
namespace, and must never serve anybody else afterwards. No packet ever takes this way.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["in_thread", "run_in_thread"]

T = TypeVar("T")


async def in_thread(
    function: Callable[[], T],
    *,
    discard: Callable[[T], object] = lambda result: None,
    stop: Callable[[], object] = lambda: None,
) -> T:
    """
    Run *function* in a thread and return what it returns, or raise what it raises.

    A cancel calls *stop*, and is raised only after the thread ended. A result that nobody will get is given to
    *discard*: after a cancel, and when the event loop was closed before it could have it.
    """
    outcome = _Outcome(function, discard)
    try:
        cancelled = await _joined(outcome.run, orphaned=outcome.discard, stop=stop)
    except GeneratorExit:  # the task is destroyed unfinished, for its loop was closed
        outcome.discard()
        raise
    if cancelled is None:
        return outcome.get()
    if outcome.error is None:
        await _joined(outcome.discard)
    raise cancelled


async def _joined(
    target: Callable[[], object],
    *,
    orphaned: Callable[[], object] = lambda: None,
    stop: Callable[[], object] = lambda: None,
) -> asyncio.CancelledError | None:
    """
    Run *target* in a thread until its end, and return the last cancel that came meanwhile.

    If the loop is closed by then, nobody waits any more: *orphaned* is called, in the thread.
    """
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def run() -> None:
        try:
            target()
        finally:
            try:
                loop.call_soon_threadsafe(ended.set_result, None)
            except RuntimeError:  # the loop is closed
                orphaned()

    thread = threading.Thread(target=run, name="aiotun")
    thread.start()
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError as error:
            cancelled = error
            stop()
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

    def __init__(self, function: Callable[[], T], discard: Callable[[T], object] = lambda result: None) -> None:
        self._function = function
        self._discard = discard
        self._unwanted = False
        self._result: list[T] = []  # taken by pop(), which only one thread can
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # raised again by get(), in the thread that asked
            self.error = error
        if self._unwanted:
            self.discard()

    def discard(self) -> None:
        """Discard the result, now or as soon as there is one, if nobody took it."""
        self._unwanted = True
        with contextlib.suppress(IndexError):
            self._discard(self._result.pop())

    def get(self) -> T:
        if self.error is not None:
            raise self.error
        return self._result.pop()
