"""Rewriting octets of a packet: what it stands for stays, and its checksums follow (RFC 1624)."""

from __future__ import annotations

from ..errors import PacketError
from ..offload import complete, segment
from ..packet import Protocol, SuperPacket, update_checksum

__all__ = ["first_segment", "is_partial", "rewritten", "updated_transport"]

_UDP = int(Protocol.UDP)


def rewritten(packet: bytes, octets: bytes) -> bytes:
    """Return *octets*, as long as *packet*, as what *packet* is: a super-packet keeps its fields."""
    if not isinstance(packet, SuperPacket):
        return octets
    return SuperPacket(octets, **vars(packet))


def is_partial(packet: bytes, transport: int) -> bool:
    """Return whether the checksum of the header at *transport* is no checksum yet, only the pseudo-header's sum."""
    if not isinstance(packet, SuperPacket):
        return False
    outer = packet.tunnel_csum and packet.outer_th_offset == transport
    return outer or (packet.needs_csum and packet.csum_start == transport)


def updated_transport(found: int, protocol: int, old: int, new: int) -> int:
    """
    Return the finished checksum *found* of a transport header after the words *old* under it became *new*.

    A UDP checksum of 0 says that there is none, and stays; a computed 0 is written as 0xffff. RFC 768, RFC 1624.
    """
    if protocol != _UDP:
        return update_checksum(found, old, new)
    return (update_checksum(found, old, new) or 0xFFFF) if found else 0


def first_segment(packet: bytes) -> bytes:
    """Return the first finished packet that *packet* stands for, to quote it; itself if it cannot be cut."""
    if not isinstance(packet, SuperPacket):
        return packet
    try:
        return segment(packet, limit=1)[0] if packet.gso_type else complete(packet)
    except PacketError:
        return bytes(packet)
