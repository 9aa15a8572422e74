"""
The blocks of a pcapng file as bytes, in this machine's byte order; the section header's magic tells a reader which.

https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html, sections 3.1 (blocks), 3.5 (options) and 4.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import Literal

from .._version import __version__

__all__ = [
    "COMMENT",
    "MAX_OPTION",
    "NANOSECONDS",
    "ORDER_MAGIC",
    "BlockType",
    "Direction",
    "EpbOption",
    "IdbOption",
    "IsbOption",
    "ShbOption",
    "encode_options",
    "interface_block",
    "packet_head",
    "packet_tail",
    "section_block",
    "statistics_block",
    "time_words",
]

Direction = Literal["in", "out"]
"""Which way a packet went, seen from the stack: ``"in"`` to it from the application, ``"out"`` from it."""

ORDER_MAGIC = 0x1A2B3C4D
NANOSECONDS = 9
"""The if_tsresol of what we write: times count 10**-9 seconds."""
COMMENT = 1
"""The option opt_comment, which every block may have, more than once."""
MAX_OPTION = 65535
"""Bytes of an option's value, at most: its length field has 16 bits."""


class BlockType(IntEnum):
    """What a block is. Section 4, and 11.3.1 for the obsolete packet block."""

    INTERFACE = 1
    PACKET = 2
    SIMPLE_PACKET = 3
    STATISTICS = 5
    ENHANCED_PACKET = 6
    SECTION = 0x0A0D0D0A


class ShbOption(IntEnum):
    """Options of a section header. Section 4.1."""

    HARDWARE = 2
    OS = 3
    USERAPPL = 4


class IdbOption(IntEnum):
    """Options of an interface description. Section 4.2."""

    NAME = 2
    DESCRIPTION = 3
    TSRESOL = 9
    FILTER = 11
    TSOFFSET = 14


class EpbOption(IntEnum):
    """Options of an enhanced packet. Section 4.3."""

    FLAGS = 2
    DROPCOUNT = 4
    PACKETID = 5


class IsbOption(IntEnum):
    """Options of interface statistics. Section 4.6."""

    STARTTIME = 2
    ENDTIME = 3
    IFRECV = 4
    IFDROP = 5


FLAGS: dict[Direction | None, int] = {None: 0, "in": 0b01, "out": 0b10}

_OPTION = struct.Struct("=HH")
_HEAD = struct.Struct("=IIIIIII")
_TOTAL = struct.Struct("=I")
_U64 = struct.Struct("=Q")
_PADS = (b"", b"\0\0\0", b"\0\0", b"\0")  # by length modulo 4
_END = bytes(4)  # opt_endofopt


def encode_options(options: Iterable[tuple[int, bytes | str]]) -> bytes:
    """Return options with their end, ``b""`` for none; a text too long for an option is cut between characters."""
    encoded = []
    for code, value in options:
        octets = _utf8(value) if isinstance(value, str) else value
        encoded += [_OPTION.pack(code, len(octets)), octets, _PADS[len(octets) & 3]]
    return b"".join([*encoded, _END]) if encoded else b""


def section_block(comments: Iterable[str] = ()) -> bytes:
    """Return a section header, of a section without a length: it ends with the file, or where the next begins."""
    options = encode_options(
        [
            (ShbOption.HARDWARE, platform.machine()),
            (ShbOption.OS, " ".join(platform.uname()[0:3:2])),
            (ShbOption.USERAPPL, f"aiotun {__version__}"),
            *((COMMENT, comment) for comment in comments),
        ]
    )
    return _block(BlockType.SECTION, struct.pack("=IHHq", ORDER_MAGIC, 1, 0, -1) + options)


def interface_block(linktype: int, snaplen: int, name: str, description: str = "", filter: str = "") -> bytes:
    """Return an interface description, with times in nanoseconds; a snaplen of 0 is none."""
    options: list[tuple[int, bytes | str]] = [(IdbOption.NAME, name)]
    if description:
        options.append((IdbOption.DESCRIPTION, description))
    if filter:
        options.append((IdbOption.FILTER, b"\0" + _utf8(filter, MAX_OPTION - 1)))  # 0: a text in libpcap's language
    options.append((IdbOption.TSRESOL, bytes([NANOSECONDS])))
    return _block(BlockType.INTERFACE, struct.pack("=HHI", linktype, 0, snaplen) + encode_options(options))


def statistics_block(interface: int, time_ns: int, started_ns: int, received: int, dropped: int) -> bytes:
    """Return what an interface counted from *started_ns* to *time_ns*."""
    high, low = time_words(time_ns)
    options = encode_options(
        [
            (IsbOption.STARTTIME, struct.pack("=II", *time_words(started_ns))),
            (IsbOption.ENDTIME, struct.pack("=II", high, low)),
            (IsbOption.IFRECV, _U64.pack(received)),
            (IsbOption.IFDROP, _U64.pack(dropped)),
        ]
    )
    return _block(BlockType.STATISTICS, struct.pack("=III", interface, high, low) + options)


def time_words(time_ns: int) -> tuple[int, int]:
    """
    Return a time as its two words, the high one first.

    Raises:
        ValueError: If it is before 1970 or after 2554, which a file has no room for.
    """
    if not 0 <= time_ns < 1 << 64:
        raise ValueError(f"pcapng: time is {time_ns} ns, it must be 0 to {(1 << 64) - 1}")
    return time_ns >> 32, time_ns & 0xFFFFFFFF


packet_head = _HEAD.pack
"""Return the head of a packet: type, total length, interface, time (high, low), bytes kept, bytes there were."""


@lru_cache(4096)
def packet_tail(kept: int, options: bytes = b"") -> tuple[int, bytes]:
    """Return how long a block with *kept* bytes of packet is, and what stands in it behind them."""
    pad = _PADS[kept & 3]
    total = _HEAD.size + kept + len(pad) + len(options) + _TOTAL.size
    return total, pad + options + _TOTAL.pack(total)


def _block(kind: int, body: bytes) -> bytes:
    total = _TOTAL.pack(len(body) + 12)
    return b"".join((_TOTAL.pack(kind), total, body, total))


def _utf8(text: str, limit: int = MAX_OPTION) -> bytes:
    octets = text.encode("utf-8", "replace")  # a lone surrogate has no encoding
    if len(octets) > limit:
        octets = octets[:limit].decode("utf-8", "ignore").encode()
    return octets
