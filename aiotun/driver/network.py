"""The network side of an in-process interface as an endpoint: what a stack, a bridge or a test stands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..endpoint import OFFLOAD, Endpoint, Event, EventKind, InterfaceCounters, Port, Readiness
from ..endpoint.pollable import PolledReadiness
from ..errors import DeviceError, PacketTooBig
from ..packet import SuperPacket
from ..pipeline.finishing import plain
from ..queueing import Fifo
from .finished import Finished
from .offloading import Offloading

__all__ = ["NetworkPort", "NetworkSide"]

INPUT_QUEUE = 1024
"""Packets that entered through the interface and wait for the stack, at most."""


class NetworkSide(Endpoint):
    """
    The stack's end of an interface: receive what the application sent, send what it shall receive.

    Super-packets go into it, and come out of it if the application sends them. Sending waits while the interface's
    send queue is full, where ``interface.output()`` drops.
    """

    __slots__ = ()
    kind = "network side"

    def _check(self, batch: Sequence[bytes]) -> None:
        if isinstance(self._port, NetworkPort):
            self._port.check(batch)


class NetworkPort(Port):
    """Joins the two paths of an interface: input into a bounded queue to read, writes into output()."""

    superpackets = True
    offload = OFFLOAD

    def __init__(self, interface: Offloading, closed: Callable[[], None]) -> None:
        self.name = interface.name
        self.mtu = interface.mtu
        self.readable: PolledReadiness = PolledReadiness(f"receiving on the network side of {interface.name}")
        self.writable = Readiness(f"sending on the network side of {interface.name}", level=True)
        self._interface = interface
        self._closed = closed
        self._queue = Fifo(INPUT_QUEUE)
        self._finished = Finished(self._queue.dequeue_many, interface.drop, ethernet=interface.header > 0)
        self._tell: Callable[[Event], None] | None = None
        interface.listen(self._changed)
        interface.when_taken = self._taken

    def deliver(self, batch: list[bytes]) -> None:
        """Queue packets that entered through the interface; those that do not fit are ``input_queue_full``."""
        queued = len(self._queue.enqueue_many(batch))
        self._interface.drop("input_queue_full", len(batch) - queued)
        if queued:
            self.readable.put(True)

    @property
    def more(self) -> bool:  # type: ignore[override]
        return self._readable_now()

    def check(self, batch: Sequence[bytes]) -> None:
        """Raise PacketTooBig if a packet is longer than the interface carries, PacketError for an unsound one."""
        if not plain(batch):
            for packet in batch:
                if isinstance(packet, SuperPacket):
                    packet.check(ethernet=self._interface.header > 0)
        error = self._interface.oversize(batch)
        if error is not None:
            raise error

    def fileno(self) -> int:
        return self.readable.fileno()

    def read_many(self, limit: int) -> list[bytes]:
        return self._read(self._finished.read_many(limit))

    def read_whole(self, limit: int) -> list[bytes]:
        return self._read(self._finished.read_whole(limit))

    def _read(self, batch: list[bytes]) -> list[bytes]:
        self.readable.put(self._readable_now())
        if not batch:
            self._interface.check_alive()
        return batch

    def write_many(self, batch: Sequence[bytes]) -> int:
        interface = self._interface
        if not batch:
            return 0
        interface.check_ready()  # here the sender is told, and counts; output() would count for it
        fit = self._fitting(batch)
        if not fit and not interface.snd:
            raise PacketTooBig(f"{self.name}: packet is {len(batch[0])} bytes, more than the empty send queue takes")
        # A list of its own, for a stage may change it. What the driver does not carry is dropped there, and counted.
        interface.output(list(batch[:fit]))
        # Not if the queue is empty: a tap that nobody has open is drained at once.
        if fit < len(batch) and interface.snd and not self._fitting(batch[fit : fit + 1]):
            self.writable.clear()
        return fit

    def is_up(self) -> bool:
        self._interface.check_alive()
        return self._interface.up

    def refresh(self) -> None:
        self.name = self._interface.name
        self.mtu = self._interface.mtu

    def counters(self) -> InterfaceCounters:
        return self._interface.counters()

    def watch(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._interface.listen(tell)

    def disarm(self) -> None:
        """Nothing to leave: the interface wakes its stack itself."""

    async def aclose(self) -> None:
        self.close_now()

    def close_now(self) -> None:
        self._interface.drop("input_closed", len(self._queue.purge("closed")))
        self._finished.drop("input_closed")
        self._interface.when_taken = None
        self._interface.unlisten(self._changed)
        if self._tell is not None:
            self._interface.unlisten(self._tell)
        self.readable.close()
        self._closed()

    def detach(self) -> int:
        raise DeviceError(f"{self.name}: an in-process interface has no file descriptor to give away")

    def _fitting(self, batch: Sequence[bytes]) -> int:
        """Return how many packets from the front of *batch* the send queue has room for."""
        snd = self._interface.snd
        head = bytes(snd.offset - self._interface.header)  # what the driver will put in front of each packet
        if plain(batch):
            return snd.fitting([head + packet for packet in batch] if head else batch)
        queued: list[bytes] = []
        for index, packet in enumerate(batch):
            units = self._interface.queued_as(packet)
            queued += [head + one for one in units] if head else units
            if snd.fitting(queued) < len(queued):
                return index
        return len(batch)

    def _taken(self) -> None:
        self.writable.set()

    def _changed(self, event: Event) -> None:
        self.writable.wake()  # a sender waiting for room learns that the interface went down
        if event.kind is EventKind.GONE:
            self.readable.put(True)
            self.writable.set()

    def _readable_now(self) -> bool:
        """Whether a read would return something, or an error worth waking for."""
        return self._interface.going or bool(self._queue) or bool(self._finished)
