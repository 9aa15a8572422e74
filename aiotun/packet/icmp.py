"""ICMP, RFC 792."""

from __future__ import annotations

from typing import ClassVar, Self

from attrs import field, frozen

from ..errors import PacketError
from .checksum import checksum
from .ipv4 import IPv4View
from .protocols import ICMPType
from .value import echo_word, from_view, to_bytes, uint
from .view import Buffer, View, u8, u16, u32

__all__ = ["ICMP", "ICMPView"]

# RFC 1122 section 3.2.2: these quote the packet they are about, and must not cause another error.
_ERRORS = frozenset(
    map(
        int,
        (
            ICMPType.UNREACHABLE,
            ICMPType.SOURCE_QUENCH,
            ICMPType.REDIRECT,
            ICMPType.TIME_EXCEEDED,
            ICMPType.PARAMETER_PROBLEM,
        ),
    )
)


class ICMPView(View):
    """An ICMP message as it lies in a buffer, RFC 792."""

    __slots__ = ()

    type = u8(0, "What the message is, ``ICMPType``.")
    code = u8(1, "Which kind of it.")
    checksum = u16(2, "The checksum over the message.")
    rest = u32(4, "The second word, whose meaning depends on the type.")
    identifier = u16(4, "Of an echo: what the messages of one sender have in common.")
    sequence = u16(6, "Of an echo: its number.")
    mtu = u16(6, "Of an unreachable with code 4: the next hop's mtu, in bytes, RFC 1191.")

    @property
    def payload(self) -> bytes:
        """A copy of what follows the first 8 bytes."""
        return self.slice(8, self.available)

    @property
    def is_error(self) -> bool:
        """Whether this is an error message, which nobody may answer, RFC 1122 section 3.2.2."""
        return self.available >= 1 and self.type in _ERRORS

    @property
    def quoted(self) -> IPv4View:
        """
        The packet an error is about, as far as it is quoted.

        Usually cut short, so its ``check()`` raises; ``partial_transport`` finds the transport header
        as far as the quote goes, and may find less than a whole one.
        """
        return IPv4View(self.buffer, self.offset + 8, self.end)

    @property
    def checksum_ok(self) -> bool:
        """Whether the message sums to what it should; False if it is not all there."""
        return self.available >= 8 and checksum(bytes(self)) == 0

    def check(self, *, verify: bool = False) -> None:
        """
        Make sure that the header is there.

        Args:
            verify: Whether a wrong checksum is a fault.

        Raises:
            PacketError: With reason ``short_header`` or ``bad_checksum``.
        """
        self._need(8, "ICMP")
        if verify and not self.checksum_ok:
            raise PacketError(f"ICMP: checksum is 0x{self.checksum:04x}, wrong", reason="bad_checksum")


@frozen
class Message:
    """
    What ICMP and ICMPv6 messages have in common: the same words, and echo under different numbers.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``.
        TypeError: If a field is of the wrong type.
    """

    REQUEST: ClassVar[int]
    """The type of an echo request."""
    REPLY: ClassVar[int]
    """The type of an echo reply."""

    type: int = field(validator=uint(8))
    """What the message is: ``ICMPType``, or ``ICMPv6Type``."""
    code: int = field(default=0, validator=uint(8))
    """Which kind of it."""
    rest: int = field(default=0, validator=uint(32))
    """The second word, whose meaning depends on the type."""
    payload: bytes = field(default=b"", converter=to_bytes)
    """What follows: echoed bytes, or the quoted packet."""

    @classmethod
    def echo_request(cls, identifier: int, sequence: int, payload: bytes = b"") -> Self:
        """Return an echo request."""
        return cls(cls.REQUEST, 0, echo_word(identifier, sequence), payload)

    @classmethod
    def echo_reply(cls, identifier: int, sequence: int, payload: bytes = b"") -> Self:
        """Return an echo reply."""
        return cls(cls.REPLY, 0, echo_word(identifier, sequence), payload)

    @property
    def identifier(self) -> int:
        """Of an echo: what the messages of one sender have in common."""
        return self.rest >> 16

    @property
    def sequence(self) -> int:
        """Of an echo: its number."""
        return self.rest & 0xFFFF


@frozen
class ICMP(Message):
    """
    An ICMP message that makes sense.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``.
        TypeError: If a field is of the wrong type.
    """

    REQUEST = ICMPType.ECHO_REQUEST
    REPLY = ICMPType.ECHO_REPLY

    @classmethod
    def parse(cls, message: Buffer, *, verify: bool = True) -> Self:
        """
        Return the value of *message*.

        Args:
            message: The message, from the ICMP header on, without link-layer padding.
            verify: Whether a wrong checksum is a fault.

        Raises:
            PacketError: If ``ICMPView.check()`` raises.
        """
        view = ICMPView(message)
        view.check(verify=verify)
        return from_view(cls, view)

    def build(self) -> bytes:
        """Return the message, with its checksum computed."""
        head = bytes((self.type, self.code))
        tail = self.rest.to_bytes(4, "big") + self.payload
        return head + checksum(head + tail).to_bytes(2, "big") + tail
