"""What channels share: they carry any bytes up to a size, and their end has words of its own."""

from __future__ import annotations

from collections.abc import Sequence

from ..batch import bounds
from ..endpoint import Endpoint
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
        if not isinstance(batch, Sequence):
            raise TypeError(f"{name}: a batch is a list of packets, not {type(batch).__name__}")
        for packet in batch:
            if not isinstance(packet, bytes):
                raise TypeError(f"{name}: a packet is bytes, not {type(packet).__name__}")
            if getattr(packet, "gso_type", 0) or getattr(packet, "needs_csum", False):
                message = f"{name}: a super-packet is not taken here; send what offload.segment() makes of it"
                raise PacketError(message, reason="superpacket")
            if not packet:
                raise PacketError(f"{name}: packet is empty", reason="empty")
            if len(packet) > mtu:
                raise PacketTooBig(f"{name}: packet is {len(packet)} bytes, mtu is {mtu}")

    def _check_alive(self) -> None:
        if self._deleted and not self.closed:
            self._port.read_many(0)  # says why
