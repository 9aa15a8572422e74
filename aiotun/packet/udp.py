"""UDP, RFC 768."""

from __future__ import annotations

import struct
from typing import Self

from attrs import field, frozen

from ..errors import PacketError
from .checksum import transport_checksum, transport_checksum_ok
from .protocols import Protocol
from .value import AddressLike, check_transport, from_view, packed_pair, to_bytes, uint
from .view import Buffer, View, u16

__all__ = ["UDP", "UDPView"]

_HEADER = struct.Struct("!HHHH")
_UDP = int(Protocol.UDP)


class UDPView(View):
    """A UDP datagram as it lies in a buffer, RFC 768."""

    __slots__ = ()

    src_port = u16(0, "The source port.")
    dst_port = u16(2, "The destination port.")
    length = u16(4, "The length of header and payload, in bytes.")
    checksum = u16(6, "The checksum over pseudo-header, header and payload; 0 if the sender made none.")

    @property
    def payload_offset(self) -> int:
        """Where the payload starts in the buffer, in bytes."""
        return self.offset + 8

    @property
    def payload(self) -> bytes:
        """A copy of the payload by the datagram's own length; fewer bytes if there are fewer."""
        return self.slice(8, self.length)

    def checksum_ok(self, src: bytes, dst: bytes) -> bool:
        """
        Return whether the datagram sums to what it should between these addresses, 4 or 16 bytes each.

        A checksum of 0 means none, and is fine over IPv4 only: RFC 768, RFC 8200 section 8.1.
        """
        if self.available < 8 or not 8 <= self.length <= self.available:
            return False
        if self.checksum == 0:
            return len(src) == 4
        return transport_checksum_ok(src, dst, _UDP, self.slice(0, self.length))

    def check(self) -> None:
        """
        Make sure that the datagram is all there. Bytes beyond its length pass, RFC 9868 section 5.

        Raises:
            PacketError: With reason ``short_header`` or ``bad_length``.
        """
        self._need(8, "UDP")
        if not 8 <= self.length <= self.available:
            raise PacketError(
                f"UDP: length is {self.length} bytes, it must be 8 to {self.available}, the bytes there are",
                reason="bad_length",
            )


@frozen
class UDP:
    """
    A UDP datagram that makes sense.

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
    """What the datagram carries."""

    def __attrs_post_init__(self) -> None:
        size = 8 + len(self.payload)
        if size > 0xFFFF:
            raise PacketError(f"UDP: datagram would be {size} bytes, at most 65535 fit", reason="bad_length")

    @classmethod
    def parse(cls, datagram: Buffer, src: AddressLike | None = None, dst: AddressLike | None = None) -> Self:
        """
        Return the value of *datagram*; bytes beyond its length are dropped.

        Args:
            datagram: The datagram, from the UDP header on.
            src: The source address.
            dst: The destination address; the checksum is verified only if both are given.

        Raises:
            PacketError: If ``UDPView.check()`` raises; with reason ``bad_checksum`` if the
                checksum is wrong, or is missing over IPv6.
        """
        view = UDPView(datagram)
        view.check()
        check_transport("UDP", view, src, dst)
        return from_view(cls, view)

    def build(self, src: AddressLike, dst: AddressLike) -> bytes:
        """Return the datagram, with its length, and its checksum between *src* and *dst*, computed."""
        datagram = _HEADER.pack(self.src_port, self.dst_port, 8 + len(self.payload), 0) + self.payload
        total = transport_checksum(*packed_pair(src, dst), _UDP, datagram)
        return datagram[:6] + total.to_bytes(2, "big") + datagram[8:]
