"""One super-packet to many packets: against a slow reading of the rules, and every refusal."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiotun.offload import ALL, complete, segment
from aiotun.packet import GSO_ECN, SuperPacket, TCPFlag, find_transport, transport_checksum_ok

from . import packets as p
from .oracle import random_packet
from .reference import segments

VERSIONS = pytest.mark.parametrize("version", [4, 6])
LINKS = pytest.mark.parametrize("link", [0, 14, 18, 22])
EXTENSIONS: list[dict[str, Any]] = [
    {"extensions": p.destination()},
    {"extensions": p.hop_by_hop(16) + p.destination(24) + p.routing() + p.destination()},
    {"extensions": p.destination(512)},
]


@VERSIONS
@LINKS
@pytest.mark.parametrize("make", [p.big, p.big_udp])
@pytest.mark.parametrize(("size", "gso_size"), [(1000, 300), (900, 300), (1, 1), (2, 1), (1001, 7), (299, 300)])
def test_plain(version: int, link: int, make: Any, size: int, gso_size: int) -> None:
    """Each segment is what building it from its values gives, also behind an Ethernet header."""
    packet = make(version, size, gso_size, link=link)
    assert segment(packet, link > 0) == segments(packet, link)


@pytest.mark.parametrize("ip", EXTENSIONS)
@pytest.mark.parametrize("make", [p.big, p.big_udp])
@pytest.mark.parametrize("link", [0, 18])
def test_extension_headers_are_copied(ip: dict[str, Any], make: Any, link: int) -> None:
    """Every segment has the extension headers, and a payload length that counts them."""
    packet = make(6, ip=ip, link=link)
    assert segment(packet, link > 0) == segments(packet, link)
    extra = len(ip["extensions"])
    assert [len(part) - link - 40 - extra - len(p.payload_of(part, link)) for part in segment(packet, link > 0)] == [
        20 if make is p.big else 8
    ] * 4


@pytest.mark.parametrize("make", [p.big, p.big_udp])
@pytest.mark.parametrize("options", [b"\x01" * 4, b"\x01" * 40])
def test_ipv4_options_are_copied(make: Any, options: bytes) -> None:
    """Every segment has the IPv4 options, under its header checksum."""
    packet = make(4, ip={"options": options})
    assert segment(packet) == segments(packet)


@VERSIONS
@pytest.mark.parametrize("options", [bytes(range(12)), bytes(range(40))])
def test_tcp_options_are_copied(version: int, options: bytes) -> None:
    """Every segment has the TCP options."""
    packet = p.big(version, options=options)
    assert segment(packet) == segments(packet)


@VERSIONS
@pytest.mark.parametrize("ecn", [0, GSO_ECN])
def test_flags(version: int, ecn: int) -> None:
    """FIN and PSH stay on the last segment, CWR on the first, all others everywhere, with GSO_ECN or without."""
    every = p.big(version, flags=0x1FF)
    packet = p.with_fields(every, gso_type=every.gso_type | ecn)
    flags = [
        TCPFlag(part[p.transport_of(part) + 13] | (part[p.transport_of(part) + 12] & 1) << 8)
        for part in segment(packet)
    ]
    rest = TCPFlag.SYN | TCPFlag.RST | TCPFlag.ACK | TCPFlag.URG | TCPFlag.ECE | TCPFlag.AE
    assert flags == [rest | TCPFlag.CWR, rest, rest, rest | TCPFlag.FIN | TCPFlag.PSH]
    assert segment(packet) == segments(packet)


@given(st.integers(0, 1 << 32), st.booleans())
@settings(deadline=None)
def test_random_super_packets(seed: int, ethernet: bool) -> None:
    """Whatever the headers, the segments are those of the slow reading, in pieces as well as at once."""
    packet = random_packet(random.Random(seed), ethernet)
    whole = segment(packet, ethernet)
    if isinstance(packet, SuperPacket) and packet.gso_type and packet.needs_csum:
        network = packet.csum_start - find_transport_offset(packet, ethernet)
        assert whole == segments(packet, network)
    first, limit = seed % 7, seed % 5 + 1
    assert segment(packet, ethernet, first, limit) == whole[first : first + limit]


def find_transport_offset(packet: SuperPacket, ethernet: bool) -> int:
    """How far the transport header is from the IP header, by a walk of the packet room's."""
    for network in (14, 18, 22) if ethernet else (0,):
        found = find_transport(packet[network:])
        if found.protocol in (6, 17) and network + found.offset == packet.csum_start:
            return found.offset
    raise AssertionError("no such header")


@VERSIONS
@pytest.mark.parametrize("make", [p.big, p.big_udp])
def test_every_checksum_verifies(version: int, make: Any) -> None:
    """The checksums of the segments are those of their own bytes."""
    for part in segment(make(version)):
        found = find_transport(part)
        ends = (part[12:16], part[16:20]) if version == 4 else (part[8:24], part[24:40])
        assert found.protocol and transport_checksum_ok(*ends, found.protocol, part[found.offset :])


@VERSIONS
@pytest.mark.parametrize("make", [p.big, p.big_udp])
@pytest.mark.parametrize("gso_size", [1000, 1001, 65534])
def test_C23_one_segment(version: int, make: Any, gso_size: int) -> None:
    """C23: a gso_size of all the payload, or more, leaves the packet as it is, but for the checksum."""
    packet = make(version, gso_size=gso_size)
    assert segment(packet) == [complete(packet)] == segments(packet)
    assert len(segment(make(version, gso_size=999))) == 2


def test_one_segment_keeps_its_header() -> None:
    """Nothing is corrected in a lone segment but what was to be finished: a wrong IPv4 checksum stays wrong."""
    packet = p.big(4, gso_size=1000)
    wrong = SuperPacket(p.patched(packet, 10, b"\x12\x34"), **vars(packet))
    assert segment(wrong)[0][10:12] == b"\x12\x34"


@VERSIONS
@pytest.mark.parametrize("make", [p.big, p.big_udp])
def test_no_payload_is_one_segment(version: int, make: Any) -> None:
    """A super-packet without payload is one packet."""
    packet = make(version, size=0)
    assert segment(packet) == [complete(packet)]


def test_plain_packets_stand_for_themselves() -> None:
    """A plain packet is returned as the same object, whatever it is."""
    for packet in (b"", b"abc", p.tcp(4)):
        assert segment(packet)[0] is packet
    assert segment(b"abc", first=1) == []
    assert segment(b"abc", limit=0) == []


def test_D13_a_packet_that_only_needs_its_checksum() -> None:
    """D13: gso_type NONE with needs_csum is one packet, completed."""
    packet = p.with_fields(p.big(4), gso_type=0)
    assert segment(packet) == [complete(packet)]
    assert segment(packet, first=1) == []


@pytest.mark.parametrize("ecn", [0, GSO_ECN])
@VERSIONS
def test_tcp_without_a_pseudo_sum(version: int, ecn: int) -> None:
    """Without needs_csum the pseudo-header is summed here, wherever csum_start points, as the kernel does for TCP."""
    packet = p.big(version)
    for fields in ({}, {"csum_start": 0, "csum_offset": 0}):
        other = p.with_fields(packet, needs_csum=False, gso_type=packet.gso_type | ecn, **fields)
        assert segment(p.with_fields(other)) == segments(packet)


@VERSIONS
def test_the_pseudo_sum_is_the_packets_own(version: int) -> None:
    """What the checksum field says of the addresses is kept, as in the kernel: behind a routing header they differ."""
    packet = p.big(version)
    at = packet.csum_start + 16
    field = int.from_bytes(packet[at : at + 2], "big")
    moved = (field + 0x1234) % 0xFFFF
    other = SuperPacket(p.patched(packet, at, moved.to_bytes(2, "big")), **vars(packet))
    for part, plain in zip(segment(other), segment(packet), strict=True):
        # The complement of a sum goes down by what the sum went up.
        assert (int.from_bytes(plain[at : at + 2], "big") - int.from_bytes(part[at : at + 2], "big")) % 0xFFFF == 0x1234


def test_a_pseudo_sum_below_the_length() -> None:
    """A pseudo-header's sum that folded to less than the length is right without the length, too."""
    octets = p.udp(4, bytes(20000), src_port=0, ip={"src": "177.204.0.0", "dst": "0.0.0.0"})
    packet = p.super_packet(octets, 300)
    assert packet[26:28] == b"\0\6"
    assert segment(packet) == segments(packet)


@VERSIONS
def test_fixed_id(version: int) -> None:
    """With fixed_id the IPv4 identification stays; IPv6 has none."""
    packet = p.with_fields(p.big(version), fixed_id=True)
    assert segment(packet) == segments(packet)
    if version == 4:
        assert {part[4:6] for part in segment(packet)} == {b"\0\0"}


def test_fixed_id_of_udp() -> None:
    """The same for UDP."""
    packet = p.with_fields(p.big_udp(4, ip={"identification": 7}), fixed_id=True)
    assert [part[4:6] for part in segment(packet)] == [b"\0\7"] * 4


@pytest.mark.parametrize("make", [p.big, p.big_udp])
def test_in_pieces(make: Any) -> None:
    """first and limit select among the segments; beyond the last there are none."""
    packet = make(4, size=1000, gso_size=100)
    whole = segment(packet)
    assert len(whole) == 10
    for first in range(12):
        for limit in (0, 1, 3, 10, ALL):
            assert segment(packet, False, first, limit) == whole[first : first + limit]


def test_the_result_is_plain() -> None:
    """Segments are bytes and nothing else, so that no later stage cuts them again."""
    assert {type(part) for part in segment(p.big(4)) + segment(p.big_udp(6)) + segment(p.big(4, 10, 300))} == {bytes}
