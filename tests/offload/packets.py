"""TCP and UDP packets for the tests, whole trains of them, and one changed field at a time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from aiotun.errors import PacketError
from aiotun.offload import segment
from aiotun.offload.headers import find_network
from aiotun.packet import (
    TCP,
    UDP,
    VLAN,
    Ethernet,
    GSOType,
    IPv4,
    IPv6,
    SuperPacket,
    checksum,
    find_transport,
    flow,
    pseudo_sum,
    transport_checksum,
)

ENDS = {4: ("10.0.3.2", "10.1.4.2"), 6: ("fd00:a::1:2:3:2", "fd00:b::1:2:3:2")}

MACS = (b"\x02\0\0\0\0\x02", b"\x02\0\0\0\0\x01")

TAGS: dict[int, tuple[VLAN, ...]] = {14: (), 18: (VLAN(5),), 22: (VLAN(7, tpid=0x88A8), VLAN(5, priority=3))}
"""VLAN tags, by the length of the Ethernet header with them."""


def wrap(version: int, protocol: int, body: bytes, *, extensions: bytes = b"", **fields: Any) -> bytes:
    """Put a network header before *body*; for IPv6 *extensions* are whole headers, whose next header is set here."""
    src, dst = ENDS[version]
    src, dst = fields.pop("src", src), fields.pop("dst", dst)
    if version == 4:
        return IPv4(src, dst, protocol, body, **fields).build()
    first, chain = chained(extensions, protocol)
    return IPv6(src, dst, first, chain + body, **fields).build()


def chained(extensions: bytes, protocol: int) -> tuple[int, bytes]:
    """
    Return the next header to announce *extensions* with, and them with their next headers set.

    Each names itself in its first byte, where the next one's number belongs.
    """
    kinds, places, at = [], [], 0
    while at < len(extensions):
        kinds.append(extensions[at])
        places.append(at)
        at += extensions[at + 1] * 8 + 8
    kinds.append(protocol)
    octets = bytearray(extensions)
    for place, kind in zip(places, kinds[1:], strict=True):
        octets[place] = kind
    return kinds[0], bytes(octets)


def hop_by_hop(size: int = 8) -> bytes:
    return b"\0" + _options(size)


def destination(size: int = 8) -> bytes:
    return b"\x3c" + _options(size)


def routing() -> bytes:
    """A routing header with no segments left."""
    return b"\x2b\0\x04\0\0\0\0\0"


def _options(size: int) -> bytes:
    # An unknown option to skip: the kernel does not forward padding of more than 7 bytes.
    return bytes((size // 8 - 1, 0x1E, (size - 4) % 256)) + bytes(at % 256 for at in range(size - 4))


def tcp(version: int, payload: bytes = b"x" * 100, *, ip: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """Return a TCP packet that acknowledges, unless told otherwise."""
    fields = {"seq": 100, "ack": 100, "flags": 0x10} | fields
    ip = ip or {}
    src, dst = ip.get("src", ENDS[version][0]), ip.get("dst", ENDS[version][1])
    ports = fields.pop("src_port", 1500), fields.pop("dst_port", 8000)
    return wrap(version, 6, TCP(*ports, payload, **fields).build(src, dst), **ip)


def udp(version: int, payload: bytes = b"x" * 100, *, ip: dict[str, Any] | None = None, src_port: int = 1500) -> bytes:
    """Return a UDP packet."""
    ip = ip or {}
    src, dst = ip.get("src", ENDS[version][0]), ip.get("dst", ENDS[version][1])
    return wrap(version, 17, UDP(src_port, 8000, payload).build(src, dst), **ip)


def transport_of(packet: bytes, network: int = 0) -> int:
    """Return where the transport header of a good packet is."""
    offset: int = find_transport(packet[network:]).offset
    return network + offset


def patched(packet: bytes, at: int, octets: bytes) -> bytes:
    """Return *packet* with other bytes at *at*, and no checksum corrected."""
    return packet[:at] + octets + packet[at + len(octets) :]


def fixed_ip(packet: bytes) -> bytes:
    """Return an IPv4 packet with its header checksum computed again."""
    total = checksum(packet[:10] + b"\0\0" + packet[12 : (packet[0] & 0xF) * 4])
    return patched(packet, 10, total.to_bytes(2, "big"))


def fixed_transport(packet: bytes) -> bytes:
    """Return a TCP or UDP packet with its transport checksum computed again, whatever its header says else."""
    found = find_transport(packet)
    at = found.offset + (16 if found.protocol == 6 else 6)
    src, dst = (packet[12:16], packet[16:20]) if packet[0] >> 4 == 4 else (packet[8:24], packet[24:40])
    body = patched(packet, at, b"\0\0")[found.offset :]
    return patched(packet, at, transport_checksum(src, dst, found.protocol or 0, body).to_bytes(2, "big"))


def super_packet(packet: bytes, gso_size: int, *, link: bytes = b"", **fields: Any) -> SuperPacket:
    """Return a large TCP or UDP packet as the kernel gives it: to be cut, its checksum not finished."""
    found = find_transport(packet)
    at = found.offset
    is_tcp, version = found.protocol == 6, packet[0] >> 4
    offset = 16 if is_tcp else 6
    src, dst = (packet[12:16], packet[16:20]) if version == 4 else (packet[8:24], packet[24:40])
    pseudo = pseudo_sum(src, dst, 6 if is_tcp else 17, len(packet) - at)
    octets = link + patched(packet, at + offset, pseudo.to_bytes(2, "big"))
    header = (packet[at + 12] >> 4) * 4 if is_tcp else 8
    kind = (GSOType.TCPV4 if version == 4 else GSOType.TCPV6) if is_tcp else GSOType.UDP_L4
    given: dict[str, Any] = {
        "gso_type": int(kind),
        "gso_size": gso_size,
        "hdr_len": len(link) + at + header,
        "csum_start": len(link) + at,
        "csum_offset": offset,
        "needs_csum": True,
    }
    return SuperPacket(octets, **(given | fields))


def framed(packet: bytes, link: int = 14) -> bytes:
    """Return *packet* in an Ethernet frame whose header, tags included, takes *link* bytes."""
    kind = 0x800 if packet[0] >> 4 == 4 else 0x86DD
    return Ethernet(*MACS, kind, packet, vlans=TAGS[link]).build()


def link_header(version: int, link: int) -> bytes:
    """Return such an Ethernet header alone; nothing if *link* is 0."""
    if not link:
        return b""
    return Ethernet(*MACS, 0x800 if version == 4 else 0x86DD, b"", vlans=TAGS[link]).build()[:link]


def stream(version: int, sizes: Sequence[int], *, seq: int = 100, ident: int = 8, **fields: Any) -> list[bytes]:
    """Return TCP packets that follow each other, each with a payload of its own."""
    packets = []
    for number, size in enumerate(sizes):
        ip = {"identification": (ident + number) & 0xFFFF} if version == 4 else {}
        packets.append(tcp(version, bytes((number & 0xFF,)) * size, seq=seq & 0xFFFFFFFF, ip=ip, **fields))
        seq += size
    return packets


def datagrams(version: int, sizes: Sequence[int], *, ident: int = 8, src_port: int = 1500) -> list[bytes]:
    """Return UDP packets of one flow, each with a payload of its own."""
    packets = []
    for number, size in enumerate(sizes):
        ip = {"identification": (ident + number) & 0xFFFF} if version == 4 else {}
        packets.append(udp(version, bytes((number & 0xFF,)) * size, ip=ip, src_port=src_port))
    return packets


def train(version: int, protocol: str, *sizes: int, **fields: Any) -> list[bytes]:
    """Return a stream, or datagrams."""
    return (stream if protocol == "tcp" else datagrams)(version, sizes, **fields)


def ident(version: int, number: int) -> dict[str, int]:
    """Return the field that makes a packet number *number* of a train, where there is one."""
    return {"identification": number} if version == 4 else {}


def payload_of(packet: bytes, network: int = 0) -> bytes:
    """Return what a good packet carries behind its TCP or UDP header."""
    found = find_transport(packet[network:])
    at = network + found.offset
    header = (packet[at + 12] >> 4) * 4 if found.protocol == 6 else 8
    return packet[at + header : network + found.end]


def sizes(batch: Iterable[bytes], network: int = 0) -> list[int]:
    """Return how much payload each packet has, in bytes."""
    return [len(payload_of(packet, network)) for packet in batch]


def cut(batch: Iterable[bytes], ethernet: bool = False) -> list[bytes]:
    """Segment a whole batch."""
    return [part for packet in batch for part in segment(packet, ethernet)]


def big(version: int, size: int = 1000, gso_size: int = 300, *, link: int = 0, **fields: Any) -> SuperPacket:
    """Return a TCP super-packet whose payload is noise."""
    packet = tcp(version, random.Random(size).randbytes(size), **fields)
    return super_packet(packet, gso_size, link=link_header(version, link))


def big_udp(version: int, size: int = 1000, gso_size: int = 300, *, link: int = 0, **fields: Any) -> SuperPacket:
    """Return a UDP super-packet whose payload is noise."""
    packet = udp(version, random.Random(size).randbytes(size), **fields)
    return super_packet(packet, gso_size, link=link_header(version, link))


def by_flow(batch: Iterable[bytes], ethernet: bool = False) -> dict[object, list[bytes]]:
    """Return the packets of each flow, in their order; what is of none is one flow."""
    flows: dict[object, list[bytes]] = {}
    for packet in batch:
        network = max(0, find_network(packet)) if ethernet else 0
        flows.setdefault(flow(packet[network:]), []).append(packet)
    return flows


def with_fields(packet: SuperPacket, **fields: Any) -> SuperPacket:
    """Return *packet* with some of its fields replaced."""
    return SuperPacket(packet, **(vars(packet) | fields))


def refused(packet: SuperPacket, ethernet: bool = False) -> str:
    """Return why *packet* cannot be cut; empty if it can."""
    try:
        segment(packet, ethernet)
    except PacketError as error:
        return error.reason
    return ""
