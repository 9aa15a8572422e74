"""One direction of a pump: batches from a source, through a path, into a sink."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ..endpoint import BatchIterator, Endpoint
from ..errors import DeviceClosed
from .path import Path
from .pump_edge import Edge, ending
from .pump_graph import Picture
from .pump_release import Releases, passed
from .pump_statistics import DirectionStatistics, Passage
from .stage import Batch, Stage, stage_name

__all__ = ["Direction", "Stages", "path_of", "whole_batches"]

Stages = Path | Iterable[Stage | tuple[str, Stage]]
"""A path, or its stages: functions, or pairs of name and function."""


class Direction:
    """
    Carries packets from *source* to *sink*; a batch is read when all of the one before is dealt with.

    So no more than one batch is ever in hand, and a sink without room keeps the source from being read.
    """

    __slots__ = (
        "_edge",
        "_failure",
        "_passage",
        "_received",
        "_released",
        "_releases",
        "_sending",
        "path",
        "sink",
        "source",
    )

    def __init__(
        self, source: Endpoint, stages: Stages, sink: Endpoint, argument: str, *, coalesce: bool | None
    ) -> None:
        self.source = source
        self.sink = sink
        ethernet = "ethernet" in (source.carries, sink.carries)
        ends = source.name, sink.name
        self.path = path_of(stages, f"{source.name} to {sink.name}", ends, argument, ethernet=ethernet)
        self._passage = Passage(self.path)
        self._received = 0
        self._edge = Edge(sink, ethernet=ethernet, coalesce=coalesce)
        self._releases = Releases(self.path, self._take, self._fail)
        self._released = asyncio.Event()  # stages gave on what they held back, or failed to
        self._failure: BaseException | None = None
        self._sending: asyncio.Lock | None = None  # where two tasks send, one at a time may wait for room

    async def run(self) -> None:
        """
        Carry packets until an endpoint is closed, or something is broken.

        Raises:
            DeviceGone: If the device of one was deleted.
            Exception: What a stage or an endpoint raised that is no refusal of packets.
        """
        path, edge, ended = self.path, self._edge, "closed"
        try:
            async for batch in whole_batches(self.source):
                self._received += len(batch)
                edge.offer(passed(path, batch))
                if not await self._drain():
                    break
        except BaseException as error:
            ended = "closed" if self.sink.closed else ending(error)
            raise
        finally:
            edge.drop(ended)
            self._releases.close(ended)

    def begin(self) -> bool:
        """
        Take the path into use; return whether stages hold packets back, so that release() has to run.

        Raises:
            ValueError: If the path, or a stage that holds packets, is in use already.
        """
        holds = self._releases.open()
        if holds:
            self._sending = asyncio.Lock()
        self._passage.begin()
        return holds

    async def release(self) -> None:
        """Send what stages held back when they give it on, until the sink is closed; raise what they raise."""
        while True:
            await self._released.wait()
            self._released.clear()
            if self._failure is not None:
                raise self._failure
            if not await self._drain():
                return

    def ended(self, _: object) -> None:
        """Let go of the stages, also where run() never began."""
        self._releases.close("cancelled")

    def statistics(self) -> DirectionStatistics:
        """Return what was counted so far."""
        return DirectionStatistics.of(self.source.name, self.sink.name, self._received, self._passage, self._edge)

    def draw(self, picture: Picture, name: str, start: str, end: str) -> None:
        """Add the way to *picture*, between two of its nodes."""
        seen = self.statistics()
        last = picture.way(name, start, seen.stages)
        picture.edge(last, end, seen.sent)
        picture.drops(last, self._edge.dropped, name=f"{name}_end")

    # --- inside -----------------------------------------------------------------------------------

    async def _drain(self) -> bool:
        """Send all that is in hand; return False if the sink is closed."""
        try:
            if self._sending is None:
                await self._edge.drain()
            else:
                async with self._sending:
                    await self._edge.drain()
        except DeviceClosed:
            return False
        return True

    def _take(self, batch: Batch) -> None:
        self._edge.offer(batch)
        self._released.set()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._released.set()


def whole_batches(source: Endpoint) -> BatchIterator:
    """Iterate over what comes out of *source*, super-packets in one piece where it has them."""
    return source.batches(superpackets=True) if source.superpackets else source.batches()


def path_of(stages: Stages, name: str, ends: tuple[str, str], argument: str, *, ethernet: bool = False) -> Path:
    """Return *stages* as a path; one that is a path already is used as it is. *argument* is what the caller gave."""
    if isinstance(stages, Path):
        return stages
    if callable(stages) or not isinstance(stages, Iterable):
        raise TypeError(f"{name}: {argument} is a list of stages, not {stages!r}")
    pairs = [one if isinstance(one, tuple) else (stage_name(one), one) for one in stages]
    for _, stage in pairs:
        if not callable(stage) and hasattr(stage, "outbound") and hasattr(stage, "inbound"):
            raise TypeError(f"{name}: {stage!r} has two stages, .outbound and .inbound; each goes into its way")
    return Path(name, pairs, ends=ends, ethernet=ethernet)
