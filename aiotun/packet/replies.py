"""Answers to whole IP packets: an echo reply, or an ICMP error that says why there is no other."""

from __future__ import annotations

import struct

from .checksum import checksum, pseudo_sum, update_checksum
from .extension import FragmentView, walk_extensions
from .icmp import ICMP, ICMPView
from .icmpv6 import ICMPv6, ICMPv6View
from .ip import version
from .ipv4 import IPv4, IPv4View
from .ipv6 import IPv6, IPv6View
from .protocols import ICMPType, ICMPv6Type, Protocol
from .value import AddressLike, to_packed
from .view import Buffer

__all__ = ["echo_reply", "error_reply", "packet_too_big", "time_exceeded", "unreachable"]

_ICMP = int(Protocol.ICMP)
_ICMPV6 = int(Protocol.ICMPV6)
_ECHO = int(ICMPType.ECHO_REQUEST)
_ECHO6 = int(ICMPv6Type.ECHO_REQUEST)
_REPLY6 = int(ICMPv6Type.ECHO_REPLY)
_TTL = 64  # RFC 1700: what hosts send with

_HEADER4 = struct.Struct("!BBHHHBBH4s4s")
_HEADER6 = struct.Struct("!IHBB16s16s")

# With these, or a transport in sight, a packet is known not to hide an ICMPv6 error.
_NOT_ICMPV6 = frozenset(("", "no_next_header", "unknown_header", "hop_by_hop_not_first"))


def echo_reply(packet: Buffer) -> bytes | None:
    """
    Return the echo reply to *packet*, or None if it asks for none.

    Answers a whole ICMP or ICMPv6 echo request whose checksums are right and whose two addresses
    each stand for one host. The reply has no IP options or extension headers, a fresh time to
    live, and the request's DSCP. Fragments are not answered.

    Args:
        packet: A whole IP packet; link-layer padding after it is dropped.

    RFC 1122 section 3.2.2.6, RFC 4443 section 4.2, RFC 1349 section 5.1.
    """
    match version(packet):
        case 4:
            return _echo_reply4(packet)
        case 6:
            return _echo_reply6(packet)
        case _:
            return None


def _echo_reply4(packet: Buffer) -> bytes | None:
    # This reads the packet without a view: 40% of a call would be properties.
    if len(packet) < 28 or packet[9] != _ICMP or packet[6] & 0x3F or packet[7]:
        return None
    start = (packet[0] & 0xF) * 4
    end = packet[2] << 8 | packet[3]
    if start < 20 or not start + 8 <= end <= len(packet) or checksum(packet[:start]):
        return None
    message = bytes(packet[start:end])
    if message[0] != _ECHO or message[1] or checksum(message):
        return None
    src, dst = bytes(packet[12:16]), bytes(packet[16:20])
    if not (_is_host4(src) and _is_host4(dst)):
        return None
    # Identification 0 and DF, RFC 6864 section 4.1: the reply is never to be fragmented.
    header = _HEADER4.pack(0x45, packet[1] & 0xFC, 20 + len(message), 0, 0x4000, _TTL, _ICMP, 0, dst, src)
    total = update_checksum(message[2] << 8 | message[3], _ECHO << 8, 0)
    if total == 0 and not any(message[4:]):
        total = 0xFFFF  # nothing but zeros is left, where the incremental update cannot tell 0 from 0xffff
    head = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    return head + b"\0\0" + total.to_bytes(2, "big") + message[4:]


def _echo_reply6(packet: Buffer) -> bytes | None:
    view = IPv6View(packet)
    protocol, start, end, _ = view.transport
    if protocol != _ICMPV6 or start + 8 > end:
        return None
    message, src, dst = bytes(packet[start:end]), bytes(packet[8:24]), bytes(packet[24:40])
    if message[0] != _ECHO6 or message[1] or not (_is_host6(src) and _is_host6(dst)):
        return None
    if checksum(message, pseudo_sum(src, dst, _ICMPV6, len(message))):
        return None
    # The pseudo-header sums the same with its addresses exchanged.
    total = update_checksum(message[2] << 8 | message[3], _ECHO6 << 8, _REPLY6 << 8)
    head = _HEADER6.pack(6 << 28 | view.dscp << 22, len(message), _ICMPV6, _TTL, dst, src)
    return head + b"\x81\0" + total.to_bytes(2, "big") + message[4:]


def error_reply(packet: Buffer, src: AddressLike, kind: int, code: int = 0, *, rest: int = 0) -> bytes | None:
    """
    Return an ICMP or ICMPv6 error about *packet*, or None if it must not be answered.

    Nobody answers an ICMP error, a redirect, a fragment other than the first, a packet to many
    hosts or from none; nor an IPv6 packet in which such an error cannot be ruled out. The answer
    quotes as much of the packet as fits 576 bytes (IPv4) or 1280 (IPv6).

    Args:
        packet: The IP packet that caused the error.
        src: Whose error it is: an address of this host, of the packet's IP version.
        kind: The message type: ``ICMPType`` for IPv4, ``ICMPv6Type`` for IPv6.
        code: Which kind of it.
        rest: The second word of the message, such as the mtu.

    Raises:
        PacketError: If *src* is not an address of the packet's IP version, with reason ``bad_value``.

    RFC 1122 section 3.2.2, RFC 1812 section 4.3.2, RFC 4443 section 2.4.
    """
    match version(packet):
        case 4:
            return _error_reply4(IPv4View(packet), src, kind, code, rest)
        case 6:
            return _error_reply6(IPv6View(packet), src, kind, code, rest)
        case _:
            return None


def _error_reply4(view: IPv4View, src: AddressLike, kind: int, code: int, rest: int) -> bytes | None:
    transport = view.transport
    if transport.offset == 0 or view.fragment_offset:
        return None
    if not (_is_host4(view.src_bytes) and _is_host4(view.dst_bytes)):
        return None
    if view.protocol == _ICMP and _quiet4(ICMPView(view.buffer, transport.offset, transport.end)):
        return None
    quote = view.slice(0, min(view.total_length, 576 - 28))
    message = ICMP(kind, code, rest, quote).build()
    # RFC 1812 section 4.3.2.5: errors go with precedence 6, internetwork control.
    return IPv4(to_packed(src), view.src_bytes, _ICMP, message, ttl=_TTL, tos=0xC0, dont_fragment=True).build()


def _error_reply6(view: IPv6View, src: AddressLike, kind: int, code: int, rest: int) -> bytes | None:
    transport = view.transport
    if transport.reason in ("fragment", "atomic_fragment"):
        fragment = FragmentView(view.buffer, transport.offset, transport.end)
        if fragment.fragment_offset:
            return None
        transport = walk_extensions(view.buffer, fragment.next_header, transport.offset + 8, transport.end)
    # RFC 4443 section 2.4 (e.3): these two also answer a packet to a group.
    to_groups = kind == ICMPv6Type.PACKET_TOO_BIG or (kind == ICMPv6Type.PARAMETER_PROBLEM and code == 2)
    if transport.reason not in _NOT_ICMPV6 or not _is_host6(view.src_bytes):
        return None
    if not (to_groups or _is_host6(view.dst_bytes)):
        return None
    if transport.protocol == _ICMPV6 and _quiet6(ICMPv6View(view.buffer, transport.offset, transport.end)):
        return None
    quote = view.slice(0, min(40 + view.payload_length, 1280 - 48))
    message = ICMPv6(kind, code, rest, quote).build(src, view.src_bytes)
    return IPv6(to_packed(src), view.src_bytes, _ICMPV6, message, hop_limit=_TTL).build()


def packet_too_big(packet: Buffer, src: AddressLike, mtu: int) -> bytes | None:
    """
    Return the error that tells the sender of *packet* the *mtu* to keep to, in bytes; None as ``error_reply()``.

    RFC 1191 section 4, RFC 8201, RFC 4443 section 3.2.
    """
    if version(packet) == 6:
        return error_reply(packet, src, ICMPv6Type.PACKET_TOO_BIG, rest=mtu)
    return error_reply(packet, src, ICMPType.UNREACHABLE, 4, rest=min(mtu, 0xFFFF))


def time_exceeded(packet: Buffer, src: AddressLike) -> bytes | None:
    """
    Return the error that *packet* ran out of hops; None as ``error_reply()``.

    RFC 792, RFC 4443 section 3.3.
    """
    return error_reply(packet, src, ICMPv6Type.TIME_EXCEEDED if version(packet) == 6 else ICMPType.TIME_EXCEEDED)


def unreachable(packet: Buffer, src: AddressLike, code: int | None = None) -> bytes | None:
    """
    Return the error that *packet* cannot be delivered; None as ``error_reply()``.

    Args:
        packet: The IP packet.
        src: Whose error it is.
        code: Why; "administratively prohibited" when omitted: 13 for IPv4, 1 for IPv6.

    RFC 1812 section 5.2.7.1, RFC 4443 section 3.1.
    """
    if version(packet) == 6:
        return error_reply(packet, src, ICMPv6Type.UNREACHABLE, 1 if code is None else code)
    return error_reply(packet, src, ICMPType.UNREACHABLE, 13 if code is None else code)


def _is_host4(address: bytes) -> bool:
    # Not 0/8 ("this network"), not 224/4 (groups), not 240/4 (reserved, limited broadcast).
    return 0 < address[0] < 224


def _is_host6(address: bytes) -> bool:
    return address[0] != 0xFF and any(address)


def _quiet4(view: ICMPView) -> bool:
    # A message without a type byte may have been an error as well.
    return view.available < 1 or view.is_error


def _quiet6(view: ICMPv6View) -> bool:
    return view.available < 1 or view.is_error or view.type == ICMPv6Type.REDIRECT
