"""
A path: named stages that every batch passes in order, and the counters between them.

Conservation, for each stage and for the path: ``entered + created == left + sum(dropped.values())``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import takewhile
from typing import NoReturn

from ..errors import DeviceError, PacketError
from .graph import describe, dot, mermaid
from .stage import Batch, Stage, stage_name
from .statistics import PathStatistics, StageStatistics

__all__ = ["Path"]

BATCH = list, tuple  # not a union, which would be made anew for every stage
REASONED = DeviceError, PacketError
"""The errors whose ``reason`` is one word of ours."""


class _Node:
    """One stage in its place."""

    __slots__ = ("created", "dropped", "entered", "foreign", "name", "stage")

    def __init__(self, name: str, stage: Stage, foreign: bool) -> None:
        if not callable(stage):
            raise TypeError(f"stage {name!r} cannot be called: {stage!r}")
        self.name = name
        self.stage = stage
        self.foreign = foreign  # not known to return a batch: what it returns is looked at
        self.entered = 0
        self.created = 0
        self.dropped: Counter[str] | None = None  # made at the first drop: most stages never drop

    def statistics(self) -> StageStatistics:
        dropped = dict(self.dropped or {})
        left = self.entered + self.created - sum(dropped.values())
        return StageStatistics(name=self.name, entered=self.entered, created=self.created, left=left, dropped=dropped)


class Path:
    """
    An ordered list of named stages; calling it takes a batch through them and returns what came out.

    Does not wait. A path is a stage itself. Stages may be put in and taken out at any time, also by a stage: the
    batch under way finishes on the stages it started on.

    Args:
        name: What the path is called, for errors and pictures: ``tun0 output``.
        stages: Pairs of name and stage.
        ends: What is in front of the path and behind it, for pictures.
        drop: Called with reason and number when a stage drops; not for one that counts by itself, nor behind one
            that delivers.
        trusted: Whether *stages* are known to return batches, and what they return need not be looked at.
    """

    __slots__ = ("_created", "_drop", "_dropped", "_left", "_nodes", "ends", "name")

    def __init__(
        self,
        name: str,
        stages: Iterable[tuple[str, Stage]] = (),
        *,
        ends: tuple[str, str] = ("in", "out"),
        drop: Callable[[str, int], None] | None = None,
        trusted: bool = False,
    ) -> None:
        self.name = name
        self.ends = ends
        self._drop = drop
        self._nodes: tuple[_Node, ...] = ()  # replaced, never changed: a batch under way keeps the one it has
        self._left = 0
        self._created = 0  # the sums are the path's own: they outlive a stage that is taken out
        self._dropped: Counter[str] | None = None
        for stage, function in stages:
            self._insert(len(self), function, stage, foreign=not trusted)

    def __call__(self, batch: Batch) -> Batch:
        """
        Take *batch* through the stages; return what came out, ``[]`` at once where nothing is left.

        The stages get lists of their own, so one may change its batch in place; the caller's stays as it is.

        Raises whatever a stage raises; the batch is then dropped, under the reason of aiotun's errors or the stage's
        name.
        """
        if isinstance(batch, bytes):
            raise TypeError(f"{self.name}: a batch is a list of packets, not one packet, {batch!r}")
        batch = list(batch)  # the stages may change theirs, never the caller's
        entered = len(batch)
        for node in self._nodes:
            if not entered:
                return batch
            node.entered += entered
            stage = node.stage  # by itself, or CPython 3.11 looks for a method of that name at each call
            try:
                batch = stage(batch)
                if type(batch) is not list and node.foreign and not isinstance(batch, BATCH):
                    self._refuse(node, batch)
            except BaseException as error:
                self._lost(node, error.reason if isinstance(error, REASONED) else node.name, entered, raised=True)
                raise
            left = len(batch)
            if left != entered:
                self._changed(node, entered, left)
                entered = left
        self._left += entered
        return batch

    def __repr__(self) -> str:
        return f"<Path {self.name}: {' -> '.join(self)}>"

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the stages, in order."""
        return (node.name for node in self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, name: str) -> Stage:
        """Return the stage called *name*."""
        return self._nodes[self._index(name)].stage

    # --- changing it ------------------------------------------------------------------------------

    def append(self, stage: Stage, *, name: str | None = None) -> None:
        """Put a stage at the end. Its name is the function's own unless given."""
        self._insert(len(self._nodes), stage, name)

    def insert_before(self, where: str, stage: Stage, *, name: str | None = None) -> None:
        """
        Put a stage in front of the one called *where*.

        Raises:
            LookupError: If there is no such stage.
            ValueError: If there is one of the new name already.
            TypeError: If the stage cannot be called.
        """
        self._insert(self._index(where), stage, name)

    def insert_after(self, where: str, stage: Stage, *, name: str | None = None) -> None:
        """Put a stage behind the one called *where*; raises like insert_before()."""
        self._insert(self._index(where) + 1, stage, name)

    def replace(self, name: str, stage: Stage) -> Stage:
        """Put *stage* in the place, and under the name, of another; return the other. Its counters start anew."""
        index = self._index(name)
        old = self._nodes[index]
        self._nodes = (*self._nodes[:index], _Node(name, stage, True), *self._nodes[index + 1 :])
        return old.stage

    def remove(self, name: str) -> Stage:
        """Take the stage called *name* out and return it."""
        index = self._index(name)
        old = self._nodes[index]
        self._nodes = self._nodes[:index] + self._nodes[index + 1 :]
        return old.stage

    # --- looking at it ----------------------------------------------------------------------------

    def statistics(self) -> PathStatistics:
        """Return a snapshot of the counters."""
        dropped = dict(self._dropped or {})
        return PathStatistics(
            name=self.name,
            entered=self._left + sum(dropped.values()) - self._created,
            created=self._created,
            left=self._left,
            dropped=dropped,
            stages=tuple(node.statistics() for node in self._nodes),
        )

    def describe(self) -> str:
        """Return the stages with their counters, as a table to read."""
        return describe(self.statistics())

    def graph(self, format: str = "mermaid") -> str:
        """
        Return the path as a picture with a counter on each edge: ``"mermaid"`` or ``"dot"``.

        Raises:
            ValueError: If the format is another one.
        """
        formats = {"mermaid": mermaid, "dot": dot}
        if format not in formats:
            raise ValueError(f"{self.name}: no graph format {format!r}; there are {', '.join(formats)}")
        return formats[format](self.statistics(), self.ends)

    # --- inside -----------------------------------------------------------------------------------

    def _index(self, name: str) -> int:
        for index, node in enumerate(self._nodes):
            if node.name == name:
                return index
        raise LookupError(f"{self.name}: no stage {name!r}; it has {', '.join(self) or 'none'}")

    def _insert(self, index: int, stage: Stage, name: str | None, *, foreign: bool = True) -> None:
        name = stage_name(stage) if name is None else name
        if name in self:
            raise ValueError(f"{self.name}: there is a stage {name!r} already; give this one another name")
        self._nodes = (*self._nodes[:index], _Node(name, stage, foreign), *self._nodes[index:])

    def _refuse(self, node: _Node, result: object) -> NoReturn:
        if isinstance(result, Coroutine):
            result.close()  # it would warn that nobody awaited it
        raise TypeError(f"{self.name}: stage {node.name!r} returned {result!r}, not a list of packets")

    def _changed(self, node: _Node, entered: int, left: int) -> None:
        if left < entered:
            self._lost(node, getattr(node.stage, "reason", node.name), entered - left)
        else:
            node.created += left - entered
            self._created += left - entered

    def _lost(self, node: _Node, reason: str, count: int, *, raised: bool = False) -> None:
        if node.dropped is None:
            node.dropped = Counter()
        node.dropped[reason] += count
        if self._dropped is None:
            self._dropped = Counter()
        self._dropped[reason] += count
        counted = getattr(node.stage, "counted", False) and not raised
        if self._drop is not None and not counted and not self._delivered(node):
            self._drop(reason, count)

    def _delivered(self, node: _Node) -> bool:
        """Return whether a stage in front of this one delivers the packets."""
        return any(
            getattr(before.stage, "delivers", False) for before in takewhile(lambda one: one is not node, self._nodes)
        )
