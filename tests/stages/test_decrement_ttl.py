"""One hop less: fields, checksums, and what becomes of a packet that has none left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet.oracle import inet, inet6

from aiotun.offload import segment
from aiotun.packet import IPv4, IPv4View, checksum
from aiotun.stages import ICMPErrors, decrement_ttl

from .packets import HERE, Sink, echo, fields_of, rebuilt, superpacket, tcp, udp


@pytest.mark.parametrize("ttl", [2, 3, 64, 255])
def test_ipv4_loses_a_hop(ttl: int) -> None:
    """The time to live goes down by one, and scapy finds every checksum right."""
    (packet,) = decrement_ttl()([tcp(ttl=ttl)])
    assert (inet.IP(packet).ttl, rebuilt(packet)) == (ttl - 1, packet)


def test_ipv6_loses_a_hop() -> None:
    """The hop limit goes down by one, and nothing else changes."""
    before = udp(6, hop_limit=9)
    (packet,) = decrement_ttl()([before])
    assert packet == before[:7] + b"\x08" + before[8:]


@given(st.integers(2, 255), st.integers(0, 0xFFFF), st.integers(0, 255))
def test_the_checksum_is_the_one_made_anew(ttl: int, identification: int, protocol: int) -> None:
    """The updated checksum of any header is the one that it would be built with."""
    before = IPv4("10.0.0.1", "10.0.0.2", protocol, ttl=ttl, identification=identification)
    after = IPv4("10.0.0.1", "10.0.0.2", protocol, ttl=ttl - 1, identification=identification)
    assert list(decrement_ttl()([before.build()])) == [after.build()]


@given(st.integers(0, 0xFFFF))
def test_a_wrong_checksum_stays_wrong(total: int) -> None:
    """Whatever is in the checksum field, the header sums to what it did before."""
    packet = bytearray(tcp())
    packet[10:12] = total.to_bytes(2, "big")
    (after,) = decrement_ttl()([bytes(packet)])
    assert checksum(after[:20]) % 0xFFFF == checksum(packet[:20]) % 0xFFFF


def test_options_stay() -> None:
    """A header with options is a header like any other."""
    (packet,) = decrement_ttl()([IPv4("1.1.1.1", "2.2.2.2", 6, options=b"\1" * 8).build()])
    assert IPv4View(packet).checksum_ok


@pytest.mark.parametrize("ttl", [0, 1])
@pytest.mark.parametrize("version", [4, 6])
def test_no_hop_left(version: int, ttl: int) -> None:
    """A packet that has no hop left is dropped, and its sender told who dropped it."""
    back = Sink()
    stage = decrement_ttl(ICMPErrors(back, HERE[4], HERE[6]))
    packet = udp(4, ttl=ttl) if version == 4 else udp(6, hop_limit=ttl)
    assert (list(stage([packet])), dict(stage.dropped)) == ([], {"ttl_exceeded": 1})
    (answer,) = back.taken
    assert rebuilt(answer) == answer
    if version == 4:
        parsed = inet.IP(answer)
        assert (parsed.src, parsed.dst, parsed.payload.type, parsed.payload.code) == (HERE[4], "10.8.0.2", 11, 0)
        assert bytes(parsed.payload)[8:] == packet
    else:
        parsed = inet6.IPv6(answer)
        assert (parsed.src, parsed.dst, parsed.payload.type, parsed.payload.code) == (HERE[6], "fd00::2", 3, 0)
        assert bytes(parsed.payload)[8:] == packet


def test_silent_without_a_way_back() -> None:
    """Without a way to tell the sender the packet is dropped all the same."""
    stage = decrement_ttl()
    assert (list(stage([echo(ttl=1)])), dict(stage.dropped)) == ([], {"ttl_exceeded": 1})


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "short_header"),
        (b"\x45", "short_header"),
        (tcp()[:19], "short_header"),
        (udp(6)[:39], "short_header"),
        (b"\x00" * 40, "bad_version"),
        (b"\x50" * 60, "bad_version"),
    ],
)
def test_what_is_no_packet_is_dropped(packet: bytes, reason: str) -> None:
    """Bytes without a whole IP header are dropped, under what is wrong with them."""
    stage = decrement_ttl()
    assert (list(stage([packet])), dict(stage.dropped)) == ([], {reason: 1})


@pytest.mark.parametrize("version", [4, 6])
def test_a_superpacket_passes_whole(version: int) -> None:
    """A super-packet loses a hop in one piece, and so do all of its segments."""
    before = superpacket(version)
    (after,) = decrement_ttl()([before])
    assert fields_of(after) == fields_of(before)
    assert segment(after) == list(decrement_ttl()(segment(before)))


def test_the_error_about_a_superpacket_quotes_its_first_segment() -> None:
    """A super-packet without a hop left is answered as its first segment would be."""
    back, other = Sink(), Sink()
    packet = superpacket(ttl=1)
    decrement_ttl(ICMPErrors(back, HERE[4]))([packet])
    decrement_ttl(ICMPErrors(other, HERE[4]))(segment(packet)[:1])
    assert back.taken == other.taken != []
