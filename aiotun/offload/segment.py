"""One super-packet to many packets, byte for byte as the kernel's own software segmentation makes them."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..errors import PacketError
from ..packet import (
    GSO_ECN,
    GSO_UDP_TUNNEL,
    GSO_UDP_TUNNEL_IPV4,
    GSO_UDP_TUNNEL_IPV6,
    GSOType,
    Protocol,
    SuperPacket,
    checksum,
    ones_sum,
    pseudo_sum,
)
from ..speedups import twin
from .complete import complete
from .headers import find_network, find_transport6
from .tunnel import find_outer, inner_packet, wrapped

__all__ = ["ALL", "segment"]

ALL = 0x10000
"""More segments than a packet can have."""

_TCP = int(Protocol.TCP)
_UDP = int(Protocol.UDP)

# gso_type: the IP versions it may be of, the protocol, and where the checksum is in that header.
_KINDS = {
    int(GSOType.TCPV4): ((4,), _TCP, 16),
    int(GSOType.TCPV4) | GSO_ECN: ((4,), _TCP, 16),
    int(GSOType.TCPV6): ((6,), _TCP, 16),
    int(GSOType.TCPV6) | GSO_ECN: ((6,), _TCP, 16),
    int(GSOType.UDP_L4): ((4, 6), _UDP, 6),
}

_IN_TUNNELS = frozenset(
    kind | tunnel for kind in _KINDS for tunnel in (GSO_UDP_TUNNEL_IPV4, GSO_UDP_TUNNEL_IPV6, GSO_UDP_TUNNEL)
)

_FIN_PSH = 0x09
_CWR = 0x80

_WORD = struct.Struct("!H")
_TWO_WORDS = struct.Struct("!HH")  # IPv4 total length and identification, or UDP length and checksum
_TCP_BODY = struct.Struct("!IIHHH")  # sequence number, acknowledgment, offset and flags, window, checksum


class _Layout(NamedTuple):
    """Where the headers of a super-packet are, and which."""

    network: int
    transport: int
    payload: int
    protocol: int
    version: int


@twin
def segment(packet: bytes, ethernet: bool = False, first: int = 0, limit: int = ALL) -> list[bytes]:
    """
    Return the finished packets that *packet* stands for, in order; a plain packet stands for itself.

    Headers are copied whole, extension headers and options included. Lengths and checksums are computed anew,
    the IPv4 identification and the TCP sequence number count up; FIN and PSH stay on the last segment alone,
    CWR on the first. hdr_len is not looked at. A super-packet of one segment only has its checksum finished. Of one
    in a tunnel the inner packet is cut, and each segment gets the outer headers, as wrapped() says.

    A caller that wants bounded memory asks for some of the segments at a time: a list shorter than *limit* was
    the last. ``Segmenter`` does that.

    Args:
        packet: The packet, or frame.
        ethernet: Whether it is a tap's frame.
        first: How many segments to leave out at the front, not negative.
        limit: How many to return at most.

    Raises:
        PacketError: If the packet is not what its fields say, with reason ``bad_gso_type``, ``bad_gso_size``,
            ``bad_csum_off``, ``bad_version``, ``bad_ethertype``, ``bad_protocol``, ``bad_fragment``,
            ``bad_ihl``, ``bad_doff``, ``bad_length``, ``bad_tunnel`` or ``short_header``.

    inet_gso_segment(), ipv6_gso_segment(), tcp_gso_segment() and __udp_gso_segment() in Linux net/ipv4 and net/ipv6.
    """
    if not isinstance(packet, SuperPacket) or not packet.gso_type:
        return [complete(packet)][first : first + limit]
    if packet.gso_type in _IN_TUNNELS:
        outer = find_outer(packet, ethernet)
        return wrapped(packet, outer, segment(inner_packet(packet, outer), False, first, limit), first)
    layout = _layout(packet, ethernet)
    gso_size = packet.gso_size
    count = -(-(len(packet) - layout.payload) // gso_size)
    if count <= 1:
        return [complete(packet)][first : first + limit]
    return _cut(packet, layout, first, min(first + limit, count), count - 1)


def _cut(packet: SuperPacket, layout: _Layout, first: int, stop: int, last: int) -> list[bytes]:
    """Return the segments from *first* up to, not including, *stop*; *last* is the number of the last there is."""
    network, transport, start, protocol, version = layout
    gso_size, step, is_tcp = packet.gso_size, 0 if packet.fixed_id else 1, protocol == _TCP
    network_header, transport_header, at = transport - network, start - transport, transport + 4
    template, ip_sum, ident = _ip_template(packet, layout)
    # Into the sum go all the bytes that the segments share. What they do not, the sequence number, the flags and the
    # lengths, is added for each: a number of 32 bits is congruent to the sum of its halves.
    seq = ack = word = window = 0
    if is_tcp:
        seq, ack, word, window, _ = _TCP_BODY.unpack_from(packet, at)
        _TCP_BODY.pack_into(template, at, 0, ack, 0, window, 0)
    else:
        _TWO_WORDS.pack_into(template, at, 0, 0)
    shared = _pseudo(packet, layout) + ones_sum(memoryview(template)[transport:])
    pack_tcp, pack_two, pack_word, join = _TCP_BODY.pack_into, _TWO_WORDS.pack_into, _WORD.pack_into, b"".join
    finished = []
    for number in range(first, stop):
        done = number * gso_size
        payload = packet[start + done : start + done + gso_size]
        size = transport_header + len(payload)
        if is_tcp:
            flags = word
            if number:
                flags &= ~_CWR
            if number < last:
                flags &= ~_FIN_PSH
            here = (seq + done) & 0xFFFFFFFF
            pack_tcp(template, at, here, ack, flags, window, checksum(payload, shared + size + flags + here))
        else:
            # Both the pseudo-header and the header have the length; RFC 768 wants no 0.
            pack_two(template, at, size, checksum(payload, shared + 2 * size) or 0xFFFF)
        if version == 4:
            total, mark = network_header + size, (ident + number * step) & 0xFFFF
            pack_two(template, network + 2, total, mark)
            pack_word(template, network + 10, -(ip_sum + total + mark) % 0xFFFF)
        else:
            pack_word(template, network + 4, network_header - 40 + size)
        finished.append(join((template, payload)))
    return finished


def _ip_template(packet: SuperPacket, layout: _Layout) -> tuple[bytearray, int, int]:
    """Return the headers to write numbers into, and for IPv4 the sum of the rest of its header, and the id."""
    network, transport, header, _, version = layout
    template = bytearray(packet[:header])
    if version == 6:
        return template, 0, 0
    ident = template[network + 4] << 8 | template[network + 5]
    template[network + 2 : network + 6] = b"\0\0\0\0"
    template[network + 10 : network + 12] = b"\0\0"
    return template, ones_sum(memoryview(template)[network:transport]), ident


def _pseudo(packet: SuperPacket, layout: _Layout) -> int:
    """Return the pseudo-header's sum without its length: the packet's own, as the kernel does, if it brings one."""
    network, transport, _, protocol, version = layout
    if not packet.needs_csum:
        src, dst = (12, 16) if version == 4 else (8, 24)
        width = dst - src
        at, to = network + src, network + dst
        return pseudo_sum(packet[at : at + width], packet[to : to + width], protocol, 0)
    at = transport + packet.csum_offset
    # Taking the length out may not go below 0, and 0xffff more is the same sum.
    return (packet[at] << 8 | packet[at + 1]) + 0xFFFF - (len(packet) - transport)


def _layout(packet: SuperPacket, ethernet: bool) -> _Layout:
    """Return where the headers are, after making sure that the packet's fields agree with its bytes."""
    size = len(packet)
    kind = _KINDS.get(packet.gso_type)
    if kind is None:
        raise _bad(f"gso_type is {packet.gso_type}, it must be TCPV4, TCPV6 or UDP_L4", "bad_gso_type")
    versions, protocol, csum_offset = kind
    if packet.gso_size < 1:
        raise _bad("gso_size is 0, it must be at least 1", "bad_gso_size")
    network = find_network(packet) if ethernet else 0
    if network < 0:
        raise _bad("the frame does not hold the IP packet that it announces", "bad_ethertype")
    if size < network + 20:
        raise _bad(f"there are {size - network} bytes, an IP header takes 20", "short_header")
    version = packet[network] >> 4
    if version not in versions:
        raise _bad(f"gso_type is {packet.gso_type}, the IP version is {version}", "bad_version")
    found, transport = _transport4(packet, network) if version == 4 else _transport6(packet, network)
    if found != protocol:
        raise _bad(f"gso_type is {packet.gso_type}, the protocol is {found}", "bad_protocol")
    if packet.needs_csum and (packet.csum_start, packet.csum_offset) != (transport, csum_offset):
        raise _bad(
            f"checksum is {packet.csum_offset} bytes after {packet.csum_start}, "
            f"it must be {csum_offset} after {transport}",
            "bad_csum_off",
        )
    payload = _payload(packet, transport, protocol)
    return _Layout(network, transport, payload, protocol, version)


def _transport4(packet: SuperPacket, network: int) -> tuple[int, int]:
    header = (packet[network] & 0xF) * 4
    total = packet[network + 2] << 8 | packet[network + 3]
    if not 20 <= header <= len(packet) - network:
        raise _bad(f"IPv4 header takes {header} bytes, it must take 20 to {len(packet) - network}", "bad_ihl")
    if total != len(packet) - network:
        raise _bad(f"total length is {total}, the IPv4 packet has {len(packet) - network} bytes", "bad_length")
    if packet[network + 6] & 0x3F or packet[network + 7]:
        raise _bad("it is an IPv4 fragment", "bad_fragment")
    return packet[network + 9], network + header


def _transport6(packet: SuperPacket, network: int) -> tuple[int, int]:
    there = len(packet) - network - 40
    if there < 0:
        raise _bad(f"there are {there + 40} bytes, an IPv6 header takes 40", "short_header")
    length = packet[network + 4] << 8 | packet[network + 5]
    if length != there:
        raise _bad(f"payload length is {length}, the IPv6 packet has {there} bytes of it", "bad_length")
    return find_transport6(packet, network)


def _payload(packet: SuperPacket, transport: int, protocol: int) -> int:
    """Return where the payload starts."""
    there = len(packet) - transport
    need = 20 if protocol == _TCP else 8
    if there < need:
        raise _bad(f"there are {there} bytes, the transport header takes {need}", "short_header")
    if protocol == _TCP:
        header = (packet[transport + 12] >> 4) * 4
        if not need <= header <= there:
            raise _bad(f"TCP header takes {header} bytes, it must take 20 to {min(60, there)}", "bad_doff")
        return transport + header
    length = packet[transport + 4] << 8 | packet[transport + 5]
    if length != there:
        raise _bad(f"UDP length is {length}, the datagram has {there} bytes", "bad_length")
    if not packet.needs_csum:
        raise _bad("gso_type is 5, that needs needs_csum", "bad_gso_type")
    return transport + need


def _bad(text: str, reason: str) -> PacketError:
    return PacketError(f"SuperPacket: {text}", reason=reason)
