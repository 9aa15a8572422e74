"""Tasks that run while something is awaited, or beside a block, and one place where their errors come out."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Self

from ..errors import DeviceGone

__all__ = ["Running"]


class Running(ABC):
    """
    Something that runs once: ``await it`` until it ends, or ``async with it`` while a block runs.

    A task that fails ends the others and the block; its exception comes out alone, or with others in a group.
    """

    __slots__ = ("_ended", "_group", "_stopped", "_tasks", "what")

    what: str
    """What it is called, for errors."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._group: asyncio.TaskGroup | None = None
        self._stopped = False
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        """Whether it was started, and neither ended nor was told to."""
        return bool(self._tasks) and not self._stopped

    def __await__(self) -> Generator[Any, None, None]:
        return self.run().__await__()

    async def run(self) -> None:
        """
        Run until it ends, as ``await`` of the object does: ``asyncio.create_task(pump.run())``. A cancel ends it.

        Raises:
            RuntimeError: If it was started before.
        """
        group = self._begin()
        try:
            async with group:
                self._start()
                # In the block: until Python 3.13 a group takes back only there the cancel by which it ends us.
                while self._tasks:
                    await asyncio.wait(self._tasks)
            return
        except BaseExceptionGroup as failed:
            only = _only(failed)
        finally:
            self._stopped = True
            self._ended.set()
        raise only

    async def wait_ended(self) -> None:
        """
        Wait in its block until it ends by itself, or for its end from another task; at once if it has.

        If it ends by an error, that cancels the block and comes out of it. Cancelling this wait ends nothing.
        """
        await self._ended.wait()

    async def __aenter__(self) -> Self:
        await self._begin().__aenter__()
        try:
            self._start()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)  # raises it, when all has ended
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._group is not None
        if kind is None:
            self._stop()
        try:
            await self._group.__aexit__(kind, error, traceback)
            return
        except BaseExceptionGroup as failed:
            only = _only(failed)
        finally:
            self._stopped = True
            self._ended.set()
        context = only.__context__
        try:
            raise only
        finally:
            only.__context__ = context  # not the cancel that ended the block

    # --- inside -----------------------------------------------------------------------------------

    @abstractmethod
    def _start(self) -> None:
        """Start the first tasks."""

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._group is not None
        try:
            task = self._group.create_task(coroutine)
        except RuntimeError:  # it is ending
            coroutine.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _stop(self) -> None:
        self._stopped = True
        self._ended.set()
        for task in tuple(self._tasks):
            task.cancel()

    def _begin(self) -> asyncio.TaskGroup:
        if self._group is not None:
            raise RuntimeError(f"{self.what} runs once; make another one")
        self._group = asyncio.TaskGroup()
        return self._group


def _only(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one exception of a group; raise the group if there are more, but that both ways saw an end."""
    first, *others = failed.exceptions
    if others and not all(isinstance(one, DeviceGone) for one in failed.exceptions):
        raise failed
    for other in others:
        first.add_note(str(other))
    return first
