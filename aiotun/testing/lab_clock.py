"""An event loop whose clock is virtual: where others sleep, it sets its clock to when the sleep is over."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable
from types import CoroutineType, FrameType
from typing import Any, TypeVarTuple

__all__ = ["Deadlock", "VirtualLoop"]

Ts = TypeVarTuple("Ts")

PATIENCE = 10.0
"""Real seconds to wait for descriptors of the kernel when nothing else is left to wait for."""


class Deadlock(RuntimeError):
    """Every task waits, and nothing will ever wake one: no timer runs, and nothing is ready."""


class _Selector(selectors.DefaultSelector):
    """Asks the loop how long to sleep for real."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        patience = self.loop._pass_time(timeout)
        if patience == 0:
            return ready
        ready = super().select(patience)
        if not ready and patience is not None:
            raise self.loop._deadlock(f", and no descriptor of the kernel was in {patience:g} real seconds")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """
    An event loop that never sleeps: hours pass in milliseconds. Its clock begins at 0.

    time() stands still while callbacks run. When none is ready, no descriptor of the kernel is ready now, and no
    executor is at work, the clock jumps to the next timer. Sockets, pipes and threads work, but the clock does not
    wait for them: a timeout beside a real socket is over at once. What an executor does (``asyncio.to_thread``) takes
    no virtual time.

    When there is no timer either, and nothing real to wait for, the loop raises Deadlock with where each task waits.
    With descriptors of the kernel in it, it gives them 10 real seconds first.

    Args:
        time_limit: The virtual time, in seconds, that no timer may pass: then the loop raises TimeoutError with where
            each task waits. It ends a test that waits for ever beside something periodic.
    """

    def __init__(self, time_limit: float = math.inf) -> None:
        self.time_limit = time_limit
        self.quiet: set[asyncio.Task[Any]] = set()
        """Tasks that are no news when they wait: Deadlock does not name them."""
        self._now = 0.0
        self._working = 0  # calls that an executor has not finished
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self._fds = selector
        self._own_fds = len(selector.get_map())  # what wakes it from other threads

    def time(self) -> float:
        """Return the virtual time, in seconds since the loop was made."""
        return self._now

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], Any], *args: *Ts) -> asyncio.Future[Any]:
        """Run a function in a thread; the clock stands still until it is done."""
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        self._working += 1
        future.add_done_callback(self._worked)
        return future

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """Wait for the threads, as every loop does; the clock stands still."""
        self._working += 1
        try:
            await super().shutdown_default_executor(*args, **options)
        finally:
            self._working -= 1

    # --- inside -----------------------------------------------------------------------------------

    def _worked(self, future: asyncio.Future[Any]) -> None:
        self._working -= 1

    def _pass_time(self, timeout: float | None) -> float | None:
        """Let virtual time pass, if it can; return how long to sleep in real seconds, None for ever."""
        if self._working:
            return None
        if timeout is not None:
            self._jump()
            return 0
        if len(self._fds.get_map()) > self._own_fds:
            return PATIENCE
        raise self._deadlock()

    def _jump(self) -> None:
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # a heap of asyncio's own
        when = timers[0].when()
        if when == math.inf:
            raise self._deadlock()
        if when > self.time_limit:
            raise TimeoutError(self._waiting(f"the time limit of {self.time_limit:.9g} virtual seconds is over"))
        self._now = max(self._now, when)
        # asyncio runs timers early by this much, 1 ns otherwise: they would find that they are not due yet.
        self._clock_resolution = math.ulp(self._now)

    def _deadlock(self, besides: str = "") -> Deadlock:
        what = f"at {self._now:.9g} s nothing is scheduled and nothing is ready{besides}"
        return Deadlock(self._waiting(what))

    def _waiting(self, what: str) -> str:
        tasks = asyncio.all_tasks(self) - self.quiet
        return "\n  ".join([f"{what}; these tasks wait:", *sorted(map(_where, tasks))])


def _where(task: asyncio.Task[Any]) -> str:
    """Return which task it is, where it waits, and what that waits in."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame: FrameType | None = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            code = frame.f_code
            places.append(f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})")
        awaited = awaited.cr_await if isinstance(awaited, CoroutineType) else getattr(awaited, "gi_yieldfrom", None)
    return f"{task.get_name()}: {' > '.join(places) or 'not begun'}"
