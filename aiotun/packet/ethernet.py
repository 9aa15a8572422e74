"""Ethernet II and IEEE 802.3 frames, with up to two VLAN tags (IEEE 802.1Q, 802.1ad)."""

from __future__ import annotations

from typing import Self

from attrs import field, frozen

from ..errors import PacketError
from .protocols import EtherType
from .value import boolean, to_bytes, uint
from .view import Buffer, View, flag8, raw

__all__ = ["BROADCAST_MAC", "VLAN", "Ethernet", "EthernetView", "format_mac", "parse_mac"]

BROADCAST_MAC = b"\xff" * 6
"""The address of every station."""

_TAGS = frozenset((int(EtherType.VLAN), int(EtherType.SERVICE_VLAN)))
_MAX_TAGS = 2
_MIN_FRAME = 60  # without the frame check sequence, IEEE 802.3 clause 3.2.7
_MAX_LENGTH = 1500  # the largest value of the type/length field that is a length, clause 3.2.6
_MIN_TYPE = 0x600  # the smallest that is a type


def format_mac(mac: Buffer) -> str:
    """Return *mac* as text, such as ``02:00:00:00:00:01``."""
    return bytes(mac).hex(":")


def parse_mac(mac: str | bytes) -> bytes:
    """
    Return the 6 bytes of *mac*.

    Args:
        mac: Six hexadecimal pairs with ``:`` or ``-`` between them; or 6 bytes, passed through.

    Raises:
        PacketError: If it is no Ethernet address, with reason ``bad_value``.
        TypeError: If it is neither text nor bytes.
    """
    if isinstance(mac, bytes):
        if len(mac) == 6:
            return mac
    elif isinstance(mac, str):
        pairs = mac.replace("-", ":").split(":")
        # fromhex() alone would also take spaces, and pairs of other sizes.
        if len(pairs) == 6 and all(len(pair) == 2 and pair.isalnum() and pair.isascii() for pair in pairs):
            try:
                return bytes.fromhex("".join(pairs))
            except ValueError:
                pass
    else:
        raise TypeError(f"expected an Ethernet address, not {mac!r}")
    raise PacketError(f"{mac!r} is not an Ethernet address", reason="bad_value")


@frozen
class VLAN:
    """
    One VLAN tag, IEEE 802.1Q clause 9.6.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``.
        TypeError: If a field is of the wrong type.
    """

    vid: int = field(validator=uint(12))
    """The VLAN identifier; 0 for a tag that only gives a priority."""
    priority: int = field(default=0, kw_only=True, validator=uint(3))
    """The priority code point."""
    drop_eligible: bool = field(default=False, kw_only=True, validator=boolean)
    """Whether the frame goes first when there is no room."""
    tpid: int = field(default=int(EtherType.VLAN), kw_only=True, validator=uint(16))
    """What announces the tag: 0x8100 (802.1Q), or 0x88a8 (802.1ad) for the outer one."""

    def __attrs_post_init__(self) -> None:
        if self.tpid not in _TAGS:
            raise PacketError(f"VLAN: tpid is 0x{self.tpid:04x}, it must be 0x8100 or 0x88a8", reason="bad_value")

    def build(self) -> bytes:
        """Return the 4 bytes of the tag, as they stand after the source address."""
        return (self.tpid << 16 | self.priority << 13 | self.drop_eligible << 12 | self.vid).to_bytes(4, "big")


class EthernetView(View):
    """
    An Ethernet frame as it lies in a buffer, without preamble and frame check sequence.

    At most two tags are read; a third one is payload whose ethertype is that of a tag.
    """

    __slots__ = ()

    dst = raw(0, 6, "The destination address, 6 bytes.")
    src = raw(6, 6, "The source address, 6 bytes.")
    is_multicast = flag8(0, 0x01, "Whether the destination is a group: multicast or broadcast.")

    @property
    def tag_count(self) -> int:
        """How many VLAN tags are read: 0, 1 or 2."""
        if self._word(12) not in _TAGS:
            return 0
        return 2 if self._word(16) in _TAGS else 1

    @property
    def vlans(self) -> tuple[VLAN, ...]:
        """The VLAN tags, the outer one first; a tag cut short reads as VLAN 0."""
        tags = []
        for at in range(12, 12 + 4 * self.tag_count, 4):
            tci = self._word(at + 2)
            tag = VLAN(tci & 0xFFF, priority=tci >> 13, drop_eligible=bool(tci & 0x1000), tpid=self._word(at))
            tags.append(tag)
        return tuple(tags)

    @property
    def header_length(self) -> int:
        """The length of addresses, tags and type, in bytes: 14, 18 or 22."""
        return 14 + 4 * self.tag_count

    @property
    def type_or_length(self) -> int:
        """The field after the tags: a type from 0x600 on, a length in bytes below."""
        return self._word(12 + 4 * self.tag_count)

    @property
    def ethertype(self) -> int | None:
        """What the frame carries, ``EtherType``; None for an IEEE 802.3 frame, whose payload starts with LLC."""
        kind = self.type_or_length
        return kind if kind >= _MIN_TYPE else None

    @property
    def payload_offset(self) -> int:
        """Where the payload starts in the buffer, in bytes."""
        return self.offset + self.header_length

    @property
    def payload(self) -> bytes:
        """A copy of the payload. Only an IEEE 802.3 frame tells it from padding."""
        start, kind = self.header_length, self.type_or_length
        return self.slice(start, self.available if kind >= _MIN_TYPE else start + kind)

    def _word(self, at: int) -> int:
        i = self.offset + at
        return self.buffer[i] << 8 | self.buffer[i + 1] if i + 2 <= self.end else 0

    def check(self) -> None:
        """
        Make sure that the header is all there. Addresses, and the frame's size, are not judged.

        Raises:
            PacketError: With reason ``short_header``; ``bad_ethertype`` if the field after the
                tags is neither a length (up to 1500) nor a type (from 1536); ``bad_length`` if
                an IEEE 802.3 length is more than there is.
        """
        self._need(self.header_length, "Ethernet")
        kind, there = self.type_or_length, self.available - self.header_length
        if _MAX_LENGTH < kind < _MIN_TYPE:
            raise PacketError(f"Ethernet: type 0x{kind:04x} is neither a type nor a length", reason="bad_ethertype")
        if kind < _MIN_TYPE and kind > there:
            raise PacketError(f"Ethernet: length is {kind} bytes, only {there} are there", reason="bad_length")


def _tags(vlans: object) -> tuple[VLAN, ...]:
    if not isinstance(vlans, tuple | list) or not all(isinstance(vlan, VLAN) for vlan in vlans):
        raise TypeError(f"Ethernet: vlans are {vlans!r}, they must be VLAN values")
    return tuple(vlans)


@frozen
class Ethernet:
    """
    An Ethernet frame that makes sense.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``.
        TypeError: If a field is of the wrong type.
    """

    dst: bytes = field(converter=parse_mac, repr=format_mac)
    """The destination address; text is converted."""
    src: bytes = field(converter=parse_mac, repr=format_mac)
    """The source address; text is converted."""
    ethertype: int | None = field()
    """What the payload is, ``EtherType``; None for an IEEE 802.3 frame, whose length is computed."""
    payload: bytes = field(default=b"", converter=to_bytes)
    """What the frame carries."""
    vlans: tuple[VLAN, ...] = field(default=(), kw_only=True, converter=_tags)
    """The VLAN tags, the outer one first."""

    def __attrs_post_init__(self) -> None:
        kind = self.ethertype
        if len(self.vlans) > _MAX_TAGS:
            raise _bad(f"there are {len(self.vlans)} VLAN tags, at most 2 are read; the rest is payload")
        if kind is None:
            if len(self.payload) > _MAX_LENGTH:
                raise _bad(f"payload is {len(self.payload)} bytes, an IEEE 802.3 frame takes at most 1500")
            return
        if isinstance(kind, bool) or not isinstance(kind, int):
            raise TypeError(f"Ethernet: ethertype is {kind!r}, it must be an integer or None")
        if not _MIN_TYPE <= kind <= 0xFFFF:
            raise _bad(f"ethertype is {kind}, it must be 1536 to 65535; None stands for an IEEE 802.3 length")
        if kind in _TAGS and len(self.vlans) < _MAX_TAGS:
            raise _bad(f"ethertype is 0x{kind:04x}, a VLAN tag, which belongs into vlans")

    @classmethod
    def parse(cls, frame: Buffer) -> Self:
        """
        Return the value of *frame*. Padding stays in the payload, unless it is an IEEE 802.3 frame.

        Raises:
            PacketError: If ``EthernetView.check()`` raises.
        """
        view = EthernetView(frame)
        view.check()
        return cls(view.dst, view.src, view.ethertype, view.payload, vlans=view.vlans)

    def build(self, *, pad: bool = False) -> bytes:
        """
        Return the frame.

        Args:
            pad: Whether to fill it up with zeros to 60 bytes, the least a real wire takes.
        """
        kind = len(self.payload) if self.ethertype is None else self.ethertype
        tags = b"".join(vlan.build() for vlan in self.vlans)
        frame = b"".join((self.dst, self.src, tags, kind.to_bytes(2, "big"), self.payload))
        return frame.ljust(_MIN_FRAME, b"\0") if pad else frame


def _bad(text: str) -> PacketError:
    return PacketError(f"Ethernet: {text}", reason="bad_value")
