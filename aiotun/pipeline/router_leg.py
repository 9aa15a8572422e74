"""One of the endpoints that a router joins: what comes from it, and what waits to go to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from functools import partial

from ..endpoint import BATCH, Endpoint, turn
from ..errors import AiotunError, DeviceClosed, DeviceError
from .pump_direction import Stages, path_of, whole_batches
from .pump_edge import Edge, ending
from .pump_release import Releases, passed
from .pump_statistics import Passage
from .router_queue import RouterQueue
from .router_statistics import LegStatistics
from .stage import Batch

__all__ = ["Leg"]

ENDS = DeviceError, DeviceClosed
"""What ends one leg of a router, and nothing else, when its endpoint raises it."""


class Leg:
    """
    An endpoint of a router, with a way from it, a way to it, and a queue in front of the latter.

    Nobody waits for it: what it has no room for is queued, and the queue drops. While nothing is queued,
    packets go into the endpoint at once.
    """

    __slots__ = (
        "_arriving",
        "_busy",
        "_edge",
        "_leaving",
        "_lost",
        "_offered",
        "_failure",
        "_passages",
        "_queue",
        "_received",
        "_wake",
        "endpoint",
        "ended",
        "error",
        "forwarded",
        "name",
        "recent",
        "refused",
        "releases",
        "tasks",
    )

    name: str
    """What it is called, for statistics and pictures."""
    endpoint: Endpoint
    """Where packets come from and go to; its owner's."""
    ended: str | None
    """Why nothing is carried any more, as the word that packets for it are dropped under; None while it is."""
    error: AiotunError | None
    """What its endpoint raised, if that was the end."""
    recent: dict[bytes, Leg | str]
    """Where the latest packets from it went, by source and destination; the router's."""
    forwarded: int
    """Packets from it that the router sent on."""
    refused: Counter[str]
    """Packets from it that the router did not forward, by reason."""
    releases: list[Releases]
    """What takes on the packets that stages held back; closed with the leg."""
    tasks: tuple[asyncio.Task[None], ...]
    """What carries its packets; the router's."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        arriving: Stages,
        leaving: Stages,
        *,
        packets: int,
        max_bytes: int,
        coalesce: bool | None,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.ended = None
        self.error = None
        self.recent = {}
        self.refused = Counter()
        self.tasks = ()
        self._arriving = path_of(arriving, f"from {name}", (name, "router"), "inbound")
        self._leaving = path_of(leaving, f"to {name}", ("router", name), "outbound")
        self._passages = Passage(self._arriving), Passage(self._leaving)
        self._queue = RouterQueue(packets, max_bytes=max_bytes)
        self._edge = Edge(endpoint, coalesce=coalesce)
        self.releases = []
        self._failure: BaseException | None = None
        self._lost: Counter[str] = Counter()
        self._received = self._offered = self.forwarded = 0
        self._busy = False  # something is queued, or in hand: whatever comes now has to queue behind it
        self._wake = asyncio.Event()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{f' {self.ended}' if self.ended else ''}>"

    def offer(self, batch: Batch, sender: Hashable) -> None:
        """Send *batch*, or queue it, as one of those from *sender*; never waits, never raises for the endpoint."""
        self._offered += len(batch)
        if self.ended is not None:
            self._lost[self.ended] += len(batch)
        elif self._busy:
            self._queue.put(batch, sender)
        else:
            self._send(passed(self._leaving, batch))

    async def serve(self) -> None:
        """Send what has to wait for room, until the endpoint or the router ends."""
        try:
            while self.ended is None:
                await self._wake.wait()
                self._wake.clear()
                if self._failure is not None:
                    raise self._failure
                await self._flush()
                self._busy = False
        except BaseException as error:
            self.end(ending(error))
            raise

    def begin(self, route: Callable[[Leg, Batch], None]) -> None:
        """
        Take its paths into use, those from it before *route*.

        Raises:
            ValueError: If a path, or a stage that holds packets, is in use already; the leg has ended then.
        """
        self.releases.append(Releases(self._leaving, self._send, self.fail))
        self.releases.append(Releases(self._arriving, partial(route, self), self.fail))
        try:
            for releases in self.releases:
                releases.open()
        except ValueError:
            self.end("cancelled")
            raise
        for passage in self._passages:
            passage.begin()

    async def receive(self, route: Callable[[Leg, Batch], None]) -> None:
        """Give what comes from the endpoint to *route*, until the endpoint ends."""
        batches = whole_batches(self.endpoint)
        while self.ended is None:
            try:
                batch = await anext(batches)
            except StopAsyncIteration:
                self.end("closed")
                return
            except DeviceError as error:
                self.end(ending(error), error)
                return
            self._received += len(batch)
            if self.ended is not None:  # by sending, meanwhile
                self.refused[self.ended] += len(batch)
                return
            route(self, passed(self._arriving, batch))

    def end(self, reason: str, error: AiotunError | None = None) -> None:
        """Drop what waits, and from now on everything, under *reason*. The first call counts."""
        if self.ended is None:
            self.ended, self.error = reason, error
            self._edge.drop(reason)
            self._queue.purge(reason)
            for releases in self.releases:
                releases.close(reason)
            self._wake.set()

    def let_go(self, _: object) -> None:
        """End, also where serve() never began."""
        self.end("cancelled")

    def fail(self, error: BaseException) -> None:
        """Have serve() raise *error*, which came up where nobody could see it."""
        self._failure = error
        self._wake.set()

    def statistics(self) -> LegStatistics:
        """Return what was counted so far."""
        (made, kept, refused, arriving), (created, held, dropped, leaving) = (one.counted() for one in self._passages)
        edge, queue = self._edge, self._queue.statistics()
        return LegStatistics(
            name=self.name,
            ended=self.ended,
            received=self._received,
            refused=dict(refused + self.refused),
            forwarded=self.forwarded,
            offered=self._offered,
            sent=edge.sent,
            created=made + created + edge.created,
            merged=edge.merged,
            waiting=kept + held + edge.waiting + queue.queued,
            waiting_bytes=queue.queued_bytes,
            dropped=dict(dropped + edge.dropped + Counter(queue.dropped) + self._lost),
            arriving=arriving,
            leaving=leaving,
        )

    async def stop(self) -> None:
        """End its tasks and wait for them; their errors are the router's."""
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    # --- inside -----------------------------------------------------------------------------------

    def _send(self, batch: Batch) -> None:
        """Send what left the stages, at once if nothing is in front of it."""
        self._edge.offer(batch)
        if self._busy or not batch:
            return
        try:
            self._edge.push()
        except ENDS as error:
            self._end_by(error)
        if self._edge.waiting:
            self._busy = True
            self._wake.set()

    def _end_by(self, error: DeviceError | DeviceClosed) -> None:
        """End because sending failed; a closed endpoint is no error."""
        self.end(ending(error), None if isinstance(error, DeviceClosed) else error)

    async def _flush(self) -> None:
        """Send until nothing waits; others have their turn after every batch."""
        while self._edge.waiting or self._queue:
            try:
                await self._edge.drain()
            except ENDS as error:
                self._end_by(error)
                return
            self._edge.offer(passed(self._leaving, self._queue.dequeue_many(BATCH, 0.0)))
            await turn()
