"""
Super-packets in a capture.

They are written as they are, like every capture program does on a machine with offload: one long packet, maybe with
an unfinished checksum. A comment says what it is, for who looks at it in Wireshark, and for a reader, which makes a
SuperPacket of it again.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import PacketError
from ..packet import GSO_UDP_TUNNEL, SuperPacket

__all__ = ["describe", "restore"]

_FIELDS = ("gso_type", "gso_size", "hdr_len", "csum_start", "csum_offset", "needs_csum", "fixed_id")
_TUNNEL = ("outer_th_offset", "inner_nh_offset", "tunnel_csum")
_FLAGS = ("needs_csum", "fixed_id", "tunnel_csum")
_NUMBERS, _IN_TUNNEL = (" ".join(rf"{field}=(\d{{1,5}})" for field in fields) for fields in (_FIELDS, _TUNNEL))
_COMMENT = re.compile(f"super-packet: {_NUMBERS}(?: {_IN_TUNNEL})?(?: .*)?")
_UNFINISHED = " (checksum unfinished)"


def describe(packet: SuperPacket) -> str:
    """Return the fields of a super-packet as a comment, by the names of its vnet header."""
    names = _FIELDS + _TUNNEL if packet.gso_type & GSO_UDP_TUNNEL else _FIELDS
    fields = " ".join(f"{field}={int(getattr(packet, field))}" for field in names)
    return f"super-packet: {fields}{_UNFINISHED if packet.needs_csum else ''}"


def restore(packet: bytes, comment: str) -> bytes:
    """Return the super-packet that *comment* says *packet* was; *packet* itself if it says nothing that can be."""
    found = _COMMENT.fullmatch(comment)
    if found is None:
        return packet
    numbers = [int(number) for number in found.groups("0")]
    fields: dict[str, Any] = dict(zip(_FIELDS + _TUNNEL, numbers, strict=True))
    for flag in _FLAGS:
        fields[flag] = bool(fields[flag])
    restored = SuperPacket(packet, **fields)
    try:
        restored.check()
    except PacketError:  # what a kernel would not take, nobody has to
        return packet
    return restored
