"""Finishing a checksum that was left to the receiver."""

from __future__ import annotations

from ..errors import PacketError
from ..packet import SuperPacket, checksum

__all__ = ["complete"]

_UDP_CHECKSUM = 6


def complete(packet: bytes) -> bytes:
    """
    Return *packet* with its checksum finished, as plain bytes; what needs none is returned as it is.

    A super-packet becomes one large packet. Until this is done the checksum field holds the sum of the
    pseudo-header, so it is neither to be verified nor to be trusted.

    Raises:
        PacketError: If the checksum would lie beyond the packet, with reason ``bad_csum_off``.

    skb_checksum_help() in Linux net/core/dev.c, but for a TCP checksum of 0, which that turns into 0xffff as well.
    """
    if not isinstance(packet, SuperPacket):
        return packet
    if not packet.needs_csum:
        return bytes(packet)
    start = packet.csum_start
    at = start + packet.csum_offset
    if at + 2 > len(packet):
        raise PacketError(
            f"SuperPacket: checksum ends at {at + 2}, the packet has {len(packet)} bytes", reason="bad_csum_off"
        )
    # What is in the field is part of the sum, so the bytes are summed as they lie.
    total = checksum(memoryview(packet)[start:])
    if total == 0 and packet.csum_offset == _UDP_CHECKSUM:
        total = 0xFFFF  # in UDP, 0 says that there is no checksum: RFC 768
    return b"".join((packet[:at], total.to_bytes(2, "big"), memoryview(packet)[at + 2 :]))
