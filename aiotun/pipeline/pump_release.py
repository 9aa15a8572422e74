"""Packets that stages held back and now give on, by a timer of theirs: onward from where they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from .path import Path
from .pump_edge import REFUSALS
from .stage import Batch

__all__ = ["Releases"]


class Releases:
    """
    Takes on what the stages of a path held back, see ``stages.holding``; a path without such stages costs nothing.

    Args:
        path: The path. A holding stage that is put in later gives on what is due with the next batch only.
        take: Called with what came out at the end of the path.
        fail: Called with what a stage raised, once; nobody else would see it, in a timer.
    """

    __slots__ = ("_fail", "_path", "_stages", "_take")

    def __init__(self, path: Path, take: Callable[[Batch], None], fail: Callable[[BaseException], None]) -> None:
        self._path = path
        self._take = take
        self._fail = fail
        self._stages: list[Any] = []

    def open(self) -> bool:
        """Have them give on; return whether there are any."""
        for name in self._path:
            stage: Any = self._path[name]
            if hasattr(stage, "emit"):
                stage.emit = partial(self._emit, name)
                self._stages.append(stage)
        return bool(self._stages)

    def close(self, reason: str) -> None:
        """Have them drop what they hold, counted under *reason*."""
        for stage in self._stages:
            stage.emit = None
            stage.close(reason)
        self._stages.clear()

    def _emit(self, name: str, batch: Batch) -> None:
        try:
            self._take(_resume(self._path, name, batch))
        except REFUSALS:  # the path counted them
            pass
        except BaseException as error:
            self._fail(error)


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
