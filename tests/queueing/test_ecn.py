"""Congestion marks, against the whole checksum."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offload import packets as p

from aiotun.offload import segment
from aiotun.packet import IPv4, IPv4View, IPv6, IPv6View, Protocol, SuperPacket
from aiotun.queueing import mark_congestion

from .packets import CE, ECT0, ECT1, LINK, datagram


def version6(traffic_class: int) -> bytes:
    return IPv6("fd00::1", "fd00::2", Protocol.UDP, bytes(8), traffic_class=traffic_class, flow_label=0xFFFFF).build()


@given(st.integers(0, 63), st.sampled_from([ECT0, ECT1]), st.integers(0, 0xFFFF), st.binary(max_size=40))
def test_version_4(dscp: int, ecn: int, identification: int, payload: bytes) -> None:
    """A capable IPv4 packet becomes the packet that would have been built with the mark."""
    packet, expected = (
        IPv4("10.0.0.1", "10.0.0.2", 17, payload, tos=dscp << 2 | bits, identification=identification).build()
        for bits in (ecn, CE)
    )
    assert mark_congestion(packet) == expected


@given(st.integers(0, 63), st.sampled_from([ECT0, ECT1]))
def test_version_6(dscp: int, ecn: int) -> None:
    """A capable IPv6 packet becomes the packet that would have been built with the mark."""
    assert mark_congestion(version6(dscp << 2 | ecn)) == version6(dscp << 2 | CE)


@pytest.mark.parametrize("packet", [datagram(tos=0xFC), version6(0xFC)], ids=["4", "6"])
def test_not_capable(packet: bytes) -> None:
    """A packet whose ends do not take marks gets none."""
    assert mark_congestion(packet) is None


@pytest.mark.parametrize("packet", [datagram(tos=CE), version6(CE)], ids=["4", "6"])
def test_marked_already(packet: bytes) -> None:
    """A marked packet is returned as it is."""
    assert mark_congestion(packet) is packet


@pytest.mark.parametrize(("packet", "view"), [(datagram(tos=ECT0), IPv4View), (version6(ECT0), IPv6View)])
def test_behind_a_link_header(packet: bytes, view: type[IPv4View | IPv6View]) -> None:
    """With an offset, the mark is put behind the link header, which stays."""
    marked = mark_congestion(LINK + packet, 14)
    assert marked is not None and marked == LINK + (mark_congestion(packet) or b"")
    assert view(marked, 14).ecn == CE


def test_a_wrong_checksum_stays_wrong() -> None:
    """The checksum is updated, not made anew: a damaged header is not repaired."""
    packet = bytearray(datagram(tos=ECT0))
    packet[8] ^= 1
    assert not IPv4View(mark_congestion(bytes(packet)) or b"").checksum_ok


@pytest.mark.parametrize("size", [0, 1, 11, 19])
def test_a_short_packet(size: int) -> None:
    """A packet of less than an IPv4 header gets no mark."""
    assert mark_congestion(datagram(tos=ECT0)[:size]) is None


def test_the_shortest_packet() -> None:
    """A header of 20 bytes is enough."""
    assert mark_congestion(datagram(tos=ECT0)[:20]) == datagram(tos=CE)[:20]


@pytest.mark.parametrize("nibble", [0, 5, 15])
def test_another_version(nibble: int) -> None:
    """What is neither IPv4 nor IPv6 gets no mark."""
    assert mark_congestion(bytes([nibble << 4, 0x22]) + bytes(30)) is None


@given(st.binary(max_size=60), st.integers(0, 20))
def test_any_bytes(packet: bytes, offset: int) -> None:
    """Any bytes are marked or left alone, never refused, and keep their length."""
    assert len(mark_congestion(packet, offset) or packet) == len(packet)


@pytest.mark.parametrize("offset", [0, 14])
def test_a_super_packet_stays_one(offset: int) -> None:
    """A marked super-packet can be cut as before, and every segment of it is marked."""
    big = p.big(4, ip={"tos": ECT0}, link=offset)
    marked = mark_congestion(big, offset)
    assert isinstance(marked, SuperPacket)
    segments = segment(marked, offset > 0)
    assert [packet[offset + 1] for packet in segments] == [CE] * 4
    assert segments == [mark_congestion(packet, offset) for packet in segment(big, offset > 0)]
