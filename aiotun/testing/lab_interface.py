"""One end of a lab's link, as an interface of the node that it is plugged into."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Interface, IPv6Interface
from typing import Protocol

from ..channel import MemoryChannel
from ..endpoint import Event
from ..errors import DeviceError, DeviceGone, PacketError
from ..pipeline.finishing import finish
from .lab_record import Record

__all__ = ["ETHERNET_HEADER", "LabInterface", "LabNode"]

ETHERNET_HEADER = 14


class LabNode(Protocol):
    """What links join."""

    name: str
    """What it is called, in diagrams too."""
    ports: list[LabInterface]
    """Its ends of links, in the order they came."""

    def plug(self, interface: LabInterface) -> None:
        """Take an end of a link."""

    def enter(self, interface: LabInterface, batch: list[bytes]) -> None:
        """Take what arrived by a link."""

    async def aclose(self) -> None:
        """Free everything."""


class LabInterface:
    """
    An interface without a driver: what the node sends by it is on the link at once. It is what a stack and a bridge
    know as a Link.
    """

    def __init__(
        self,
        node: LabNode,
        end: MemoryChannel,
        record: Record,
        *,
        number: int,
        header: int,
    ) -> None:
        self.node = node
        self.end = end
        """Its end of the link, an endpoint."""
        self.name = f"eth{len(node.ports)}"
        self.header = header
        self.addresses: Sequence[IPv4Interface | IPv6Interface] = ()
        self.mac = b"\x02" + number.to_bytes(5, "big")  # locally administered
        self.up = True
        self.refusal: DeviceError | None = None
        self.dropped: Counter[str] = Counter()
        """Packets that did not leave or enter by it, by reason."""
        self._record = record
        self._listeners: list[Callable[[Event], None]] = []

    def __repr__(self) -> str:
        return f"<LabInterface {self.name} of {self.node.name}>"

    @property
    def mtu(self) -> int:
        """Bytes of the largest layer-3 packet."""
        return self.end.mtu - self.header

    def output(self, batch: list[bytes]) -> list[bytes]:
        """Put packets, or frames, on the link; return those that it took. Super-packets go as what they stand for."""
        taken: list[bytes] = []
        for packet in finish(batch, self.header > 0):
            try:
                self.end.send_nowait(packet)
            except (DeviceError, PacketError) as error:
                self.refusal = error if isinstance(error, DeviceError) else DeviceError(str(error))
                self.dropped[error.reason] += 1  # no note: the sender hears of it
            else:
                taken.append(packet)
        return taken

    def drop(self, reason: str, count: int) -> None:
        """Count packets that the node drops, and note why; a switch floods frames that are for one alone."""
        self.dropped[reason] += count
        if count and reason != "not_for_us":
            self._record.dropped(reason, count, self.node.name)

    def listen(self, tell: Callable[[Event], None]) -> None:
        """Call *tell* with each change, until unlisten()."""
        self._listeners.append(tell)

    def unlisten(self, tell: Callable[[Event], None]) -> None:
        """Call *tell* no more."""
        self._listeners.remove(tell)

    def tell(self, event: Event) -> None:
        """Tell whoever listens."""
        for listener in tuple(self._listeners):
            listener(event)

    async def carry(self) -> None:
        """Give the node what arrives, until an end of the link is closed."""
        with contextlib.suppress(DeviceGone):
            async for batch in self.end.batches():
                self.node.enter(self, batch)
