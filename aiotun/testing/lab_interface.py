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

__all__ = ["LabInterface", "LabNode"]

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
        self._listeners: list[Callable[[Event], None]] = []

    def __repr__(self) -> str:
        return f"<LabInterface {self.name} of {self.node.name}>"

    @property
    def mtu(self) -> int:
        """Bytes of the largest layer-3 packet."""
        return self.end.mtu - self.header

    def output(self, batch: list[bytes]) -> list[bytes]:
        """Put packets, or frames, on the link; return those that it took."""
        taken: list[bytes] = []
        for packet in batch:
            try:
                self.end.send_nowait(packet)
            except (DeviceError, PacketError) as error:
                self.refusal = error if isinstance(error, DeviceError) else DeviceError(str(error))
                self.drop(error.reason, 1)
            else:
                taken.append(packet)
        return taken

    def drop(self, reason: str, count: int) -> None:
        """Count packets that the node drops."""
        self.dropped[reason] += count

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
