"""Protocol input queues: where packets that entered through any interface wait for their protocol."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Protocol, Self

import attrs

from ..endpoint import BATCH, BatchIterator, PacketIterator, Readiness
from ..errors import DeviceBusy, DeviceClosed, WouldBlock
from ..pipeline.finishing import plain
from ..queueing import Fifo, QueueStatistics
from .families import Family
from .finished import Finished
from .interface import IFQ_MAXLEN
from .superpackets import flaw

__all__ = ["Drops", "Netisr", "ProtocolQueue"]


class Drops(Protocol):
    """What counts the drops: an interface."""

    def drop(self, reason: str, count: int) -> None: ...


class ProtocolQueue:
    """
    The packets of one family, of all interfaces, for whoever registered it.

    Bounded; what does not fit is dropped and counted, here as ``queue_full`` and at the interface as
    ``input_queue_full``. One task receives at a time. Close it, or leave its ``with`` block, to unregister.

    A super-packet that entered is one packet here, until it is received: as the packets it stands for.
    """

    __slots__ = ("_closed", "_dropped", "_fifo", "_finished", "_readable", "_served", "_unregister", "family")

    def __init__(self, family: Family, limit: int, unregister: Callable[[], None]) -> None:
        self.family = family
        self._fifo = Fifo(limit)
        self._dropped: Counter[str] = Counter()  # of super-packets in the middle of being received
        self._finished = Finished(self._fifo.dequeue_many, self._drop, ethernet=False)
        self._readable = Readiness(f"receiving from the {family.name} protocol queue")
        self._unregister = unregister
        self._served = 0  # packets taken since the loop had a turn
        self._closed = False

    def __repr__(self) -> str:
        return f"<ProtocolQueue {self.family.name} {len(self._fifo)} packets{' closed' if self._closed else ''}>"

    async def recv(self) -> bytes:
        """
        Receive the next packet.

        Waits while nothing is queued. Canceling is safe: no packet is lost. The loop gets a turn at least
        every 64 packets.

        Raises:
            DeviceClosed: If the queue was closed.
            ConcurrencyError: If another task is receiving.
        """
        try:
            return self._pop()
        except IndexError:
            await self._fill()
            return self._pop()

    async def recv_many(self, limit: int = BATCH) -> list[bytes]:
        """
        Receive what is queued: 1 to *limit* packets, oldest first.

        Waits, is cancelled and raises like recv(). The loop gets a turn in every call.
        """
        if limit < 1:
            raise ValueError(f"a batch has at least 1 packet, not {limit}")
        await self._fill()
        return self._take(limit)

    def recv_nowait(self) -> bytes:
        """
        Return the next packet if there is one.

        Raises:
            WouldBlock: If nothing is queued.
            DeviceClosed: If the queue was closed.
        """
        self._check_open()
        batch = self._take(1)
        if not batch:
            raise WouldBlock(errno.EAGAIN, f"{self.family.name}: no packet is queued")
        return batch[0]

    def __aiter__(self) -> PacketIterator:
        """Iterate over packets; ends when the queue is closed. A break or a cancel loses none."""
        return PacketIterator(self._pop, self._fill)

    def batches(self, limit: int = BATCH) -> BatchIterator:
        """Iterate over batches of 1 to *limit* packets; ends when the queue is closed."""
        return BatchIterator(self.recv_many, limit)

    def enqueue(self, batch: list[bytes]) -> int:
        """Append the packets that fit, from the front of *batch*, wake the reader, and return how many they are."""
        if not plain(batch):
            batch = [packet for packet in batch if not flaw(packet, False)]
        queued = len(self._fifo.enqueue_many(batch))
        if queued:
            self._readable.set()
        return queued

    def statistics(self) -> QueueStatistics:
        """Return a snapshot of the counters: ``offered == taken + queued + sum(dropped.values())``."""
        counted, kept = self._fifo.statistics(), len(self._finished)
        return attrs.evolve(
            counted,
            taken=counted.taken - kept - self._dropped.total(),
            queued=counted.queued + kept,
            dropped=dict(Counter(counted.dropped) + self._dropped),
        )

    def close(self) -> None:
        """Unregister, drop what is queued, counted as ``closed``, and release who waits. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._unregister()
        self._fifo.purge("closed")
        self._finished.drop("closed")
        self._readable.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- inside -----------------------------------------------------------------------------------

    def _take(self, limit: int) -> list[bytes]:
        batch = self._finished.read_many(limit)
        if not self._fifo and not self._finished:
            self._readable.clear()
        return batch

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self._dropped[reason] += count

    def _pop(self) -> bytes:
        """Take one packet; IndexError if there is none, or it is the loop's turn."""
        if self._served == BATCH:
            raise IndexError
        packet = self._take(1)[0]
        self._served += 1
        return packet

    async def _fill(self) -> None:
        """Give the loop a turn, and wait until there is a packet."""
        self._check_open()
        await self._readable.wait()
        while not self._fifo and not self._finished:
            self._check_open()
            await self._readable.wait()
        self._served = 0

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceClosed(f"{self.family.name}: the protocol queue was closed")


class Netisr:
    """
    The protocol queues by family.

    Modelled on netisr_register() and netisr_queue() of DragonFly sys/net/netisr.c.
    """

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[Family, ProtocolQueue] = {}

    def __repr__(self) -> str:
        return f"<Netisr {' '.join(family.name for family in self._queues) or 'without protocols'}>"

    @property
    def queues(self) -> Mapping[Family, ProtocolQueue]:
        """The queues there are now, by family; a live, read-only view."""
        return MappingProxyType(self._queues)

    def register(self, family: int, limit: int = IFQ_MAXLEN) -> ProtocolQueue:
        """
        Make the queue that takes the packets of *family*: ``socket.AF_INET``, ``AF_INET6``, a ``Family``.

        Args:
            limit: Packets that may wait, at most.

        Raises:
            DeviceBusy: If the family is registered already.
            UnsupportedFamily: If there is no such family.
        """
        known = Family.of(family)
        if known in self._queues:
            raise DeviceBusy(f"{known.name}: the protocol is registered already")
        queue = ProtocolQueue(known, limit, lambda: self._unregister(known))
        self._queues[known] = queue
        return queue

    def queue(self, family: int, batch: list[bytes], interface: Drops) -> int:
        """
        Queue packets that entered through *interface* for their protocol; return how many were queued.

        The others are dropped, counted at the interface: ``no_protocol`` if nobody registered the family,
        ``input_queue_full`` if the queue has no room.
        """
        protocol = self._queues.get(Family.of(family))
        if protocol is None:
            interface.drop("no_protocol", len(batch))
            return 0
        queued = protocol.enqueue(batch)
        interface.drop("input_queue_full", len(batch) - queued)
        return queued

    def close(self) -> None:
        """Close every queue."""
        for queue in tuple(self._queues.values()):
            queue.close()

    def _unregister(self, family: Family) -> None:
        del self._queues[family]
