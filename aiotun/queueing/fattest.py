"""The flow with most bytes, found without a look at every flow."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import Generic, Protocol, TypeVar

__all__ = ["Backlog", "Fattest"]


class Backlog(Protocol):
    """A flow's packets."""

    nbytes: int

    @property
    def packets(self) -> Sized: ...


B = TypeVar("B", bound=Backlog)


class Fattest(Generic[B]):
    """
    Finds the flow with most bytes; of several, one with most packets.

    A heap of what flows had when they last grew. A flow that shrank since is put in its place when it comes to the
    top, so only growth is told. The heap is made when first needed, and dropped once most of it is out of date:
    a queue that is never full keeps none.
    """

    __slots__ = ("_heap", "_most", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, B]] | None = None
        self._most = 0
        self._serial = count()  # two flows are never compared

    def grew(self, flow: B) -> None:
        """Learn that a flow got a packet."""
        heap = self._heap
        if heap is not None:
            heappush(heap, (-flow.nbytes, -len(flow.packets), next(self._serial), flow))
            if len(heap) > self._most:
                self._heap = None

    def find(self, flows: Iterable[B]) -> B:
        """Return the fattest of *flows*, which are all there are; one of them has packets."""
        heap = self._heap
        while heap:
            nbytes, packets, _, flow = heap[0]
            if (nbytes, packets) == (-flow.nbytes, -len(flow.packets)):
                return flow
            if flow.packets:
                heapreplace(heap, (-flow.nbytes, -len(flow.packets), next(self._serial), flow))
            else:
                heappop(heap)
        self._heap = heap = [
            (-flow.nbytes, -len(flow.packets), next(self._serial), flow) for flow in flows if flow.packets
        ]
        heapify(heap)
        self._most = 4 * len(heap) + 64
        return heap[0][3]

    def clear(self) -> None:
        """Forget all flows."""
        self._heap = None
