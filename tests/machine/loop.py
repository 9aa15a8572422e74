"""An event loop that stands still: nothing runs until it is told to, and time is what it is told."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["TICK", "StepLoop"]

T = TypeVar("T")

TICK = 1 / 512
"""Seconds by which time goes on: a multiple of it, times a thousand million, is a whole number also as a float."""

TURNS = 200
"""Turns after which a loop that should have nothing to do is taken to be busy for ever."""


class StepLoop(asyncio.AbstractEventLoop):
    """Runs callbacks turn by turn, when asked; has no descriptor and no thread."""

    def __init__(self) -> None:
        self._now = 1024.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self.errors: list[dict[str, Any]] = []
        """What was told to the exception handler: each is a fault."""

    # --- what asyncio asks of a loop --------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, T], **_: Any) -> asyncio.Task[T]:  # type: ignore[override]
        return asyncio.Task(coro, loop=self)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to do: turn() passes a cancelled one over."""

    # --- what a test asks of it -------------------------------------------------------------------

    def turn(self) -> None:
        """Run what is ready now, and the timers that are due."""
        while self._timers and self._timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(self._timers)[2])
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()

    def settle(self) -> None:
        """Run until nothing is ready; there must be an end to it."""
        for _ in range(TURNS):
            if not self._ready and not (self._timers and self._timers[0][0] <= self._now):
                return
            self.turn()
        raise AssertionError(f"the loop is busy for ever: {list(self._ready)}")

    def advance(self, ticks: int) -> None:
        """Let time go on, at once: what was due meanwhile is late."""
        self._now += ticks * TICK

    def timers(self) -> int:
        """Return how many timers are armed."""
        return sum(not handle.cancelled() for _, _, handle in self._timers)

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, which must come without time going on."""
        task = self.create_task(coro)
        self.settle()
        return task.result()
