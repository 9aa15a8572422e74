"""What a super-packet is to who handles it in one piece."""

from __future__ import annotations

import pytest
from offload import packets as p

from aiotun.driver.superpackets import behind, flaw, wire_length, without
from aiotun.offload import segment
from aiotun.packet import SuperPacket
from aiotun.queueing import Classified
from aiotun.testing import leave_checksum

HEADER = p.link_header(4, 14)


@pytest.mark.parametrize("big", [p.big(4), p.big(6), p.big_udp(4), p.big_udp(6), p.big(4, link=18)])
def test_on_the_wire_it_is_its_longest_segment(big: SuperPacket) -> None:
    """The length of a super-packet is that of the longest packet it stands for, also under the mark of a class."""
    longest = max(map(len, segment(big, len(big) > 0 and big[0] >> 4 not in (4, 6))))
    assert wire_length(big) == wire_length(Classified(big, 1)) == longest


def test_a_plain_packet_is_as_long_as_it_is() -> None:
    """Nothing is taken off any other packet, nor off one that only lacks its checksum."""
    packet = p.tcp(4)
    assert wire_length(packet) == wire_length(Classified(packet, 1)) == wire_length(leave_checksum(packet)) == 140


def test_behind_a_header_it_is_what_it_was() -> None:
    """With an Ethernet header in front a super-packet can be cut as a frame, into the same packets in frames."""
    big = p.big(4)
    framed = behind(HEADER, big)
    assert segment(framed, True) == [HEADER + packet for packet in segment(big)]
    assert isinstance(framed, SuperPacket) and framed.hdr_len == big.hdr_len + 14


def test_without_its_header_it_is_what_it_was() -> None:
    """Taken out of its frame a super-packet has the fields it had before it was put in."""
    big = p.big_udp(6)
    inner = without(behind(HEADER, big), 14, 14 + len(big))
    assert (inner, vars(inner)) == (big, vars(big))


def test_plain_packets_stay_plain() -> None:
    """Of bytes come bytes."""
    packet = p.tcp(4)
    assert behind(HEADER, packet) == HEADER + packet
    assert without(HEADER + packet + b"padding", 14, 14 + len(packet)) == packet
    assert {type(behind(HEADER, packet)), type(without(packet, 1, 2))} == {bytes}


def test_fields_that_say_nothing_stay_so() -> None:
    """A hint of 0 bytes of headers, and the place of a checksum that is finished, stay 0."""
    big = p.with_fields(p.big(4), hdr_len=0, csum_start=0, csum_offset=0, needs_csum=False)
    framed = behind(HEADER, big)
    assert isinstance(framed, SuperPacket)
    assert (framed.hdr_len, framed.csum_start) == (0, 0)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (p.tcp(4), ""),
        (p.big(4), ""),
        (leave_checksum(p.tcp(4)), ""),
        (p.with_fields(p.big(4), gso_size=0), "bad_gso_size"),
        (p.with_fields(p.big(4), gso_type=4), "bad_version"),
        (SuperPacket(bytes(40), csum_start=38, csum_offset=16, needs_csum=True), "bad_csum_off"),
    ],
)
def test_the_flaw(packet: bytes, reason: str) -> None:
    """A super-packet that cannot be cut has a reason, all else none."""
    assert flaw(packet, False) == reason
