"""What cannot be cut, and the sentence that says why; and anything at all, which gives packets or such a sentence."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiotun.errors import PacketError
from aiotun.offload import complete, segment
from aiotun.packet import SuperPacket

from . import packets as p
from .oracle import random_packet

VERSIONS = pytest.mark.parametrize("version", [4, 6])


def v4(**changes: Any) -> SuperPacket:
    return p.with_fields(p.big(4), **changes)


def changed(packet: SuperPacket, at: int, octets: bytes) -> SuperPacket:
    return SuperPacket(p.patched(packet, at, octets), **vars(packet))


def shorter(packet: SuperPacket, size: int) -> SuperPacket:
    """Cut the packet, and let its IP header say so."""
    octets = packet[:size]
    length = struct.pack("!H", size if packet[0] >> 4 == 4 else max(0, size - 40))
    return SuperPacket(p.patched(octets, 2 if packet[0] >> 4 == 4 else 4, length), **vars(packet))


@pytest.mark.parametrize(
    ("packet", "reason", "text"),
    [
        (v4(gso_type=2), "bad_gso_type", "gso_type is 2, it must be TCPV4, TCPV6 or UDP_L4"),
        (v4(gso_type=3), "bad_gso_type", "gso_type is 3, it must be TCPV4, TCPV6 or UDP_L4"),
        (v4(gso_type=0x80), "bad_gso_type", "gso_type is 128, it must be TCPV4, TCPV6 or UDP_L4"),
        (v4(gso_size=0), "bad_gso_size", "gso_size is 0, it must be at least 1"),
        (v4(gso_type=4), "bad_version", "gso_type is 4, the IP version is 4"),
        (p.with_fields(p.big(6), gso_type=1), "bad_version", "gso_type is 1, the IP version is 6"),
        (changed(v4(), 0, b"\x55"), "bad_version", "gso_type is 1, the IP version is 5"),
        (p.with_fields(p.big_udp(4), gso_type=1), "bad_protocol", "gso_type is 1, the protocol is 17"),
        (p.with_fields(p.big_udp(6), gso_type=4), "bad_protocol", "gso_type is 4, the protocol is 17"),
        (v4(gso_type=5), "bad_protocol", "gso_type is 5, the protocol is 6"),
        (changed(v4(), 0, b"\x44"), "bad_ihl", "IPv4 header takes 16 bytes, it must take 20 to 1040"),
        (shorter(changed(v4(), 0, b"\x4f"), 59), "bad_ihl", "IPv4 header takes 60 bytes, it must take 20 to 59"),
        (changed(v4(), 2, b"\0\0"), "bad_length", "total length is 0, the IPv4 packet has 1040 bytes"),
        (changed(v4(), 6, b"\x20"), "bad_fragment", "it is an IPv4 fragment"),
        (changed(v4(), 6, b"\x01"), "bad_fragment", "it is an IPv4 fragment"),
        (changed(v4(), 7, b"\x01"), "bad_fragment", "it is an IPv4 fragment"),
        (shorter(v4(), 19), "short_header", "there are 19 bytes, an IP header takes 20"),
        (shorter(v4(), 20), "short_header", "there are 0 bytes, the transport header takes 20"),
        (shorter(p.big(6), 40), "short_header", "there are 0 bytes, the transport header takes 20"),
        (SuperPacket(b"", 1, 1), "short_header", "there are 0 bytes, an IP header takes 20"),
        (shorter(v4(), 39), "short_header", "there are 19 bytes, the transport header takes 20"),
        (shorter(p.big_udp(4), 27), "short_header", "there are 7 bytes, the transport header takes 8"),
        (shorter(p.big(6), 39), "short_header", "there are 39 bytes, an IPv6 header takes 40"),
        (changed(p.big(6), 4, b"\0\0"), "bad_length", "payload length is 0, the IPv6 packet has 1020 bytes of it"),
        (changed(v4(), 32, b"\x40"), "bad_doff", "TCP header takes 16 bytes, it must take 20 to 60"),
        (shorter(changed(v4(), 32, b"\xf0"), 79), "bad_doff", "TCP header takes 60 bytes, it must take 20 to 59"),
        (changed(p.big_udp(4), 24, b"\0\x08"), "bad_length", "UDP length is 8, the datagram has 1008 bytes"),
        (p.with_fields(p.big_udp(4), needs_csum=False), "bad_gso_type", "gso_type is 5, that needs needs_csum"),
        (v4(csum_start=24), "bad_csum_off", "checksum is 16 bytes after 24, it must be 16 after 20"),
        (v4(csum_offset=6), "bad_csum_off", "checksum is 6 bytes after 20, it must be 16 after 20"),
        (
            p.with_fields(p.big_udp(4), csum_offset=16),
            "bad_csum_off",
            "checksum is 16 bytes after 20, it must be 6 after 20",
        ),
    ],
)
def test_refusals(packet: SuperPacket, reason: str, text: str) -> None:
    """C22: a packet that is not what its fields say is refused, with its reason and both numbers."""
    with pytest.raises(PacketError) as caught:
        segment(packet)
    assert (caught.value.reason, str(caught.value)) == (reason, f"SuperPacket: {text}")


def test_what_is_just_long_enough() -> None:
    """The shortest headers there can be pass."""
    assert segment(shorter(v4(), 40)) == [complete(shorter(v4(), 40))]
    assert p.refused(shorter(p.big_udp(4), 28)) == "bad_length"  # by the UDP header's own word, not for want of bytes
    assert p.refused(shorter(changed(v4(), 32, b"\xf0"), 80)) == ""
    assert p.refused(shorter(changed(v4(), 0, b"\x4f"), 60)) == "bad_csum_off"


@pytest.mark.parametrize("number", [44, 51, 50, 135, 59, 1])
def test_headers_that_do_not_survive_cutting(number: int) -> None:
    """Behind a fragment header, AH or any other unknown header there is no TCP to cut."""
    packet = p.big(6, ip={"extensions": p.destination()})
    assert p.refused(changed(packet, 6, bytes((number,)))) == "bad_protocol"


@VERSIONS
@pytest.mark.parametrize("kind", [b"\x08\x06", b"\x08\x00", b"\x86\xdd", b"\x00\x30"])
def test_a_frame_of_another_type(version: int, kind: bytes) -> None:
    """A frame whose type is not that of its packet is refused."""
    packet = changed(p.big(version, link=14), 12, kind)
    right = kind == (b"\x08\x00" if version == 4 else b"\x86\xdd")
    assert p.refused(packet, True) == ("" if right else "bad_ethertype")


@pytest.mark.parametrize(
    ("size", "at", "octets", "reason", "text"),
    [
        (33, 0, b"\x45", "short_header", "there are 19 bytes, an IP header takes 20"),
        (73, 0, b"\x4f", "bad_ihl", "IPv4 header takes 60 bytes, it must take 20 to 59"),
        (60, 2, b"\0\x2f", "bad_length", "total length is 47, the IPv4 packet has 46 bytes"),
    ],
)
def test_numbers_of_a_frame_are_its_packets(size: int, at: int, octets: bytes, reason: str, text: str) -> None:
    """A refusal counts from the IP header, not from the Ethernet header before it."""
    packet = changed(p.big(4, link=14), 14 + at, octets)
    with pytest.raises(PacketError) as caught:
        segment(SuperPacket(packet[:size], **vars(packet)), True)
    assert (caught.value.reason, str(caught.value)) == (reason, f"SuperPacket: {text}")


def test_a_short_frame_is_refused() -> None:
    """A frame that ends within its Ethernet header is refused in a sentence."""
    with pytest.raises(PacketError) as caught:
        segment(SuperPacket(bytes(13), 1, 1), True)
    assert caught.value.reason == "bad_ethertype"
    assert str(caught.value) == "SuperPacket: the frame does not hold the IP packet that it announces"


@given(
    st.binary(max_size=120),
    st.sampled_from([1, 4, 5, 0x81, 0x84, 0, 3]),
    st.tuples(*[st.integers(0, 100)] * 4),
    st.booleans(),
    st.booleans(),
)
def test_garbage_is_refused(octets: bytes, kind: int, numbers: Any, needs_csum: bool, ethernet: bool) -> None:
    """Bytes of any kind with fields of any kind give packets or a PacketError."""
    try:
        gso_size, hdr_len, csum_start, csum_offset = numbers
        parts = segment(SuperPacket(octets, kind, gso_size, hdr_len, csum_start, csum_offset, needs_csum), ethernet)
    except PacketError:
        return
    assert parts


@given(st.integers(0, 1 << 32), st.booleans(), st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4))
@settings(deadline=None)
def test_damage_is_refused(seed: int, ethernet: bool, damage: list[tuple[int, int]]) -> None:
    """A good super-packet with a few bytes changed gives packets or a PacketError."""
    packet = random_packet(random.Random(seed), ethernet)
    if not isinstance(packet, SuperPacket):
        return
    octets = bytearray(packet)
    for at, octet in damage:
        octets[at % len(octets)] = octet
    try:
        parts = segment(SuperPacket(octets, **vars(packet)), ethernet)
    except PacketError:
        return
    assert parts
