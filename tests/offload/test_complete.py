"""Finishing a checksum that was left to the receiver."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.errors import PacketError
from aiotun.offload import complete
from aiotun.packet import SuperPacket, checksum, pseudo_sum

from . import packets as p

VERSIONS = pytest.mark.parametrize("version", [4, 6])
MAKERS = pytest.mark.parametrize("make", [p.tcp, p.udp])


@VERSIONS
@MAKERS
@pytest.mark.parametrize("link", [0, 14, 18, 22])
@pytest.mark.parametrize("size", [0, 1, 100, 101])
def test_the_packet_as_it_was(version: int, make: Any, link: int, size: int) -> None:
    """A packet whose checksum was taken out gets it back, of odd sizes and behind Ethernet headers too."""
    packet = make(version, bytes(range(size)))
    unfinished = p.super_packet(packet, 0, link=p.link_header(version, link), gso_type=0)
    finished = complete(unfinished)
    assert finished == p.link_header(version, link) + packet
    assert type(finished) is bytes


@VERSIONS
@MAKERS
def test_a_super_packet_becomes_one_large_packet(version: int, make: Any) -> None:
    """Whatever is to be cut is left in one piece."""
    packet = make(version, bytes(range(250)) * 40)
    assert complete(p.super_packet(packet, 100)) == packet


def test_nothing_to_finish() -> None:
    """A plain packet is the same object; a SuperPacket that needs no checksum has the same bytes."""
    packet = p.tcp(4)
    assert complete(packet) is packet
    finished = complete(SuperPacket(packet, 1, 100))
    assert finished == packet and type(finished) is bytes


def zero_sum(protocol: int, offset: int) -> SuperPacket:
    """Return an IPv4 packet whose checksum computes to 0."""
    header = p.tcp(4, b"") if protocol == 6 else p.udp(4, b"")
    body = header[20 : 20 + offset] + b"\0\0" + header[22 + offset :]
    pseudo = pseudo_sum(header[12:16], header[16:20], protocol, len(body) + 2)
    rest = checksum(body, pseudo)
    octets = header[:20] + body[:offset] + pseudo.to_bytes(2, "big") + body[offset + 2 :] + rest.to_bytes(2, "big")
    return SuperPacket(octets, csum_start=20, csum_offset=offset, needs_csum=True)


def test_X20_udp_computes_no_zero() -> None:
    """X20: a UDP checksum that computes to 0 is 0xffff, since 0 would say that there is none."""
    packet = zero_sum(17, 6)
    assert complete(packet)[26:28] == b"\xff\xff"


def test_tcp_computes_no_zero_either() -> None:
    """A TCP checksum that computes to 0 is 0xffff, which is the same, and what Linux writes."""
    assert complete(zero_sum(6, 16))[36:38] == b"\xff\xff"


def test_an_odd_last_byte_is_the_high_half() -> None:
    """The byte that is left over counts as the high half of a word."""
    assert complete(SuperPacket(b"\0\0\x01", csum_start=0, csum_offset=0, needs_csum=True)) == b"\xfe\xff\x01"


def test_the_checksum_may_be_anywhere() -> None:
    """An odd start or offset is as good as an even one, and what is before the start does not count."""
    packet = SuperPacket(b"\xff\x01\x02\0\0\x03", csum_start=1, csum_offset=2, needs_csum=True)
    total = checksum(b"\x01\x02\0\0\x03")
    assert complete(packet) == b"\xff\x01\x02" + total.to_bytes(2, "big") + b"\x03"
    odd = SuperPacket(b"\x01\x02\x03\x04", csum_start=0, csum_offset=1, needs_csum=True)
    assert complete(odd) == b"\x01" + checksum(b"\x01\x02\x03\x04").to_bytes(2, "big") + b"\x04"


@given(st.binary(max_size=60), st.integers(0, 70), st.integers(0, 70))
def test_C19_a_checksum_beyond_the_packet(octets: bytes, start: int, offset: int) -> None:
    """C19: the field must lie within the packet; then only its two bytes change."""
    packet = SuperPacket(octets, csum_start=start, csum_offset=offset, needs_csum=True)
    at = start + offset
    if at + 2 <= len(octets):
        finished = complete(packet)
        assert finished[:at] + finished[at + 2 :] == octets[:at] + octets[at + 2 :]
        return
    with pytest.raises(PacketError) as caught:
        complete(packet)
    assert caught.value.reason == "bad_csum_off"
    assert str(caught.value) == f"SuperPacket: checksum ends at {at + 2}, the packet has {len(octets)} bytes"
