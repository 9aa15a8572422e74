"""What a pump counted, each packet in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sized
from typing import Any

import attrs

from .path import Path
from .pump_edge import Edge
from .stage import unwrapped
from .statistics import StageStatistics

__all__ = ["DirectionStatistics", "Passage", "PumpStatistics"]


@attrs.frozen(kw_only=True)
class DirectionStatistics:
    """
    What passed one direction. A super-packet is one packet.

    Conservation: ``received + created == sent + merged + waiting + sum(dropped.values())``.
    """

    source: str
    """The name of the endpoint that packets come from."""
    sink: str
    """The name of the one they go to."""
    received: int
    """Packets taken from the source."""
    created: int
    """Packets that stages made, duplicates among them, and that super-packets were cut into, beyond one each."""
    sent: int
    """Packets that the sink took."""
    merged: int
    """Packets that went into super-packets at the last edge, beyond one each."""
    waiting: int
    """Packets in hand: for room in the sink, or held back by a stage."""
    dropped: Mapping[str, int]
    """Packets dropped, by reason: the stages', the sink's, and those of the end."""
    stages: tuple[StageStatistics, ...]
    """What passed each stage, in order."""

    @classmethod
    def of(cls, source: str, sink: str, received: int, passage: Passage, edge: Edge) -> DirectionStatistics:
        """Put together what the path and the last edge counted."""
        created, held, dropped, stages = passage.counted()
        return cls(
            source=source,
            sink=sink,
            received=received,
            created=created + edge.created,
            sent=edge.sent,
            merged=edge.merged,
            waiting=held + edge.waiting,
            dropped=dict(dropped + edge.dropped),
            stages=stages,
        )

    def __str__(self) -> str:
        head = f"{self.source} -> {self.sink}: {self.received} received, {self.sent} sent"
        more = (("created", self.created), ("merged", self.merged), ("waiting", self.waiting))
        lines = [head + "".join(f", {count} {what}" for what, count in more if count)]
        if self.stages:
            width = max(len(stage.name) for stage in self.stages)
            lines += [f"  {stage.name:<{width}} {stage.entered:>10} -> {stage.left}" for stage in self.stages]
        lines += [f"  {count:>10} dropped: {reason}" for reason, count in self.dropped.items()]
        return "\n".join(lines)


@attrs.frozen(kw_only=True)
class PumpStatistics:
    """What passed a pump; str() of it is a table."""

    outbound: DirectionStatistics
    inbound: DirectionStatistics

    def __str__(self) -> str:
        return f"{self.outbound}\n{self.inbound}"


class Passage:
    """
    What passes a path from a moment on: the path and its stages may have carried packets before.

    A path sees only how many packets go in and come out of a stage. One that counts by itself, by ``created``,
    ``dropped`` and its length, knows better: what it holds back is not dropped, and what is lost while
    something else is duplicated is not nothing.
    """

    __slots__ = ("_begun", "_path", "_total")

    def __init__(self, path: Path) -> None:
        self._path = path
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._total = self._path.statistics()
        stages = ((seen, self._stage(seen.name)) for seen in self._total.stages)
        self._begun = {seen.name: (seen, stage, _own(stage)) for seen, stage in stages}

    def counted(self) -> tuple[int, int, Counter[str], tuple[StageStatistics, ...]]:
        """Return what was created, what the stages hold back, and what was dropped; and the stages one by one."""
        total = self._path.statistics()
        created, held, dropped = total.created - self._total.created, 0, Counter(total.dropped)
        dropped.subtract(self._total.dropped)
        stages: list[StageStatistics] = []
        for seen in total.stages:
            stage = self._stage(seen.name)
            own = _own(stage)
            before, same, counted = self._begun.get(seen.name, (seen, self, None))
            if same is stage:  # not one that was put in its place
                seen = _less(seen, before)
                own = own and counted and (own[0] - counted[0], own[1] - counted[1])
            if own is not None and seen.entered + own[0] == seen.left + len(stage) + own[1].total():
                held += len(stage)
                created += own[0] - seen.created
                dropped.subtract(seen.dropped)
                dropped.update(own[1])
                seen = attrs.evolve(seen, created=own[0], dropped=dict(own[1]))
            stages.append(seen)
        return created, held, +dropped, tuple(stages)

    def _stage(self, name: str) -> Any:
        """Return the stage of that name; an edge of the path's own is none of it."""
        return unwrapped(self._path[name]) if name in self._path else None


def _own(stage: Any) -> tuple[int, Counter[str]] | None:
    """Return what a stage created and dropped, if it counts that by itself."""
    created, dropped = getattr(stage, "created", None), getattr(stage, "dropped", None)
    if isinstance(created, int) and isinstance(dropped, Counter) and isinstance(stage, Sized):
        return created, Counter(dropped)
    return None


def _less(seen: StageStatistics, before: StageStatistics) -> StageStatistics:
    """Return what passed a stage since *before*."""
    return StageStatistics(
        name=seen.name,
        entered=seen.entered - before.entered,
        created=seen.created - before.created,
        left=seen.left - before.left,
        dropped=dict(Counter(seen.dropped) - Counter(before.dropped)),
    )
