"""Finishing a checksum that was left to the receiver."""

from __future__ import annotations

from ..errors import PacketError
from ..packet import GSO_UDP_TUNNEL, SuperPacket, checksum
from ..speedups import twin

__all__ = ["complete"]


@twin
def complete(packet: bytes) -> bytes:
    """
    Return *packet* with its checksum finished, as plain bytes; what needs none is returned as it is.

    A super-packet becomes one large packet, of which in a tunnel the outer checksum is finished too. Until this is
    done the checksum field holds the sum of the pseudo-header, so it is neither to be verified nor to be trusted.

    Raises:
        PacketError: If the checksum would lie beyond the packet, with reason ``bad_csum_off``.

    skb_checksum_help() in Linux net/core/dev.c.
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
    # In UDP 0 says that there is no checksum, RFC 768; elsewhere 0xffff means the same, and Linux writes that too.
    total = checksum(memoryview(packet)[start:]) or 0xFFFF
    finished = b"".join((packet[:at], total.to_bytes(2, "big"), memoryview(packet)[at + 2 :]))
    if not (packet.tunnel_csum and packet.gso_type & GSO_UDP_TUNNEL):
        return finished
    start = packet.outer_th_offset  # its checksum is over the finished inner one
    return complete(SuperPacket(finished, csum_start=start, csum_offset=6, needs_csum=True))
