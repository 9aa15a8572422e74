"""Explicit congestion notification: marking a packet instead of dropping it."""

from __future__ import annotations

from ..packet import SuperPacket, update_checksum, version

__all__ = ["mark_congestion"]

_NOT_ECT = 0
_CE = 3


def mark_congestion(packet: bytes, offset: int = 0) -> bytes | None:
    """
    Return *packet* marked "congestion experienced", or None if its ends cannot take a mark.

    A packet marked already is returned as it is; a super-packet stays one, whose segments are all marked. The checksum
    of an IPv4 header is updated for the changed bits alone: one that was wrong stays wrong.

    Args:
        packet: The packet, behind *offset* bytes of link header.
        offset: Where the IP header starts, in bytes.

    RFC 3168 section 5, RFC 1624.
    """
    header = packet[offset : offset + 20]
    if len(header) < 20:
        return None
    shift = {4: 0, 6: 4}.get(version(header))  # where the two bits are in the second byte
    if shift is None or header[1] >> shift & _CE == _NOT_ECT:
        return None
    if header[1] >> shift & _CE == _CE:
        return packet
    marked = bytearray(packet)
    marked[offset + 1] |= _CE << shift
    if shift == 0:
        found = int.from_bytes(header[10:12], "big")
        total = update_checksum(found, header[1], marked[offset + 1])
        marked[offset + 10 : offset + 12] = total.to_bytes(2, "big")
    return packet.moved(marked) if isinstance(packet, SuperPacket) else bytes(marked)
