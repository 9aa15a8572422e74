"""IPv6, RFC 8200."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address
from typing import Self

from attrs import field, frozen

from ..errors import PacketError
from .extension import walk_extensions
from .transport import Transport
from .value import from_view, to_bytes, to_ipv6, uint
from .view import Buffer, View, address6, bits8, bits16, raw, u8, u16, u32

__all__ = ["IPv6", "IPv6View"]

_HEADER = struct.Struct("!IHBB16s16s")


class IPv6View(View):
    """An IPv6 packet as it lies in a buffer, RFC 8200 section 3."""

    __slots__ = ()

    version = bits8(0, 4, 0xF, "The version nibble: 6.")
    traffic_class = bits16(0, 4, 0xFF, "The traffic class byte: DSCP and ECN.")
    dscp = bits16(0, 6, 0x3F, "The differentiated services code point, RFC 2474.")
    ecn = bits16(0, 4, 0x3, "The congestion bits, RFC 3168.")
    _first_word = u32(0, "Version, traffic class and flow label.")
    payload_length = u16(4, "The length of everything after the fixed header, in bytes.")
    next_header = u8(6, "What follows the fixed header: an extension header or the transport.")
    hop_limit = u8(7, "How many hops are left.")
    src_bytes = raw(8, 16, "The source address, as 16 bytes.")
    dst_bytes = raw(24, 16, "The destination address, as 16 bytes.")
    src = address6(8, "The source address.")
    dst = address6(24, "The destination address.")

    @property
    def flow_label(self) -> int:
        """The flow label, 20 bits, RFC 6437."""
        return self._first_word & 0xFFFFF

    @property
    def payload_offset(self) -> int:
        """Where the payload, extension headers included, starts in the buffer, in bytes."""
        return self.offset + 40

    @property
    def packet_end(self) -> int:
        """Where the packet ends in the buffer by its payload length, in bytes; link-layer padding may follow."""
        return min(self.end, self.offset + 40 + self.payload_length)

    @property
    def payload(self) -> bytes:
        """A copy of everything after the fixed header, without link-layer padding."""
        return self.slice(40, 40 + self.payload_length)

    @property
    def transport(self) -> Transport:
        """Where the transport header is, found by a bounded walk over the extension headers."""
        return self._transport(self._fault())

    @property
    def partial_transport(self) -> Transport:
        """The same for a packet that may be cut short, as an ICMPv6 error quotes it: it ends where the bytes do."""
        fault = self._fault()
        return self._transport("" if fault == "bad_length" else fault)

    def _transport(self, fault: str) -> Transport:
        if fault:
            return Transport(None, 0, self.end, fault)
        return walk_extensions(self.buffer, self.next_header, self.payload_offset, self.packet_end)

    def _fault(self) -> str:
        """Return what is wrong with the header, as one word; empty if nothing is."""
        available = self.available
        if available < 40:
            return "short_header"
        if self.version != 6:
            return "bad_version"
        size = self.payload_length
        # RFC 2675: a length of 0 over hop-by-hop options announces a jumbogram. Linux also sends
        # more than 64 KiB under a 0 without saying so (BIG TCP).
        if size == 0 and (self.next_header == 0 or available > 40 + 0xFFFF):
            return "jumbo"
        return "" if 40 + size <= available else "bad_length"

    def check(self) -> None:
        """
        Make sure that the fixed header makes sense and that all of the packet is there.

        Bytes beyond the payload length are link-layer padding and pass. Extension headers are not
        looked at: ``transport`` tells what is wrong with them.

        Raises:
            PacketError: With reason ``short_header``, ``bad_version``, ``bad_length`` or ``jumbo``.

        RFC 8200 section 3, RFC 2675.
        """
        match fault := self._fault():
            case "":
                return
            case "short_header":
                text = f"there are {self.available} bytes, the header takes 40"
            case "bad_version":
                text = f"version is {self.version}, not 6"
            case "jumbo":
                text = "payload length is 0, a jumbogram, which is not supported"
            case _:
                text = f"payload length is {self.payload_length} bytes, only {self.available - 40} are there"
        raise PacketError(f"IPv6: {text}", reason=fault)


@frozen
class IPv6:
    """
    An IPv6 packet that makes sense.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``; if the payload passes
            65535 bytes, with reason ``bad_length``; if it is empty under next header 0, which
            would announce a jumbogram, with reason ``jumbo``.
        TypeError: If a field is of the wrong type.
    """

    src: IPv6Address = field(converter=to_ipv6)
    """The source address."""
    dst: IPv6Address = field(converter=to_ipv6)
    """The destination address."""
    next_header: int = field(validator=uint(8))
    """What the payload starts with: an extension header or the transport."""
    payload: bytes = field(default=b"", converter=to_bytes)
    """Everything after the fixed header, extension headers included."""
    hop_limit: int = field(default=64, kw_only=True, validator=uint(8))
    """How many hops are left."""
    traffic_class: int = field(default=0, kw_only=True, validator=uint(8))
    """The traffic class byte: DSCP and ECN."""
    flow_label: int = field(default=0, kw_only=True, validator=uint(20))
    """The flow label."""

    def __attrs_post_init__(self) -> None:
        if len(self.payload) > 0xFFFF:
            raise PacketError(f"IPv6: payload is {len(self.payload)} bytes, at most 65535 fit", reason="bad_length")
        if not self.payload and self.next_header == 0:
            raise PacketError("IPv6: hop-by-hop options are announced, the payload is empty", reason="jumbo")

    @classmethod
    def parse(cls, packet: Buffer) -> Self:
        """
        Return the value of *packet*; bytes beyond its payload length are dropped.

        Raises:
            PacketError: If ``IPv6View.check()`` raises.
        """
        view = IPv6View(packet)
        view.check()
        return from_view(cls, view)

    def build(self) -> bytes:
        """Return the packet, with its payload length computed."""
        first = 6 << 28 | self.traffic_class << 20 | self.flow_label
        addresses = self.src.packed, self.dst.packed
        return _HEADER.pack(first, len(self.payload), self.next_header, self.hop_limit, *addresses) + self.payload
