"""The port of an in-process device with offload: super-packets out of it and into it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence

from ..endpoint import Capabilities
from ..errors import DeviceError, PacketError
from ..offload import segment
from ..packet import GSO_ECN, SuperPacket
from ..pipeline.finishing import plain
from .device import Device
from .port import DevicePort

__all__ = ["OffloadPort"]

VNET = frozenset({"IFF_VNET_HDR"})

# What the kernel's driver calls what is left to the reader, TUNSETOFFLOAD.
FLAGS = {
    "tso": ("TUN_F_CSUM", "TUN_F_TSO4", "TUN_F_TSO6"),
    "uso": ("TUN_F_CSUM", "TUN_F_USO4", "TUN_F_USO6"),
    "tunnel": ("TUN_F_UDP_TUNNEL_GSO", "TUN_F_UDP_TUNNEL_GSO_CSUM"),
}


MERGED = {"tcp_gro", "udp_gro", "tunnel"}


class OffloadPort(DevicePort):
    """
    A device opened with offload, as an endpoint sees it.

    Args:
        features: Which, as ``offload`` of open_tun() says them.
    """

    superpackets = True

    def __init__(self, device: Device, closed: Callable[[Device], None], features: bool | str | Iterable[str]) -> None:
        super().__init__(device, closed)
        device.set_offload(features)

    @property
    def offload(self) -> frozenset[str]:  # type: ignore[override]  # the device's, where it may be switched
        return self._device.offload

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        flags = frozenset(flag for feature in self.offload for flag in FLAGS.get(feature, ()))
        return Capabilities(asked=VNET, granted=VNET | flags)

    @property
    def more(self) -> bool:  # type: ignore[override]
        return self._device.readable_now()

    def read_many(self, limit: int) -> list[bytes]:
        return self._device.read_finished(limit)

    def read_whole(self, limit: int) -> list[bytes]:
        return self._device.read_whole(limit)

    def write_many(self, batch: Sequence[bytes]) -> int:
        device = self._device
        if plain(batch) or device.offload >= MERGED:
            return device.write_many(batch)
        for index, packet in enumerate(batch):
            try:
                device.write_many(self._taken(packet))
            except DeviceError as error:
                error.sent = index
                raise
        return len(batch)

    def _taken(self, packet: bytes) -> list[bytes]:
        """Return what the stack takes of a packet: the segments of a super-packet of a kind that is off."""
        if not isinstance(packet, SuperPacket) or packet.gso_type & ~GSO_ECN in self._device.takes:
            return [packet]
        try:
            return segment(packet, self._device.header > 0)
        except PacketError as error:
            raise DeviceError(f"{self.name}: {error}", errno.EINVAL) from error
