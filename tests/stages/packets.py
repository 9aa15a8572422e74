"""Packets for the tests of stages, a judge of their checksums, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes.util import find_library
from typing import Any

import pytest
from packet.oracle import inet, inet6

from aiotun.offload import coalesce
from aiotun.packet import ICMP, TCP, UDP, ICMPv6, IPv4, IPv6, SuperPacket, checksum, find_transport, pseudo_sum

ENDS = {4: ("10.8.0.2", "192.0.2.7"), 6: ("fd00::2", "2001:db8::7")}
HERE = {4: "10.8.0.1", 6: "fd00::1"}
MSS = b"\x02\x04\x05\xb4"


def wrap(version: int, protocol: int, body: bytes, **fields: Any) -> bytes:
    """Put an IP header before *body*."""
    src, dst = ENDS[version]
    src, dst = fields.pop("src", src), fields.pop("dst", dst)
    if version == 4:
        return IPv4(src, dst, protocol, body, **fields).build()
    return IPv6(src, dst, protocol, body, **fields).build()


def tcp(version: int = 4, payload: bytes = b"hello", *, ports: tuple[int, int] = (4000, 443), **fields: Any) -> bytes:
    """A TCP segment; fields of TCP, or of the IP header."""
    inner = {key: fields.pop(key) for key in ("flags", "seq", "ack", "options") if key in fields}
    src, dst = fields.get("src", ENDS[version][0]), fields.get("dst", ENDS[version][1])
    return wrap(version, 6, TCP(*ports, payload, **{"flags": 0x10, **inner}).build(src, dst), **fields)


def udp(version: int = 4, payload: bytes = b"hello", *, ports: tuple[int, int] = (4000, 53), **fields: Any) -> bytes:
    """A UDP datagram."""
    src, dst = fields.get("src", ENDS[version][0]), fields.get("dst", ENDS[version][1])
    return wrap(version, 17, UDP(*ports, payload).build(src, dst), **fields)


def echo(version: int = 4, payload: bytes = b"hello", *, identifier: int = 7, kind: int = 0, **fields: Any) -> bytes:
    """An echo request, or a message of another kind."""
    src, dst = fields.get("src", ENDS[version][0]), fields.get("dst", ENDS[version][1])
    if version == 4:
        return wrap(4, 1, ICMP(kind or 8, 0, identifier << 16 | 1, payload).build(), **fields)
    return wrap(6, 58, ICMPv6(kind or 128, 0, identifier << 16 | 1, payload).build(src, dst), **fields)


def superpacket(version: int = 4, segments: int = 3, size: int = 1000, protocol: int = 6, **fields: Any) -> SuperPacket:
    """A super-packet of TCP or UDP, as a kernel hands one over."""
    if protocol == 6:
        train = [tcp(version, bytes(size), seq=n * size, **_numbered(version, n), **fields) for n in range(segments)]
    else:
        train = [udp(version, bytes(size), **_numbered(version, n), **fields) for n in range(segments)]
    (packet,) = coalesce(train)
    assert isinstance(packet, SuperPacket)
    return packet


def _numbered(version: int, number: int) -> dict[str, Any]:
    return {"identification": number} if version == 4 else {}


def partial(packet: bytes) -> SuperPacket:
    """The packet as a kernel hands over each of its own: its transport's checksum not made yet."""
    protocol, start, end, _ = find_transport(packet)
    assert protocol is not None
    place = {6: 16, 17: 6}[protocol]
    src, dst = (packet[12:16], packet[16:20]) if packet[0] >> 4 == 4 else (packet[8:24], packet[24:40])
    octets = bytearray(packet)
    octets[start + place : start + place + 2] = pseudo_sum(src, dst, protocol, end - start).to_bytes(2, "big")
    return SuperPacket(octets, csum_start=start, csum_offset=place, needs_csum=True)


def fields_of(packet: bytes) -> tuple[Any, ...]:
    """What a super-packet says of itself; nothing for plain bytes."""
    if not isinstance(packet, SuperPacket):
        return ()
    return (
        packet.gso_type,
        packet.gso_size,
        packet.hdr_len,
        packet.csum_start,
        packet.csum_offset,
        packet.needs_csum,
        packet.fixed_id,
    )


def rebuilt(packet: bytes) -> bytes:
    """The packet with every checksum made anew by scapy: equal to it if they were right."""
    parsed = (inet.IP if packet[0] >> 4 == 4 else inet6.IPv6)(packet)
    layer = parsed
    while layer:
        for field in ("chksum", "cksum"):
            if field in getattr(layer, "fields", {}):
                delattr(layer, field)
        layer = layer.payload
    return bytes(parsed)


def header_ok(packet: bytes) -> bool:
    """Whether the checksum of an IPv4 header is right."""
    return checksum(packet[: (packet[0] & 0xF) * 4]) == 0


needs_libpcap = pytest.mark.skipif(find_library("pcap") is None, reason="libpcap is not installed")
"""A test of what libpcap compiles."""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Sink:
    """Takes batches, up to *room* packets of each."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.taken: list[bytes] = []

    def __call__(self, batch: Sequence[bytes]) -> int:
        taken = list(batch[: self.room])
        self.taken += taken
        return len(taken)
