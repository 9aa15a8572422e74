"""Taking a batch through stages, one after the other: the hot loop of a path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import MethodType

from ..speedups import twin
from .stage import Batch, Stage

__all__ = ["Node", "Runner"]


@twin
class Node:
    """One stage in its place, and what it counted."""

    # Of a bound method the two parts: itself would be 64 bytes, and a host may have thousands of paths.
    __slots__ = ("created", "dropped", "entered", "function", "name", "owner", "when")

    def __init__(self, name: str, stage: Stage) -> None:
        if not callable(stage):
            raise TypeError(f"stage {name!r} cannot be called: {stage!r}")
        self.name = name
        self.stage = stage
        self.entered = 0
        self.created = 0
        self.dropped: Counter[str] | None = None  # made at the first drop: most stages never drop

    @property
    def stage(self) -> Stage:
        return self.function if self.owner is None else MethodType(self.function, self.owner)

    @stage.setter
    def stage(self, stage: Stage) -> None:
        self.function: Callable[..., Batch] = stage
        self.owner: object = None
        self.when: Callable[[object], object] | None = None
        if isinstance(stage, MethodType):
            self.function, self.owner, self.when = stage.__func__, stage.__self__, getattr(stage, "when", None)


@twin
class Runner:
    """Takes batches through stages, and counts."""

    __slots__ = ("_left", "_nodes", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: tuple[Node, ...] = ()  # replaced, never changed: a batch under way keeps the one it has
        self._left = 0

    def __call__(self, batch: Batch) -> Batch:
        """Take *batch* through the stages; return what came out."""
        if isinstance(batch, bytes):
            raise TypeError(f"{self.name}: a batch is a list of packets, not one packet, {batch!r}")
        batch = list(batch)  # the stages may change theirs, never the caller's
        entered = len(batch)
        for node in self._nodes:
            if not entered:
                return batch
            node.entered += entered
            function, owner = node.function, node.owner
            try:
                if owner is None:
                    batch = function(batch)
                elif node.when is None or node.when(owner):
                    batch = function(owner, batch)
                else:
                    continue
                if type(batch) is not list:
                    batch, entered = self._unlisted(node, batch, entered)
            except BaseException as error:
                self._raised(node, error, entered)
                raise
            left = len(batch)
            if left != entered:
                self._changed(node, entered, left)
                entered = left
        self._left += entered
        return batch

    def _unlisted(self, node: Node, result: object, entered: int) -> tuple[Batch, int]:
        """Return what is a batch though it is no list, and how many packets it is to be compared with."""
        raise NotImplementedError

    def _changed(self, node: Node, entered: int, left: int) -> None:
        """Count what came out of a stage, which is not as many packets as went in."""
        raise NotImplementedError

    def _raised(self, node: Node, error: BaseException, entered: int) -> None:
        """Count a batch that was lost in a stage that raised."""
        raise NotImplementedError
