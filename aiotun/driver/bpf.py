"""Packet filters on an interface: who listens sees a copy of every packet, with the time and the direction."""

from __future__ import annotations

import enum
import errno
import functools
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

import attrs

from ..endpoint import BATCH, Readiness
from ..errors import DeviceClosed, DeviceError, DeviceGone, WouldBlock

__all__ = ["DLT", "BpfIf", "BpfListener", "BpfStatistics", "Captured", "Direction"]


class DLT(enum.IntEnum):
    """What a captured packet begins with, with the values of BSD sys/net/bpf.h."""

    NULL = 0
    """The address family, 4 bytes in host order."""
    EN10MB = 1
    """The Ethernet header."""


class Direction(enum.Enum):
    """Which way a packet went, seen from the stack."""

    IN = "in"
    """Input: from the application to the stack."""
    OUT = "out"
    """Output: from the stack to the application."""


@attrs.frozen
class Captured:
    """One captured packet."""

    time: float
    """Seconds since the epoch; packets of one batch share it."""
    direction: Direction
    packet: bytes
    """At most ``snaplen`` bytes, beginning as the interface's DLT says."""
    length: int
    """Bytes the packet had before it was cut to ``snaplen``."""


@attrs.frozen(kw_only=True)
class BpfStatistics:
    """What a listener saw: ``received >= accepted == taken + queued + dropped``."""

    received: int
    """Packets that went by (BIOCGSTATS bs_recv)."""
    accepted: int
    """Packets that the listener's filter wanted; without a filter, all."""
    taken: int
    """Packets handed out."""
    queued: int
    """Packets waiting now."""
    dropped: int
    """Packets that found the queue full (BIOCGSTATS bs_drop), or were in it when it was closed."""


class BpfListener:
    """
    The packets of one interface, from now on: ``async for captured in listener``.

    A packet that does not fit is dropped and counted. Close with close() or ``with``. Modelled on struct bpf_d.
    """

    __slots__ = ("_accept", "_accepted", "_bpf", "_dropped", "_end", "_limit",
                 "_queue", "_ready", "_received", "_taken", "snaplen")  # fmt: skip

    def __init__(self, bpf: BpfIf, limit: int, snaplen: int, accept: Callable[[bytes], bool] | None) -> None:
        if limit < 1:
            raise ValueError(f"{bpf.name}: a capture holds at least 1 packet, not {limit}")
        if snaplen < 1:
            raise ValueError(f"{bpf.name}: a capture takes at least 1 byte of a packet, not {snaplen}")
        self.snaplen = snaplen
        """Bytes kept of a packet, at most."""
        self._bpf = bpf
        self._limit = limit
        self._accept = accept
        self._queue: deque[Captured] = deque()
        self._ready = Readiness(f"receiving what {bpf.name} captured")
        self._end: Exception | None = None  # what a reader gets once the queue is empty
        self._received = self._accepted = self._taken = self._dropped = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def recv(self) -> Captured:
        """
        Receive the next packet.

        Waits while there is none. Canceling is safe: no packet is lost.

        Raises:
            DeviceClosed: If the listener was detached or closed, and what was queued is taken.
            DeviceGone: If the interface was deleted, likewise.
            ConcurrencyError: If another task is receiving.
        """
        return (await self.recv_many(1))[0]

    async def recv_many(self, limit: int = BATCH) -> list[Captured]:
        """Receive 1 to *limit* packets, oldest first; wait, be cancelled and raise like recv()."""
        _check_limit(limit)
        await self._wait()
        return self.recv_many_nowait(limit)

    def recv_nowait(self) -> Captured:
        """Return the next packet; raise WouldBlock if there is none now, and like recv()."""
        return self.recv_many_nowait(1)[0]

    def recv_many_nowait(self, limit: int = BATCH) -> list[Captured]:
        """Return 1 to *limit* packets, oldest first; raise like recv_nowait()."""
        _check_limit(limit)
        queue = self._queue
        if not queue:
            self._check()
            raise WouldBlock(errno.EAGAIN, f"{self._bpf.name}: no packet was captured")
        batch = [queue.popleft() for _ in range(min(limit, len(queue)))]
        self._taken += len(batch)
        return batch

    def __aiter__(self) -> Self:
        """Iterate over packets; ends once it was detached or closed, raises DeviceGone with the interface."""
        return self

    async def __anext__(self) -> Captured:
        if not self._queue or self._ready.waiting:
            try:
                await self._wait()
            except DeviceClosed:
                raise StopAsyncIteration from None
        self._taken += 1
        return self._queue.popleft()

    def write(self, packet: bytes) -> None:
        """
        Inject a packet, which begins as the interface's DLT says. Does not wait. Modelled on bpfwrite().

        Raises:
            DeviceClosed, DeviceGone: Like recv(), though something be queued.
            DeviceError: If the interface takes none; what it raises else is passed on.
        """
        self._check()
        if self._bpf.inject is None:
            raise DeviceError(f"{self._bpf.name}: the interface takes no packets from a capture", errno.EOPNOTSUPP)
        self._bpf.inject(packet)

    def statistics(self) -> BpfStatistics:
        """Return a snapshot of the counters."""
        return BpfStatistics(
            received=self._received,
            accepted=self._accepted,
            taken=self._taken,
            queued=len(self._queue),
            dropped=self._dropped,
        )

    def detach(self) -> None:
        """Capture no more; what is queued can still be received. Idempotent."""
        self._finish(DeviceClosed(f"{self._bpf.name}: the capture was closed"))

    def close(self) -> None:
        """Capture no more, and drop what is queued. Idempotent."""
        self.detach()
        self._dropped += len(self._queue)
        self._queue.clear()

    def _catch(self, now: float, direction: Direction, batch: Sequence[bytes]) -> None:
        """Take a copy of a batch. Modelled on bpf_mtap() and catchpacket()."""
        self._received += len(batch)
        if self._accept is not None:
            try:
                batch = [packet for packet in batch if self._accept(packet)]
            except Exception as error:  # a fault of the filter is its owner's, not the interface's
                self._finish(error)
            if self._end is not None:  # or the filter closed the capture
                return
        self._accepted += len(batch)
        fit, snaplen = batch[: self._limit - len(self._queue)], self.snaplen
        self._dropped += len(batch) - len(fit)
        self._queue.extend([Captured(now, direction, packet[:snaplen], len(packet)) for packet in fit])
        if fit:
            self._ready.set()

    def _finish(self, end: Exception) -> None:
        if self._end is None:
            self._bpf._remove(self)
            self._end = end
            self._ready.set()

    async def _wait(self) -> None:
        """Wait until something is queued. The level says more than there is at times; it is corrected here."""
        while True:
            await self._ready.wait()
            if self._queue:
                return
            self._check()
            self._ready.clear()

    def _check(self) -> None:
        if self._end is not None:
            raise self._end.with_traceback(None)


class BpfIf:
    """
    Where listeners attach to an interface; false while there are none, so a driver asks before it copies.

    Modelled on struct bpf_if; this file, on BSD sys/net/bpf.c.
    """

    __slots__ = ("_gone", "dlt", "inject", "listeners", "name")

    def __init__(self, dlt: DLT, name: str, inject: Callable[[bytes], None] | None = None) -> None:
        self.dlt = dlt
        self.name = name
        self.inject = inject
        """Takes a packet that a listener writes, or None."""
        self.listeners: tuple[BpfListener, ...] = ()  # replaced at each change
        self._gone = False

    def __bool__(self) -> bool:
        return bool(self.listeners)

    def attach(
        self, *, limit: int = 1000, snaplen: int = 262144, accept: Callable[[bytes], bool] | None = None
    ) -> BpfListener:
        """
        Listen to the interface from now on.

        Args:
            limit: Packets that may wait to be received; more are dropped and counted.
            snaplen: Bytes kept of a packet.
            accept: Says which packets to keep. If it raises, the capture ends, and its reader gets the error.

        Raises:
            DeviceGone: If the interface was deleted.
        """
        if self._gone:
            raise _deleted(self.name)
        listener = BpfListener(self, limit, snaplen, accept)
        self.listeners += (listener,)
        return listener

    def mtap(self, batch: Sequence[bytes], direction: Direction) -> None:
        """Show a batch to every listener. Modelled on bpf_mtap()."""
        now = time.time()
        for listener in self.listeners:
            listener._catch(now, direction, batch)

    def ptap(self, families: int | Sequence[int], batch: Sequence[bytes], direction: Direction) -> None:
        """
        Show a batch to every listener, with the family, in host order, in front of each packet.

        Args:
            families: The address family of all the packets, or one for each of them.

        Modelled on bpf_ptap().
        """
        if isinstance(families, int):
            header = _header(families)
            self.mtap([header + packet for packet in batch], direction)
        else:
            pairs = zip(map(_header, families), batch, strict=True)
            self.mtap([header + packet for header, packet in pairs], direction)

    def gone(self) -> None:
        """End every listener with DeviceGone, once what is queued was taken. Modelled on bpfdetach()."""
        self._gone = True
        for listener in self.listeners:
            listener._finish(_deleted(self.name))

    def _remove(self, listener: BpfListener) -> None:
        self.listeners = tuple(other for other in self.listeners if other is not listener)


@functools.lru_cache(64)
def _header(family: int) -> bytes:
    return int(family).to_bytes(4, sys.byteorder)


def _deleted(name: str) -> DeviceGone:
    return DeviceGone(f"{name}: the interface was deleted")


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise ValueError(f"a batch has at least 1 packet, not {limit}")
