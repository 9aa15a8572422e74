"""Tasks that run while something is awaited, or beside a block, and one place where their errors come out."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Self

__all__ = ["Running"]


class Running(ABC):
    """
    Something that runs once: ``await it`` until it ends, or ``async with it`` while a block runs.

    A task that fails ends the others and the block; its exception comes out alone, or with others in a group.
    """

    __slots__ = ("_group", "_stopped", "_tasks", "what")

    what: str
    """What it is called, for errors."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._group: asyncio.TaskGroup | None = None
        self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        """Whether it was started, and neither ended nor was told to."""
        return bool(self._tasks) and not self._stopped

    def __await__(self) -> Generator[Any, None, None]:
        return self._run().__await__()

    async def __aenter__(self) -> Self:
        await self._begin().__aenter__()
        self._start()
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
        for task in tuple(self._tasks):
            task.cancel()

    def _begin(self) -> asyncio.TaskGroup:
        if self._group is not None:
            raise RuntimeError(f"{self.what} runs once; make another one")
        self._group = asyncio.TaskGroup()
        return self._group

    async def _run(self) -> None:
        try:
            async with self._begin():
                self._start()
            return
        except BaseExceptionGroup as failed:
            only = _only(failed)
        raise only


def _only(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one exception of a group; raise the group if there are more."""
    if len(failed.exceptions) > 1:
        raise failed
    return failed.exceptions[0]
