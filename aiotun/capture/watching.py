"""Recording every edge of a path: an interface of the file for each, with what each stage dropped."""

from __future__ import annotations

import time
from typing import Self

from ..pipeline import Batch, Outcome, Path
from .blocks import Direction
from .pcapng import PcapngWriter
from .probe import Probe, Probes, linktype_of
from .verdict import Loss, reason_of

__all__ = ["Watch", "watch"]

Entered = tuple[tuple[bytes, ...], int]
"""A batch as it was in front of a stage, and when, in nanoseconds since the epoch."""


def watch(
    path: Path, writer: PcapngWriter, *, direction: Direction | None = None, linktype: int | None = None
) -> Watch:
    """
    Record every packet on every edge of *path* from now on, until the watch is closed: ``with watch(path, writer):``.

    Each edge is an interface of the file, called like ``tun0 output: classify -> enqueue``. A packet that a stage
    drops is on the edges in front of it; on the last of them it has the comment ``dropped by filter: not_wanted``. A
    packet that came out as another has ``changed by encrypt``. Where a stage does both in one batch, and what it
    returned does not tell which is which, the comment says so.

    Does not wait. The path may be in use; its counters go on. Stages put in meanwhile are not seen. For a pump, watch
    the path of each way.

    Args:
        path: The path.
        writer: Where to; it stays the caller's.
        direction: Which way its packets go.
        linktype: What they begin with; by default as the path says, frames or IP packets.

    Raises:
        ValueError: If the path has no stage.
    """
    return Watch(path, writer, direction, linktype_of(path, linktype))


class Watch:
    """The recording of one path; made by watch(). Ends at close(), or with its block."""

    def __init__(self, path: Path, writer: PcapngWriter, direction: Direction | None, linktype: int) -> None:
        names = list(path)
        if not names:
            raise ValueError(
                f"{path.name}: there is no stage to watch; append the stage() of an interface of the capture"
            )
        points = [path.ends[0], *names, path.ends[1]]
        self._direction = direction
        self._edges = [
            writer.interface(f"{path.name}: {before} -> {after}", linktype)
            for before, after in zip(points, points[1:], strict=False)
        ]
        self._last = len(names) - 1
        self._probes = Probes(path, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Record no more: the path is as it was. Idempotent."""
        self._probes.remove()

    def enter(self, probe: Probe[Entered], batch: Batch) -> Entered:
        """See Observer."""
        return tuple(batch), time.time_ns()

    def leave(self, entered: Entered, probe: Probe[Entered], after: Batch | BaseException) -> None:
        """See Observer."""
        before, now = entered
        edge = self._edges[probe.index]
        error = after if isinstance(after, BaseException) else None
        left: Batch = after if isinstance(after, list | tuple) else ()
        loss = Loss.between(before, left, after.dropped if isinstance(after, Outcome) else None)
        if not loss.gone:
            edge.write_many(before, now, self._direction)
        else:
            comments = dict.fromkeys(loss.gone, loss.text(probe.name, reason_of(probe.stage, probe.name, error)))
            for index, packet in enumerate(before):
                edge.write(packet, now, direction=self._direction, comments=comments.get(index, ()))
        if probe.index == self._last:
            self._edges[-1].write_many(left, None, self._direction)
