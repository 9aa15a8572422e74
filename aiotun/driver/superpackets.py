"""What a super-packet is to who handles it in one piece: how long on the wire, and with another header in front."""

from __future__ import annotations

from ..errors import PacketError
from ..offload import segment
from ..packet import SuperPacket
from ..queueing import Classified

__all__ = ["behind", "flaw", "wire_length", "without"]


def wire_length(packet: bytes) -> int:
    """Return the bytes of the packet, of a super-packet those of the longest it stands for: what an mtu bounds."""
    plain = packet.packet if isinstance(packet, Classified) else packet
    return plain.longest_segment if isinstance(plain, SuperPacket) else len(plain)


def flaw(packet: bytes, ethernet: bool) -> str:
    """Return why a super-packet cannot be cut, one word; "" if it can, and for a packet that need not."""
    try:
        segment(packet, ethernet, 0, 1)
    except PacketError as error:
        return error.reason
    return ""


def behind(header: bytes, packet: bytes) -> bytes:
    """Return *packet* behind a link header; a super-packet stays one."""
    return packet.moved(header + packet, len(header)) if isinstance(packet, SuperPacket) else header + packet


def without(frame: bytes, start: int, end: int) -> bytes:
    """Return what *frame* carries from *start* up to *end*; of a super-packet, a super-packet."""
    return frame.moved(frame[start:end], -start) if isinstance(frame, SuperPacket) else frame[start:end]
