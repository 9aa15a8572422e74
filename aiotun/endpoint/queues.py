"""Several queues of one interface, each an endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Generic, Self, TypeVar, overload

from .endpoint import Endpoint
from .events import EventStream
from .port import InterfaceCounters
from .statistics import Statistics

__all__ = ["Queues"]

E = TypeVar("E", bound=Endpoint)


class Queues(Sequence[E], Generic[E]):
    """
    The queues of a multi-queue interface, in the order of opening: ``open_tun(..., queues=4)``.

    Each is an endpoint of its own, to be used in whatever event loop: all in one, or each in a thread's. Packets of
    one flow come out of one queue, in order; which one, the kernel chooses by the flow, see Device.steer().
    Closing this closes all. When one is closed under traffic, what the kernel puts into it between the last read and
    its end is lost, and only the kernel could have counted it.
    """

    __slots__ = ("_endpoints",)

    def __init__(self, endpoints: Iterable[E]) -> None:
        self._endpoints = tuple(endpoints)
        if not self._endpoints:
            raise ValueError("there is at least 1 queue, not 0")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self)} of {self._one!r}>"

    def __len__(self) -> int:
        return len(self._endpoints)

    @overload
    def __getitem__(self, index: int) -> E: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[E, ...]: ...

    def __getitem__(self, index: int | slice) -> E | tuple[E, ...]:
        return self._endpoints[index]

    @property
    def name(self) -> str:
        """The interface's name, asked of the device, so a rename shows."""
        return self._one.name

    @property
    def mtu(self) -> int:
        """The largest layer-3 packet the interface carries, in bytes, asked of the device."""
        return self._one.mtu

    @property
    def closed(self) -> bool:
        """Whether every queue is closed, or about to be."""
        return all(endpoint.closed for endpoint in self._endpoints)

    def events(self) -> EventStream:
        """Return the interface's changes from now on, as the first open queue hears them.

        Call it in that queue's event loop. The stream ends with that queue, though others may be open.
        """
        return self._one.events()

    def statistics(self) -> Statistics:
        """
        Return what all queues together counted so far; ``interface`` is the interface's own, which has them once.

        May ask the kernel for its counters; never waits.
        """
        each = [endpoint.statistics() for endpoint in self._endpoints]
        return Statistics(
            taken_packets=sum(one.taken_packets for one in each),
            taken_bytes=sum(one.taken_bytes for one in each),
            held_packets=sum(one.held_packets for one in each),
            sent_packets=sum(one.sent_packets for one in each),
            sent_bytes=sum(one.sent_bytes for one in each),
            dropped={
                reason: sum(one.dropped.get(reason, 0) for one in each)
                for reason in sorted({reason for one in each for reason in one.dropped})
            },
            interface=_latest(one.interface for one in each),
        )

    async def aclose(self) -> None:
        """
        Close every queue, the last one first, and with it free the interface.

        All are closed even if this is cancelled or one fails to; the failure is raised at the end. A queue that is
        used in another thread's event loop is to be closed there before, or that loop ended. Idempotent.

        Raises:
            RuntimeError: If a queue is used in an event loop of another thread that runs still; the others are closed.
        """
        async with AsyncExitStack() as stack:
            for endpoint in self._endpoints:
                stack.push_async_callback(endpoint.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def _one(self) -> E:
        """The first open queue, or else the first."""
        return next((endpoint for endpoint in self._endpoints if not endpoint.closed), self._endpoints[0])


def _latest(counters: Iterable[InterfaceCounters | None]) -> InterfaceCounters | None:
    """Return the newest of several looks at one interface; its counters only grow."""
    seen = [one for one in counters if one is not None]
    return max(seen, key=lambda one: one.ipackets + one.opackets, default=None)
