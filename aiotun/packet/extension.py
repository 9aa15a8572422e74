"""IPv6 extension headers, RFC 8200 section 4: the bounded walk over them, and the fragment header."""

from __future__ import annotations

import struct
from typing import Self

from attrs import field, frozen

from ..errors import PacketError
from .protocols import Protocol
from .transport import Transport
from .value import boolean, from_view, to_bytes, uint
from .view import Buffer, View, bits16, flag8, u8, u32

__all__ = ["MAX_EXTENSION_BYTES", "MAX_EXTENSION_HEADERS", "Fragment", "FragmentView", "walk_extensions"]

MAX_EXTENSION_HEADERS = 8
"""How many extension headers a packet may have and still be looked through."""

MAX_EXTENSION_BYTES = 512
"""How long they may be together, in bytes."""

_HOP_BY_HOP = int(Protocol.HOP_BY_HOP)
_ROUTING = int(Protocol.ROUTING)
_FRAGMENT = int(Protocol.FRAGMENT)
_NO_NEXT = int(Protocol.NO_NEXT)
_AH = int(Protocol.AH)

# https://www.iana.org/assignments/ipv6-parameters, without ESP: what follows it is not readable,
# so for this walk it is the transport.
_EXTENSIONS = frozenset(
    map(
        int,
        {
            Protocol.HOP_BY_HOP,
            Protocol.ROUTING,
            Protocol.FRAGMENT,
            Protocol.AH,
            Protocol.NO_NEXT,
            Protocol.DESTINATION,
            Protocol.MOBILITY,
            Protocol.HIP,
            Protocol.SHIM6,
        },
    )
)

# What this room takes for a transport over IPv6. Any other number could as well be a new
# extension header (RFC 6564), so the walk stops there.
_TRANSPORTS = frozenset(map(int, set(Protocol) - _EXTENSIONS - {Protocol.ICMP}))


def walk_extensions(buffer: Buffer, next_header: int, offset: int, end: int) -> Transport:
    """
    Walk the extension headers of one packet until its transport header.

    Takes at most ``MAX_EXTENSION_HEADERS`` steps over at most ``MAX_EXTENSION_BYTES``, whatever
    the bytes say, and never raises.

    Args:
        buffer: The bytes the packet is in.
        next_header: What the fixed header names.
        offset: Where the fixed header ends in the buffer, in bytes.
        end: Where the packet ends in the buffer, in bytes.

    RFC 8200 section 4, RFC 4302 section 2.2 (AH counts words of 4 bytes, not 8).
    """
    end = min(end, len(buffer))
    limit = offset + MAX_EXTENSION_BYTES
    step = 0
    while True:
        if next_header in _TRANSPORTS:
            return Transport(next_header, offset, end)
        if next_header == _NO_NEXT:
            return Transport(None, offset, end, "no_next_header")
        if next_header not in _EXTENSIONS:
            return Transport(None, offset, end, "unknown_header")
        if next_header == _HOP_BY_HOP and step:
            return Transport(None, offset, end, "hop_by_hop_not_first")
        if step == MAX_EXTENSION_HEADERS:
            return Transport(None, offset, end, "too_many_headers")
        if offset + 8 > end:
            return Transport(None, offset, end, "truncated_header")
        if next_header == _FRAGMENT:
            atomic = FragmentView(buffer, offset, end).is_atomic
            return Transport(None, offset, end, "atomic_fragment" if atomic else "fragment")
        if next_header == _ROUTING and buffer[offset + 3]:
            return Transport(None, offset, end, "routing")
        size = (buffer[offset + 1] + 2) * 4 if next_header == _AH else (buffer[offset + 1] + 1) * 8
        if offset + size > end:
            return Transport(None, offset, end, "truncated_header")
        if offset + size > limit:
            return Transport(None, offset, end, "too_many_headers")
        next_header = buffer[offset]
        offset += size
        step += 1


class FragmentView(View):
    """An IPv6 fragment header as it lies in a buffer, RFC 8200 section 4.5."""

    __slots__ = ()

    next_header = u8(0, "What the first fragment starts with.")
    fragment_offset = bits16(2, 3, 0x1FFF, "The fragment's place in its datagram, in units of 8 bytes.")
    more_fragments = flag8(3, 0x01, "M: this is not the last fragment.")
    identification = u32(4, "What the fragments of one datagram have in common.")

    @property
    def is_atomic(self) -> bool:
        """Whether this one fragment is the whole datagram, RFC 6946."""
        return self.available >= 8 and not (self.more_fragments or self.fragment_offset)

    @property
    def payload(self) -> bytes:
        """A copy of the fragment."""
        return self.slice(8, self.available)

    def check(self) -> None:
        """
        Make sure that the header is there and the fragment has its place in a datagram.

        Raises:
            PacketError: With reason ``short_header``, or ``bad_fragment`` if the fragment is not
                the last and no multiple of 8 bytes, or would end beyond 65535 bytes.
        """
        self._need(8, "IPv6 fragment")
        _check_fragment(self.fragment_offset, self.more_fragments, self.available - 8)


@frozen
class Fragment:
    """
    An IPv6 fragment header and its fragment, the payload of an IPv6 packet with next header 44.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``, or the fragment has no
            place in a datagram, with reason ``bad_fragment``.
        TypeError: If a field is of the wrong type.
    """

    next_header: int = field(validator=uint(8))
    """What the first fragment starts with."""
    payload: bytes = field(default=b"", converter=to_bytes)
    """The fragment."""
    identification: int = field(default=0, kw_only=True, validator=uint(32))
    """What the fragments of one datagram have in common."""
    fragment_offset: int = field(default=0, kw_only=True, validator=uint(13))
    """The fragment's place in its datagram, in units of 8 bytes."""
    more_fragments: bool = field(default=False, kw_only=True, validator=boolean)
    """M: this is not the last fragment."""

    def __attrs_post_init__(self) -> None:
        _check_fragment(self.fragment_offset, self.more_fragments, len(self.payload))

    @classmethod
    def parse(cls, payload: Buffer) -> Self:
        """
        Return the value of *payload*, an IPv6 payload from the fragment header on.

        Raises:
            PacketError: If ``FragmentView.check()`` raises.
        """
        view = FragmentView(payload)
        view.check()
        return from_view(cls, view)

    def build(self) -> bytes:
        """Return header and fragment."""
        place = self.fragment_offset << 3 | self.more_fragments
        return struct.pack("!BxHI", self.next_header, place, self.identification) + self.payload


def _check_fragment(fragment_offset: int, more: bool, size: int) -> None:
    if more and size % 8:
        raise PacketError(f"IPv6 fragment: {size} bytes, not the last, and no multiple of 8", reason="bad_fragment")
    if fragment_offset * 8 + size > 0xFFFF:
        raise PacketError(
            f"IPv6 fragment: would end at {fragment_offset * 8 + size} bytes, a datagram has at most 65535",
            reason="bad_fragment",
        )
