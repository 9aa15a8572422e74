"""TCP, RFC 9293."""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

from attrs import field, frozen

from ..errors import PacketError
from .checksum import checksum, pseudo_sum, transport_checksum_ok
from .protocols import Protocol
from .value import AddressLike, check_transport, from_view, option_bytes, packed_pair, to_bytes, uint
from .view import Buffer, View, bits8, bits16, u16, u32

__all__ = ["TCP", "TCPOption", "TCPView"]

_HEADER = struct.Struct("!HHIIHHHH")
_TCP = int(Protocol.TCP)
_END, _NO_OPERATION, _MSS = 0, 1, 2


class TCPOption(NamedTuple):
    """One option of a TCP header, RFC 9293 section 3.1."""

    kind: int
    """The option's number."""

    offset: int
    """Where its kind byte is in the buffer, in bytes."""

    body: bytes
    """What follows kind and length."""


class TCPView(View):
    """A TCP segment as it lies in a buffer, RFC 9293 section 3.1."""

    __slots__ = ()

    src_port = u16(0, "The source port.")
    dst_port = u16(2, "The destination port.")
    seq = u32(4, "The sequence number of the first byte, or of SYN.")
    ack = u32(8, "The next sequence number expected; counts if ACK is set.")
    doff = bits8(12, 4, 0xF, "The data offset: the header length, in 32-bit words.")
    flags = bits16(12, 0, 0xFFF, "The control bits, ``TCPFlag``, with the reserved ones above them.")
    window = u16(14, "The receive window, before scaling.")
    checksum = u16(16, "The checksum over pseudo-header, header and payload.")
    urgent = u16(18, "The urgent pointer; counts if URG is set.")

    @property
    def header_length(self) -> int:
        """The length of the header as it says itself, in bytes: 0 to 60."""
        return self.doff * 4

    @property
    def options(self) -> bytes:
        """The options, padding included; fewer bytes if there are fewer."""
        return self.slice(20, self.header_length)

    @property
    def payload_offset(self) -> int:
        """Where the payload starts in the buffer, in bytes."""
        return self.offset + self.header_length

    @property
    def payload(self) -> bytes:
        """A copy of the payload."""
        return self.slice(self.header_length, self.available)

    @property
    def mss_offset(self) -> int | None:
        """
        Where the maximum segment size is in the buffer, in bytes; None if there is none.

        None as well if the header or any option is malformed: such a segment is best left as it is.
        """
        try:
            self.check()
            found = [o.offset + 2 for o in self.parse_options() if o.kind == _MSS and len(o.body) == 2]
        except PacketError:
            return None
        return found[0] if found else None

    @property
    def mss(self) -> int | None:
        """The maximum segment size option, in bytes; None where ``mss_offset`` is."""
        at = self.mss_offset
        return None if at is None else self.buffer[at] << 8 | self.buffer[at + 1]

    def parse_options(self) -> list[TCPOption]:
        """
        Return the options in order, without end-of-list and no-operation.

        Raises:
            PacketError: If an option has length 0 or 1, or reaches beyond the header, with reason
                ``bad_option``.
        """
        octets, base = self.options, self.offset + 20
        found: list[TCPOption] = []
        at = 0
        while at < len(octets) and octets[at] != _END:
            if octets[at] == _NO_OPERATION:
                at += 1
                continue
            size = octets[at + 1] if at + 1 < len(octets) else 0
            if size < 2 or at + size > len(octets):
                text = f"option {octets[at]} takes {size} bytes, it must take 2 to {len(octets) - at}"
                raise PacketError(f"TCP: {text}", reason="bad_option")
            found.append(TCPOption(octets[at], base + at, octets[at + 2 : at + size]))
            at += size
        return found

    def checksum_ok(self, src: bytes, dst: bytes) -> bool:
        """Return whether the segment sums to what it should between these addresses, 4 or 16 bytes each."""
        return self.available >= 20 and transport_checksum_ok(src, dst, _TCP, bytes(self))

    def check(self) -> None:
        """
        Make sure that the header is there. Flags, options and ports are not judged.

        Raises:
            PacketError: With reason ``short_header`` or ``bad_doff``.
        """
        self._need(20, "TCP")
        if not 20 <= self.header_length <= self.available:
            raise PacketError(
                f"TCP: header takes {self.header_length} bytes, it must take 20 to {min(60, self.available)}",
                reason="bad_doff",
            )


@frozen
class TCP:
    """
    A TCP segment that makes sense.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``, or header and payload
            pass 65535 bytes, with reason ``bad_length``.
        TypeError: If a field is of the wrong type.
    """

    src_port: int = field(validator=uint(16))
    """The source port."""
    dst_port: int = field(validator=uint(16))
    """The destination port."""
    payload: bytes = field(default=b"", converter=to_bytes)
    """The bytes of the stream."""
    seq: int = field(default=0, kw_only=True, validator=uint(32))
    """The sequence number of the first byte, or of SYN."""
    ack: int = field(default=0, kw_only=True, validator=uint(32))
    """The next sequence number expected; counts if ACK is set."""
    flags: int = field(default=0, kw_only=True, validator=uint(12))
    """The control bits, ``TCPFlag``, with the reserved ones above them."""
    window: int = field(default=0xFFFF, kw_only=True, validator=uint(16))
    """The receive window, before scaling."""
    urgent: int = field(default=0, kw_only=True, validator=uint(16))
    """The urgent pointer; counts if URG is set."""
    options: bytes = field(default=b"", kw_only=True, converter=to_bytes, validator=option_bytes)
    """The options, padded to 32-bit words."""

    def __attrs_post_init__(self) -> None:
        size = 20 + len(self.options) + len(self.payload)
        if size > 0xFFFF:
            raise PacketError(f"TCP: segment would be {size} bytes, at most 65535 fit", reason="bad_length")

    @classmethod
    def parse(cls, segment: Buffer, src: AddressLike | None = None, dst: AddressLike | None = None) -> Self:
        """
        Return the value of *segment*.

        Args:
            segment: The segment, from the TCP header on, without link-layer padding.
            src: The source address.
            dst: The destination address; the checksum is verified only if both are given.

        Raises:
            PacketError: If ``TCPView.check()`` raises; with reason ``bad_checksum`` if the
                checksum is wrong.
        """
        view = TCPView(segment)
        view.check()
        check_transport("TCP", view, src, dst)
        return from_view(cls, view)

    def build(self, src: AddressLike, dst: AddressLike) -> bytes:
        """Return the segment, with its data offset, and its checksum between *src* and *dst*, computed."""
        size = 20 + len(self.options)
        head = _HEADER.pack(
            self.src_port,
            self.dst_port,
            self.seq,
            self.ack,
            size // 4 << 12 | self.flags,
            self.window,
            0,
            self.urgent,
        )
        segment = head + self.options + self.payload
        a, b = packed_pair(src, dst)
        total = checksum(segment, pseudo_sum(a, b, _TCP, len(segment)))
        return segment[:16] + total.to_bytes(2, "big") + segment[18:]
