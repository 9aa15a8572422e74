"""What a pump counted, each packet in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from .path import Path
from .pump_edge import Edge
from .statistics import StageStatistics

__all__ = ["DirectionStatistics", "PumpStatistics", "passage"]


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
    def of(cls, source: str, sink: str, received: int, path: Path, edge: Edge) -> DirectionStatistics:
        """Put together what the path and the last edge counted."""
        created, held, dropped, stages = passage(path)
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


def passage(path: Path) -> tuple[int, int, Counter[str], tuple[StageStatistics, ...]]:
    """
    Return what *path* created, what its stages hold back, and what they dropped; and the stages one by one.

    A path sees only how many packets go in and come out of a stage. One that counts by itself, by ``created``,
    ``dropped`` and its length, knows better: what it holds back is not dropped, and what is lost while
    something else is duplicated is not nothing.
    """
    total = path.statistics()
    created, held, dropped = total.created, 0, Counter(total.dropped)
    stages: list[StageStatistics] = []
    for seen in total.stages:
        stage: Any = path[seen.name] if seen.name in path else None  # an edge of the path's own is no stage of it
        if _counts_itself(stage, seen):
            held += len(stage)
            created += stage.created - seen.created
            dropped.subtract(seen.dropped)
            dropped.update(stage.dropped)
            seen = attrs.evolve(seen, created=stage.created, dropped=dict(stage.dropped))
        stages.append(seen)
    return created, held, +dropped, tuple(stages)


def _counts_itself(stage: Any, seen: StageStatistics) -> bool:
    """Return whether the stage has counters of its own, and they agree with what went in and came out."""
    try:
        known = seen.left + len(stage) + stage.dropped.total()
        return bool(seen.entered + stage.created == known)
    except (AttributeError, TypeError):
        return False
