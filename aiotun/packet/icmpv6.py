"""ICMPv6, RFC 4443."""

from __future__ import annotations

from typing import Self

from attrs import frozen

from .checksum import checksum, pseudo_sum, transport_checksum_ok
from .icmp import Message
from .ipv6 import IPv6View
from .protocols import ICMPv6Type, Protocol
from .value import AddressLike, check_transport, from_view, packed_pair
from .view import Buffer, View, u8, u16, u32

__all__ = ["ICMPv6", "ICMPv6View"]

_ICMPV6 = int(Protocol.ICMPV6)


class ICMPv6View(View):
    """An ICMPv6 message as it lies in a buffer, RFC 4443 section 2.1."""

    __slots__ = ()

    type = u8(0, "What the message is, ``ICMPv6Type``.")
    code = u8(1, "Which kind of it.")
    checksum = u16(2, "The checksum over pseudo-header and message.")
    rest = u32(4, "The second word, whose meaning depends on the type.")
    identifier = u16(4, "Of an echo: what the messages of one sender have in common.")
    sequence = u16(6, "Of an echo: its number.")
    mtu = u32(4, "Of a packet-too-big: the next hop's mtu, in bytes.")

    @property
    def payload(self) -> bytes:
        """A copy of what follows the first 8 bytes."""
        return self.slice(8, self.available)

    @property
    def is_error(self) -> bool:
        """Whether this is an error message, which nobody may answer, RFC 4443 section 2.4 (e)."""
        return self.available >= 1 and self.type < 128

    @property
    def quoted(self) -> IPv6View:
        """
        The packet an error is about, as far as it is quoted.

        Usually cut short, so its ``check()`` raises; ``partial_transport`` finds the transport header
        as far as the quote goes, and may find less than a whole one.
        """
        return IPv6View(self.buffer, self.offset + 8, self.end)

    def checksum_ok(self, src: bytes, dst: bytes) -> bool:
        """Return whether the message sums to what it should between these addresses, 16 bytes each."""
        return self.available >= 8 and transport_checksum_ok(src, dst, _ICMPV6, bytes(self))

    def check(self) -> None:
        """
        Make sure that the header is there.

        Raises:
            PacketError: With reason ``short_header``.
        """
        self._need(8, "ICMPv6")


@frozen
class ICMPv6(Message):
    """
    An ICMPv6 message that makes sense.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``.
        TypeError: If a field is of the wrong type.
    """

    REQUEST = ICMPv6Type.ECHO_REQUEST
    REPLY = ICMPv6Type.ECHO_REPLY

    @classmethod
    def parse(cls, message: Buffer, src: AddressLike | None = None, dst: AddressLike | None = None) -> Self:
        """
        Return the value of *message*.

        Args:
            message: The message, from the ICMPv6 header on, without link-layer padding.
            src: The source address.
            dst: The destination address; the checksum is verified only if both are given.

        Raises:
            PacketError: If ``ICMPv6View.check()`` raises; with reason ``bad_checksum`` if the
                checksum is wrong.
        """
        view = ICMPv6View(message)
        view.check()
        check_transport("ICMPv6", view, src, dst)
        return from_view(cls, view)

    def build(self, src: AddressLike, dst: AddressLike) -> bytes:
        """Return the message, with its checksum between *src* and *dst* computed."""
        head = bytes((self.type, self.code))
        tail = self.rest.to_bytes(4, "big") + self.payload
        initial = pseudo_sum(*packed_pair(src, dst), _ICMPV6, 4 + len(tail))
        return head + checksum(head + tail, initial).to_bytes(2, "big") + tail
