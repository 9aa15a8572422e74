"""Packets that stages held back and now give on, by a timer of theirs: onward from where they were."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from .path import Path
from .pump_edge import REFUSALS
from .stage import Batch, unwrapped

__all__ = ["Releases", "passed"]

_IN_USE: set[Path] = set()
"""The paths that something runs: one that two ways went through would mix up whose packets are whose."""


class Releases:
    """
    Uses a path, and takes on what its stages held back, see ``stages.holding``; without such stages that costs nothing.

    Args:
        path: The path. A holding stage that is put in later gives on what is due with the next batch only.
        take: Called with what came out at the end of the path.
        fail: Called with what a stage raised, once; nobody else would see it, in a timer.
    """

    __slots__ = ("_fail", "_open", "_path", "_stages", "_take")

    def __init__(self, path: Path, take: Callable[[Batch], None], fail: Callable[[BaseException], None]) -> None:
        self._path = path
        self._take = take
        self._fail = fail
        self._stages: list[Any] = []
        self._open = False

    def open(self) -> bool:
        """
        Begin, and have them give on; return whether there are any.

        Raises:
            ValueError: If the path, or a stage that holds packets, is in use already; nothing has begun.
        """
        if self._path in _IN_USE:
            raise ValueError(f"the path {self._path.name} is in use already; make one for each way")
        holding: dict[str, Any] = {name: unwrapped(self._path[name]) for name in self._path}
        emitting = {name: stage for name, stage in holding.items() if hasattr(stage, "emit")}
        for name, stage in emitting.items():
            if stage.emit is not None:
                raise ValueError(f"{self._path.name}: stage {name!r} holds packets of another path; make one for each")
        for name, stage in emitting.items():
            stage.emit = partial(self._emit, name, stage)
        self._stages += [stage for stage in holding.values() if hasattr(stage, "close") and hasattr(stage, "dropped")]
        _IN_USE.add(self._path)
        self._open = True
        return bool(emitting)

    def close(self, reason: str) -> None:
        """End, and have them drop what they hold, counted under *reason*. Idempotent."""
        if not self._open:
            return
        self._open = False
        _IN_USE.discard(self._path)
        for stage in self._stages:
            if hasattr(stage, "emit"):
                stage.emit = None
            stage.close(reason)
        self._stages.clear()

    def _emit(self, name: str, stage: Any, batch: Batch) -> None:
        if name not in self._path or unwrapped(self._path[name]) is not stage:
            stage.emit = None  # it was taken out: what it held stays dropped, as ``held``
            return
        try:
            self._take(_resume(self._path, name, batch))
        except REFUSALS:  # the path counted them
            pass
        except BaseException as error:
            self._fail(fault(self._path, error))


def passed(path: Path, batch: Batch) -> Batch:
    """Return what comes out of *path* for *batch*: nothing if packets were refused, which the path counted."""
    try:
        return path(batch)
    except REFUSALS:
        return ()
    except asyncio.CancelledError as error:  # of a stage: it did not wait
        raise fault(path, error) from error


def fault(path: Path, error: BaseException) -> BaseException:
    """Return what *error*, raised by a stage, is to the task that ran it: nobody cancelled that."""
    if not isinstance(error, asyncio.CancelledError):
        return error
    fault = RuntimeError(f"{path.name}: a stage raised CancelledError, which is for cancels of tasks")
    fault.__cause__ = error
    return fault


def _resume(path: Path, name: str, batch: Batch) -> Batch:
    """Take *batch* on behind the stage called *name*, and count it as the path does."""
    nodes = path._nodes
    index = next(index for index, node in enumerate(nodes) if node.name == name)
    path._count(nodes[index], len(batch))  # what is held counts as dropped, until it goes on
    rest = Path(path.name, drop=path._drop)
    rest._nodes = nodes[index + 1 :]
    try:
        return rest(batch)
    finally:
        path._left += rest._left
        path._created += rest._created
        if rest._dropped:
            path._dropped = (path._dropped or Counter()) + rest._dropped
