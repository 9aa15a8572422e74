"""IPv4, RFC 791."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Self

from attrs import field, frozen

from ..errors import PacketError
from .checksum import checksum
from .transport import Transport
from .value import boolean, from_view, option_bytes, to_bytes, to_ipv4, uint
from .view import Buffer, View, address4, bits8, bits16, flag8, raw, u8, u16

__all__ = ["IPv4", "IPv4View"]

_HEADER = struct.Struct("!BBHHHBBH4s4s")


class IPv4View(View):
    """An IPv4 packet as it lies in a buffer, RFC 791 section 3.1."""

    __slots__ = ()

    version = bits8(0, 4, 0xF, "The version nibble: 4.")
    ihl = bits8(0, 0, 0xF, "The header length, in 32-bit words.")
    tos = u8(1, "The type-of-service byte: DSCP and ECN.")
    dscp = bits8(1, 2, 0x3F, "The differentiated services code point, RFC 2474.")
    ecn = bits8(1, 0, 0x3, "The congestion bits, RFC 3168.")
    total_length = u16(2, "The length of header and payload, in bytes.")
    identification = u16(4, "What the fragments of one datagram have in common.")
    reserved = flag8(6, 0x80, "The unused flag bit.")
    dont_fragment = flag8(6, 0x40, "DF: routers must not fragment.")
    more_fragments = flag8(6, 0x20, "MF: this is not the last fragment.")
    fragment_offset = bits16(6, 0, 0x1FFF, "The fragment's place in its datagram, in units of 8 bytes.")
    ttl = u8(8, "Time to live, in hops.")
    protocol = u8(9, "The protocol number of the payload.")
    checksum = u16(10, "The header checksum.")
    src_bytes = raw(12, 4, "The source address, as 4 bytes.")
    dst_bytes = raw(16, 4, "The destination address, as 4 bytes.")
    src = address4(12, "The source address.")
    dst = address4(16, "The destination address.")

    @property
    def header_length(self) -> int:
        """The length of the header as it says itself, in bytes: 0 to 60."""
        return self.ihl * 4

    @property
    def options(self) -> bytes:
        """The options, padding included; fewer bytes if there are fewer."""
        return self.slice(20, self.header_length)

    @property
    def is_fragment(self) -> bool:
        """Whether this is a part of a datagram."""
        return self.more_fragments or self.fragment_offset > 0

    @property
    def payload_offset(self) -> int:
        """Where the payload starts in the buffer, in bytes."""
        return self.offset + self.header_length

    @property
    def packet_end(self) -> int:
        """Where the packet ends in the buffer by its total length, in bytes; link-layer padding may follow."""
        return min(self.end, self.offset + self.total_length)

    @property
    def payload(self) -> bytes:
        """A copy of the payload, without link-layer padding."""
        return self.slice(self.header_length, self.total_length)

    @property
    def checksum_ok(self) -> bool:
        """Whether the header sums to what it should; False if it is not all there."""
        header = self.slice(0, self.header_length)
        return len(header) >= 20 and len(header) == self.header_length and checksum(header) == 0

    @property
    def transport(self) -> Transport:
        """Where the transport header is; for a fragment, even the first, there is none to read."""
        return self._transport(self._fault())

    @property
    def partial_transport(self) -> Transport:
        """The same for a packet that may be cut short, as an ICMP error quotes it: it ends where the bytes do."""
        fault = self._fault()
        return self._transport("" if fault == "bad_length" and self.total_length >= self.header_length else fault)

    def _transport(self, fault: str) -> Transport:
        if fault:
            return Transport(None, 0, self.end, fault)
        protocol = None if self.is_fragment else self.protocol
        return Transport(protocol, self.payload_offset, self.packet_end, "fragment" if protocol is None else "")

    def _fault(self) -> str:
        """Return what is wrong with the header, as one word; empty if nothing is."""
        available = self.available
        if available < 20:
            return "short_header"
        first = self.buffer[self.offset]
        if first >> 4 != 4:
            return "bad_version"
        size = (first & 0xF) * 4
        if not 20 <= size <= available:
            return "bad_ihl"
        return "" if size <= self.total_length <= available else "bad_length"

    def check(self, *, verify: bool = False) -> None:
        """
        Make sure that the header makes sense and that all of the packet is there.

        Bytes beyond the total length are link-layer padding and pass. So do a set reserved bit, a
        time to live of 0, odd addresses and fragments of any kind: those are policy, not form.

        Args:
            verify: Whether a wrong header checksum is a fault; a router-neutral path leaves it be.

        Raises:
            PacketError: With reason ``short_header``, ``bad_version``, ``bad_ihl``,
                ``bad_length`` or ``bad_checksum``.

        RFC 1122 section 3.2.1, RFC 1812 section 5.2.2.
        """
        match fault := self._fault():
            case "":
                if verify and not self.checksum_ok:
                    raise PacketError(f"IPv4: header checksum is 0x{self.checksum:04x}, wrong", reason="bad_checksum")
                return
            case "short_header":
                text = f"there are {self.available} bytes, the header takes 20"
            case "bad_version":
                text = f"version is {self.version}, not 4"
            case "bad_ihl":
                text = f"header takes {self.header_length} bytes, it must take 20 to {min(60, self.available)}"
            case _:
                text = (
                    f"total length is {self.total_length} bytes, "
                    f"it must be {self.header_length} to {self.available}, the bytes there are"
                )
        raise PacketError(f"IPv4: {text}", reason=fault)


@frozen
class IPv4:
    """
    An IPv4 packet that makes sense.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``, or the whole would
            pass 65535 bytes, with reason ``bad_length``.
        TypeError: If a field is of the wrong type.
    """

    src: IPv4Address = field(converter=to_ipv4)
    """The source address."""
    dst: IPv4Address = field(converter=to_ipv4)
    """The destination address."""
    protocol: int = field(validator=uint(8))
    """The protocol number of the payload."""
    payload: bytes = field(default=b"", converter=to_bytes)
    """The transport header and what follows."""
    ttl: int = field(default=64, kw_only=True, validator=uint(8))
    """Time to live, in hops."""
    tos: int = field(default=0, kw_only=True, validator=uint(8))
    """The type-of-service byte: DSCP and ECN."""
    identification: int = field(default=0, kw_only=True, validator=uint(16))
    """What the fragments of one datagram have in common."""
    reserved: bool = field(default=False, kw_only=True, validator=boolean)
    """The unused flag bit, kept as it came."""
    dont_fragment: bool = field(default=False, kw_only=True, validator=boolean)
    """DF: routers must not fragment."""
    more_fragments: bool = field(default=False, kw_only=True, validator=boolean)
    """MF: this is not the last fragment."""
    fragment_offset: int = field(default=0, kw_only=True, validator=uint(13))
    """The fragment's place in its datagram, in units of 8 bytes."""
    options: bytes = field(default=b"", kw_only=True, converter=to_bytes, validator=option_bytes)
    """The options, padded to 32-bit words."""

    def __attrs_post_init__(self) -> None:
        size = self.fragment_offset * 8 + 20 + len(self.options) + len(self.payload)
        if size > 0xFFFF:
            what = "fragment would end at" if self.fragment_offset else "packet would be"
            raise PacketError(f"IPv4: {what} {size} bytes, at most 65535 fit", reason="bad_length")

    @classmethod
    def parse(cls, packet: Buffer, *, verify: bool = True) -> Self:
        """
        Return the value of *packet*; bytes beyond its total length are dropped.

        Args:
            packet: The packet, from the IPv4 header on.
            verify: Whether a wrong header checksum is a fault.

        Raises:
            PacketError: If ``IPv4View.check()`` raises, or a fragment would end beyond 65535 bytes.
        """
        view = IPv4View(packet)
        view.check(verify=verify)
        return from_view(cls, view)

    def build(self) -> bytes:
        """Return the packet, with its lengths and header checksum computed."""
        size = 20 + len(self.options)
        flags = self.reserved << 15 | self.dont_fragment << 14 | self.more_fragments << 13
        header = _HEADER.pack(
            0x40 | size // 4,
            self.tos,
            size + len(self.payload),
            self.identification,
            flags | self.fragment_offset,
            self.ttl,
            self.protocol,
            0,
            self.src.packed,
            self.dst.packed,
        )
        header += self.options
        return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + self.payload
