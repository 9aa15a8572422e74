"""What channels share: they carry any bytes up to a size, and their end has words of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ..batch import bounds
from ..endpoint import Endpoint
from ..endpoint.fitness import all_fit, check_superpacket, check_types, is_unfinished
from ..errors import PacketError, PacketTooBig

if TYPE_CHECKING:
    from ..packet import SuperPacket

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
        port = self._port
        ethernet = port.carries == "ethernet"
        if port.superpackets and isinstance(batch, (list, tuple)) and all_fit(batch, 1, port.mtu, ethernet):
            return
        sizes = bounds(batch)
        if sizes is not None and sizes[0] and sizes[1] <= port.mtu:
            return
        if sizes is None:
            check_types(port.name, batch)
        for packet in batch:
            if is_unfinished(packet):
                self._check_superpacket(cast("SuperPacket", packet))
                continue
            if not packet:
                raise PacketError(f"{port.name}: packet is empty", reason="empty")
            if len(packet) > port.mtu:
                raise PacketTooBig(f"{port.name}: packet is {len(packet)} bytes, mtu is {port.mtu}")

    def _check_superpacket(self, packet: SuperPacket) -> None:
        """Raise unless the channel takes super-packets and this one is sound, and what it stands for fits."""
        port = self._port
        check_superpacket(port, packet, port.carries == "ethernet")
        if (size := packet.longest_segment) > port.mtu:
            raise PacketTooBig(f"{port.name}: segment of the super-packet is {size} bytes, mtu is {port.mtu}")

    def _check_alive(self) -> None:
        if self._deleted and not self.closed:
            self._port.read_many(0)  # says why
