"""The outer headers of a super-packet in VXLAN or Geneve: what is inside, and each of its segments wrapped again."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import PacketError
from ..packet import GSO_UDP_TUNNEL, GSO_UDP_TUNNEL_IPV4, Protocol, SuperPacket, checksum
from .headers import find_network, find_transport6

__all__ = ["Outer", "find_outer", "inner_packet", "wrapped"]

_UDP = int(Protocol.UDP)
_TAG = 4
_WORD = struct.Struct("!H")
_TWO_WORDS = struct.Struct("!HH")


class Outer(NamedTuple):
    """Where the outer headers are, and where the inner packet begins: behind the tunnel's header and Ethernet's."""

    version: int
    network: int
    transport: int
    inner: int


def find_outer(packet: SuperPacket, ethernet: bool) -> Outer:
    """
    Return where the outer headers are, after making sure that the packet's fields agree with its bytes.

    The lengths in them are not looked at: they have 16 bits, and the inner packet alone may need those.

    Raises:
        PacketError: As segment().
    """
    tunnel = packet.gso_type & GSO_UDP_TUNNEL
    if tunnel == GSO_UDP_TUNNEL:
        raise _bad("it is in a tunnel over IPv4 and over IPv6", "bad_gso_type")
    if not packet.needs_csum:
        raise _bad("it is in a tunnel, that needs needs_csum", "bad_gso_type")
    network = find_network(packet) if ethernet else 0
    if network < 0:
        raise _bad("the frame does not hold the IP packet that it announces", "bad_ethertype")
    wanted, least = (4, 20) if tunnel == GSO_UDP_TUNNEL_IPV4 else (6, 40)
    if len(packet) < network + least:
        raise _bad(f"there are {len(packet) - network} bytes, the outer IP header takes {least}", "short_header")
    version = packet[network] >> 4
    if version != wanted:
        raise _bad(f"gso_type is {packet.gso_type}, the outer IP version is {version}", "bad_version")
    protocol, transport = _transport4(packet, network) if version == 4 else find_transport6(packet, network)
    if protocol != _UDP:
        raise _bad(f"it is in a tunnel, the outer protocol is {protocol}", "bad_protocol")
    # Of a tag that the kernel writes itself its offsets know nothing, csum_start does.
    tag = transport - packet.outer_th_offset
    if tag and not (tag == _TAG and network > 14):
        raise _bad(f"outer_th_offset is {packet.outer_th_offset}, it must be {transport}", "bad_tunnel")
    inner = packet.inner_nh_offset + tag
    if not transport + 8 <= inner < packet.csum_start:
        raise _bad(
            f"inner_nh_offset is {packet.inner_nh_offset}, it must be {transport + 8 - tag} to {packet.csum_start - 1}",
            "bad_tunnel",
        )
    return Outer(version, network, transport, inner)


def inner_packet(packet: SuperPacket, outer: Outer) -> SuperPacket:
    """Return the super-packet that is inside."""
    inner = packet.moved(packet[outer.inner :], -outer.inner)
    inner.gso_type &= ~GSO_UDP_TUNNEL
    return inner


def wrapped(packet: SuperPacket, outer: Outer, segments: Iterable[bytes], first: int) -> list[bytes]:
    """
    Return each of *segments*, of which the first is number *first*, behind the outer headers.

    The outer IPv4 identification counts up like the inner one. A UDP checksum there was none of stays 0.

    __skb_udp_tunnel_segment() in Linux net/ipv4/udp_offload.c.
    """
    version, network, transport, inner = outer
    headers = bytearray(packet[:inner])
    (ident,) = _WORD.unpack_from(headers, network + 4)
    # As the kernel does, of the packet's own sum of the pseudo-header the length is taken out.
    (partial,) = _WORD.unpack_from(headers, transport + 6)
    partial = (partial - (len(packet) - transport)) % 0xFFFF
    finished = []
    for number, segment in enumerate(segments, first):
        size = inner + len(segment)
        if version == 4:
            _TWO_WORDS.pack_into(headers, network + 2, (size - network) & 0xFFFF, (ident + number) & 0xFFFF)
            _WORD.pack_into(headers, network + 10, 0)
            _WORD.pack_into(headers, network + 10, checksum(headers[network:transport]))
        else:
            _WORD.pack_into(headers, network + 4, (size - network - 40) & 0xFFFF)
        size -= transport
        _WORD.pack_into(headers, transport + 4, size & 0xFFFF)
        if packet.tunnel_csum:
            _WORD.pack_into(headers, transport + 6, 0)
            total = checksum(b"".join((headers[transport:], segment)), partial + size) or 0xFFFF
            _WORD.pack_into(headers, transport + 6, total)
        finished.append(b"".join((headers, segment)))
    return finished


def _transport4(packet: SuperPacket, network: int) -> tuple[int, int]:
    header = (packet[network] & 0xF) * 4
    if not 20 <= header <= len(packet) - network:
        raise _bad(f"IPv4 header takes {header} bytes, it must take 20 to {len(packet) - network}", "bad_ihl")
    if packet[network + 6] & 0x3F or packet[network + 7]:
        raise _bad("it is an IPv4 fragment", "bad_fragment")
    return packet[network + 9], network + header


def _bad(text: str, reason: str) -> PacketError:
    return PacketError(f"SuperPacket: {text}", reason=reason)
