"""
Super-packets in a capture.

They are written as they are, like every capture program does on a machine with offload: one long packet, maybe with
an unfinished checksum. A comment says what it is, for who looks at it in Wireshark, and for a reader, which makes a
SuperPacket of it again.
"""

from __future__ import annotations

import re

from ..errors import PacketError
from ..packet import SuperPacket

__all__ = ["describe", "restore"]

_FIELDS = ("gso_type", "gso_size", "hdr_len", "csum_start", "csum_offset", "needs_csum", "fixed_id")
_COMMENT = re.compile("super-packet: " + " ".join(rf"{field}=(\d{{1,5}})" for field in _FIELDS) + "(?: .*)?")
_UNFINISHED = " (checksum unfinished)"


def describe(packet: SuperPacket) -> str:
    """Return the fields of a super-packet as a comment, by the names of its vnet header."""
    fields = " ".join(f"{field}={int(getattr(packet, field))}" for field in _FIELDS)
    return f"super-packet: {fields}{_UNFINISHED if packet.needs_csum else ''}"


def restore(packet: bytes, comment: str) -> bytes:
    """Return the super-packet that *comment* says *packet* was; *packet* itself if it says nothing that can be."""
    found = _COMMENT.fullmatch(comment)
    if found is None:
        return packet
    gso_type, gso_size, hdr_len, csum_start, csum_offset, needs_csum, fixed_id = map(int, found.groups())
    restored = SuperPacket(
        packet, gso_type, gso_size, hdr_len, csum_start, csum_offset, bool(needs_csum), bool(fixed_id)
    )
    try:
        restored.check()
    except PacketError:  # what a kernel would not take, nobody has to
        return packet
    return restored
