"""
A path: named stages that every batch passes in order, and the counters between them.

Conservation, for each stage and for the path: ``entered + created == left + sum(dropped.values())``.

Super-packets stay whole as long as the stages take them. In front of the first that does not there is an edge that
cuts them, which nobody put there: it costs a look at each batch, and a path without such stages has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from itertools import pairwise, takewhile

from ..errors import DeviceError, PacketError
from .graph import describe, dot, mermaid
from .outcome import Outcome
from .runner import Node, Runner
from .stage import Batch, Stage, stage_name
from .statistics import PathStatistics, StageStatistics

__all__ = ["Path"]

REASONED = DeviceError, PacketError
"""The errors whose ``reason`` is one word of ours."""


class _Edge(Node):
    """In front of a stage that does not take super-packets: cuts them. Shown once there was one."""

    __slots__ = ()

    def __init__(self, node: Node, ethernet: bool) -> None:
        from .finishing import segmenting  # late: it brings the packet room, which no path of plain stages needs

        super().__init__(f"segment for {node.name}", segmenting(ethernet))


class Path(Runner):
    """
    An ordered list of named stages; calling it takes a batch through them and returns what came out.

    Does not wait. A path is a stage itself. It returns ``[]`` at once where nothing is left, and raises whatever a
    stage raises; the batch is then dropped, under the reason of aiotun's errors or the stage's name. The stages get
    lists of their own, so one may change its batch in place; the caller's stays as it is. Stages may be put in and
    taken out at any time, also by a stage: the batch under way finishes on the stages it started on.

    A stage that is not marked ``superpackets=True`` never sees a super-packet: those that come are cut in front of it,
    which statistics() and the pictures then show as a stage ``segment for`` it. What they became stays so.

    Args:
        name: What the path is called, for errors and pictures: ``tun0 output``.
        stages: Pairs of name and stage.
        ends: What is in front of the path and behind it, for pictures.
        drop: Called with reason and number when a stage drops; not for one that counts by itself, nor behind one
            that delivers.
        ethernet: Whether the packets are frames.
    """

    __slots__ = ("_created", "_drop", "_dropped", "ethernet", "ends")

    superpackets = True
    """As a stage it takes super-packets whole."""

    def __init__(
        self,
        name: str,
        stages: Iterable[tuple[str, Stage]] = (),
        *,
        ends: tuple[str, str] = ("in", "out"),
        drop: Callable[[str, int], None] | None = None,
        ethernet: bool = False,
    ) -> None:
        super().__init__(name)
        self.ends = ends
        self._drop = drop
        self.ethernet = ethernet
        self._created = 0  # the sums are the path's own: they outlive a stage that is taken out
        self._dropped: Counter[str] | None = None
        given: list[Node] = []
        for stage, function in stages:
            _check_free(name, [node.name for node in given], stage)
            given.append(Node(stage, function))
        self._set(given)

    def __repr__(self) -> str:
        return f"<Path {self.name}: {' -> '.join(self)}>"

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the stages, in order."""
        return (node.name for node in self._stages())

    def __len__(self) -> int:
        return len(self._stages())

    def __getitem__(self, name: str) -> Stage:
        """Return the stage called *name*."""
        return self._stages()[self._index(name)].stage

    # --- changing it ------------------------------------------------------------------------------

    def append(self, stage: Stage, *, name: str | None = None) -> None:
        """Put a stage at the end. Its name is the function's own unless given."""
        self._insert(len(self), stage, name)

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

    def replace(self, name: str, stage: Stage, *, keep_counters: bool = False) -> Stage:
        """Put *stage* in the place, and under the name, of another; return the other. Counters start anew, or go on."""
        stages, index = self._stages(), self._index(name)
        old = stages[index].stage
        stages[index] = node = stages[index] if keep_counters and callable(stage) else Node(name, stage)
        node.stage = stage
        self._set(stages)
        return old

    def remove(self, name: str) -> Stage:
        """Take the stage called *name* out and return it."""
        stages, index = self._stages(), self._index(name)
        old = stages.pop(index)
        self._set(stages)
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
            stages=tuple(
                _statistics(node) for node in self._nodes if node.dropped is not None or not isinstance(node, _Edge)
            ),
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

    def _stages(self) -> list[Node]:
        """Return the stages that somebody put in."""
        return [node for node in self._nodes if not isinstance(node, _Edge)]

    def _set(self, stages: Sequence[Node]) -> None:
        """Go through these from now on, with an edge wherever super-packets have to end; one that was there stays."""
        edges = {node: edge for edge, node in pairwise(self._nodes) if isinstance(edge, _Edge)}
        nodes: list[Node] = []
        whole = True
        for node in stages:
            takes = getattr(node.function, "superpackets", False)
            if whole and not takes:
                nodes.append(edges.get(node) or _Edge(node, self.ethernet))
            nodes.append(node)
            whole = takes
        self._nodes = tuple(nodes)

    def _index(self, name: str) -> int:
        for index, node in enumerate(self._stages()):
            if node.name == name:
                return index
        raise LookupError(f"{self.name}: no stage {name!r}; it has {', '.join(self) or 'none'}")

    def _insert(self, index: int, stage: Stage, name: str | None) -> None:
        name = stage_name(stage) if name is None else name
        _check_free(self.name, self, name)
        stages = self._stages()
        stages.insert(index, Node(name, stage))
        self._set(stages)

    def _unlisted(self, node: Node, result: object, entered: int) -> tuple[Batch, int]:
        """Return what is a batch though it is no list, and how many packets it is to be compared with."""
        if isinstance(result, Outcome):
            self._count(node, result.created)
            node.dropped = Counter() if node.dropped is None else node.dropped  # an edge is shown by this
            for reason, count in result.dropped.items():
                self._lost(node, reason, count)
            return list(result), len(result)
        if isinstance(result, list | tuple):
            return result, entered
        if isinstance(result, Coroutine):
            result.close()  # it would warn that nobody awaited it
        raise TypeError(f"{self.name}: stage {node.name!r} returned {result!r}, not a list of packets")

    def _raised(self, node: Node, error: BaseException, entered: int) -> None:
        self._lost(node, error.reason if isinstance(error, REASONED) else node.name, entered, raised=True)

    def _changed(self, node: Node, entered: int, left: int) -> None:
        if left < entered:
            self._lost(node, getattr(node.function, "reason", node.name), entered - left)
        else:
            self._count(node, left - entered)

    def _count(self, node: Node, created: int) -> None:
        node.created += created
        self._created += created

    def _lost(self, node: Node, reason: str, count: int, *, raised: bool = False) -> None:
        if node.dropped is None:
            node.dropped = Counter()
        node.dropped[reason] += count
        if self._dropped is None:
            self._dropped = Counter()
        self._dropped[reason] += count
        counted = getattr(node.function, "counted", False) and not raised
        if self._drop is not None and not counted and not self._delivered(node):
            self._drop(reason, count)

    def _delivered(self, node: Node) -> bool:
        """Return whether a stage in front of this one delivers the packets."""
        return any(
            getattr(before.function, "delivers", False)
            for before in takewhile(lambda one: one is not node, self._nodes)
        )


def _check_free(path: str, names: Iterable[str], name: str) -> None:
    if name in names:
        raise ValueError(f"{path}: there is a stage {name!r} already; give this one another name")


def _statistics(node: Node) -> StageStatistics:
    dropped = dict(node.dropped or {})
    left = node.entered + node.created - sum(dropped.values())
    return StageStatistics(name=node.name, entered=node.entered, created=node.created, left=left, dropped=dropped)
