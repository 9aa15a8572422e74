"""What channels share: they carry any bytes up to a size, and their end has words of its own."""

from __future__ import annotations

from collections.abc import Sequence

from ..batch import bounds
from ..endpoint import Endpoint
from ..endpoint.fitness import check_types, is_unfinished, refuse_superpacket
from ..errors import PacketError, PacketTooBig

__all__ = ["Channel"]


class Channel(Endpoint):
    """
    An endpoint with a peer instead of a network stack: what one end sends, the other receives.

    Any ``bytes`` of 1 to ``mtu`` bytes is a packet. When the peer is gone, what arrived before is received, and then
    DeviceGone says why; an ``async for`` ends so as well.
    """

    __slots__ = ()

    def _check(self, batch: Sequence[bytes]) -> None:
        if not batch:
            return
        sizes = bounds(batch)
        if sizes is not None and sizes[0] and sizes[1] <= self._port.mtu:
            return
        name, mtu = self._port.name, self._port.mtu
        if sizes is None:
            check_types(name, batch)
        for packet in batch:
            if is_unfinished(packet):
                refuse_superpacket(name)
            if not packet:
                raise PacketError(f"{name}: packet is empty", reason="empty")
            if len(packet) > mtu:
                raise PacketTooBig(f"{name}: packet is {len(packet)} bytes, mtu is {mtu}")

    def _check_alive(self) -> None:
        if self._deleted and not self.closed:
            self._port.read_many(0)  # says why
