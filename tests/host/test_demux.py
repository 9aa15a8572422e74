"""Taking frames apart by who takes them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offload import packets as p

from aiotun.driver.families import Family
from aiotun.host.demux import demux, trim
from aiotun.packet import VLAN, Ethernet, EtherType, ICMPv6, IPv6, Protocol, SuperPacket
from aiotun.testing import leave_checksum

from .fakes import EVERYBODY, OTHER_MAC, OUR_MAC, PEER_MAC, datagram, in_frame

PACKET = datagram("10.0.0.2", "10.0.0.1")
PACKET6 = datagram("fd00::2", "fd00::1")


def icmpv6(kind: int) -> bytes:
    return IPv6("fd00::2", "fd00::1", Protocol.ICMPV6, ICMPv6(kind).build("fd00::2", "fd00::1")).build()


@pytest.mark.parametrize("packet", [PACKET, PACKET6, icmpv6(134), icmpv6(137)])
@pytest.mark.parametrize("dst", [OUR_MAC, EVERYBODY, bytes.fromhex("01005e000001")])
@pytest.mark.parametrize("padding", [0, 30])
def test_packets(packet: bytes, dst: bytes, padding: int) -> None:
    """A packet for us, for everybody or for a group comes out whole, without header and padding."""
    frame = in_frame(packet, dst) + bytes(padding)
    found = demux(OUR_MAC, [frame])
    assert (found.packets, found.frames) == ([packet], [frame])
    assert not (found.neighbors or found.others or found.dropped)


@pytest.mark.parametrize("kind", [135, 136])
def test_neighbor_discovery(kind: int) -> None:
    """Solicitations and advertisements go to the neighbors, as frames."""
    frame = in_frame(icmpv6(kind), EVERYBODY)
    found = demux(OUR_MAC, [frame])
    assert (found.neighbors, found.packets, found.frames) == ([frame], [], [])


def test_a_datagram_that_looks_like_discovery() -> None:
    """Only ICMPv6 is neighbor discovery."""
    packet = IPv6("fd00::2", "fd00::1", Protocol.UDP, bytes((135,)) + bytes(7)).build()
    assert demux(OUR_MAC, [in_frame(packet)]).packets == [packet]


@pytest.mark.parametrize("size", [200, 300, 1400])
def test_long_packets(size: int) -> None:
    """The length of a packet takes two bytes."""
    packets = [datagram("10.0.0.2", "10.0.0.1", bytes(size)), datagram("fd00::2", "fd00::1", bytes(size))]
    assert demux(OUR_MAC, [in_frame(packet) + bytes(9) for packet in packets]).packets == packets


def test_a_bare_header() -> None:
    """A frame may be its header alone: no more is needed to see what it is not."""
    assert demux(OUR_MAC, [Ethernet(OUR_MAC, PEER_MAC, 0x88CC).build()]).dropped == {"unsupported_family": 1}


def test_one_byte_of_discovery() -> None:
    """The type alone makes it neighbor discovery; the neighbors see what is missing."""
    frame = in_frame(IPv6("fd00::2", "fd00::1", Protocol.ICMPV6, b"\x87").build())
    assert demux(OUR_MAC, [frame]).neighbors == [frame]


def test_icmpv6_without_a_message() -> None:
    """The byte behind an empty packet is padding, whatever it is."""
    packet = IPv6("fd00::2", "fd00::1", Protocol.ICMPV6, b"").build()
    assert demux(OUR_MAC, [in_frame(packet) + b"\x87"]).packets == [packet]


def test_arp() -> None:
    """ARP goes to the neighbors, as frames."""
    frame = Ethernet(EVERYBODY, PEER_MAC, EtherType.ARP, bytes(28)).build()
    assert demux(OUR_MAC, [frame]).neighbors == [frame]


def test_ipx() -> None:
    """IPX comes out under its family, without header."""
    frames = [Ethernet(OUR_MAC, PEER_MAC, 0x8137, payload).build() for payload in (b"one", b"two")]
    assert demux(OUR_MAC, frames).others == {Family.IPX: [b"one", b"two"]}


def changed(packet: bytes, at: int, value: int) -> bytes:
    return packet[:at] + bytes((value,)) + packet[at + 1 :]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "short_header"),
        (in_frame(PACKET)[:13], "short_header"),
        (in_frame(PACKET, OTHER_MAC), "not_for_us"),
        (in_frame(PACKET, OUR_MAC, bytes.fromhex("030000000002")), "bad_source"),
        (Ethernet(OUR_MAC, PEER_MAC, EtherType.IPV4, PACKET, vlans=[VLAN(5)]).build(), "vlan"),
        (Ethernet(OUR_MAC, PEER_MAC, EtherType.IPV4, PACKET, vlans=[VLAN(5, tpid=0x88A8)]).build(), "vlan"),
        (Ethernet(OUR_MAC, PEER_MAC, 0x88CC, PACKET).build(), "unsupported_family"),
        (Ethernet(OUR_MAC, PEER_MAC, None, PACKET).build(), "unsupported_family"),
        (Ethernet(OUR_MAC, PEER_MAC, EtherType.IPV4, PACKET[:19]).build(), "short_header"),
        (Ethernet(OUR_MAC, PEER_MAC, EtherType.IPV6, PACKET6[:39]).build(), "short_header"),
        (Ethernet(OUR_MAC, PEER_MAC, EtherType.IPV4, PACKET6).build(), "bad_version"),
        (Ethernet(OUR_MAC, PEER_MAC, EtherType.IPV6, PACKET + bytes(20)).build(), "bad_version"),
        (in_frame(PACKET)[:-1], "bad_length"),
        (in_frame(changed(PACKET, 3, 19)), "bad_length"),
        (in_frame(PACKET6)[:-1], "bad_length"),
    ],
)
def test_what_is_dropped(frame: bytes, reason: str) -> None:
    """What is not for us, or does not fit its frame, is dropped with a reason; its neighbors in the batch are not."""
    found = demux(OUR_MAC, [in_frame(PACKET), frame, in_frame(PACKET)])
    assert found.dropped == {reason: 1}
    assert found.packets == [PACKET, PACKET]


@pytest.mark.parametrize("total", [20, len(PACKET)])
def test_the_shortest_and_the_longest(total: int) -> None:
    """A packet may be a header alone, or fill its frame."""
    frame = in_frame(changed(PACKET, 3, total))
    assert demux(OUR_MAC, [frame]).packets == [changed(PACKET, 3, total)[:total]]


def test_a_header_alone() -> None:
    """A frame may end with the IP header."""
    packet = changed(PACKET, 3, 20)[:20]
    six = IPv6("fd00::2", "fd00::1", Protocol.NO_NEXT).build()
    assert demux(OUR_MAC, [in_frame(packet), in_frame(six)]).packets == [packet, six]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: in_frame(PACKET)[:14] + tail)))
def test_nothing_is_lost(frames: list[bytes]) -> None:
    """Whatever comes in comes out somewhere, or is counted."""
    found = demux(OUR_MAC, frames)
    others = sum(map(len, found.others.values()))
    assert len(found.packets) == len(found.frames)
    assert len(frames) == len(found.packets) + len(found.neighbors) + others + found.dropped.total()


# --- packets that came in no frame --------------------------------------------------------------

NO_NEXT = IPv6("fd00::2", "fd00::1", Protocol.NO_NEXT).build()


@pytest.mark.parametrize(
    "packet", [PACKET, PACKET6, changed(PACKET, 3, 20)[:20], NO_NEXT, datagram("10.0.0.2", "10.0.0.1", bytes(300))]
)
@pytest.mark.parametrize("behind", [0, 1, 300])
def test_trimming(packet: bytes, behind: int) -> None:
    """A packet comes out as long as its header says."""
    found = trim([packet + bytes(behind)])
    assert (found.packets, found.frames, found.dropped) == ([packet], [], {})


@pytest.mark.parametrize("packet", [PACKET, PACKET6, datagram("fd00::2", "fd00::1", bytes(300))])
def test_what_has_its_length_is_left_alone(packet: bytes) -> None:
    """A packet of the right length is not copied."""
    assert trim([packet]).packets[0] is packet


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "short_header"),
        (b"\x45", "short_header"),
        (changed(PACKET, 3, 19)[:19], "short_header"),
        (b"\x60", "short_header"),
        (NO_NEXT[:39], "short_header"),
        (PACKET[:-1], "bad_length"),
        (changed(PACKET, 3, 19), "bad_length"),
        (changed(PACKET, 2, 1), "bad_length"),
        (PACKET6[:-1], "bad_length"),
        (changed(PACKET6, 4, 1), "bad_length"),
        (b"\x50" + PACKET[1:], "unsupported_family"),
        (b"\x00" + PACKET6[1:], "unsupported_family"),
    ],
)
def test_what_trimming_drops(packet: bytes, reason: str) -> None:
    """What is no whole packet is dropped with a reason; its neighbors in the batch are not."""
    found = trim([PACKET, packet, PACKET6])
    assert found.dropped == {reason: 1}
    assert found.packets == [PACKET, PACKET6]


def test_a_super_packet_behind_which_there_is_padding() -> None:
    """One that only lacks its checksum is trimmed like any packet, and lacks it still."""
    packet = leave_checksum(p.tcp(4))
    assert isinstance(packet, SuperPacket)
    (found,) = trim([packet.moved(packet + b"padding")]).packets
    assert isinstance(found, SuperPacket)
    assert (found, vars(found)) == (packet, vars(packet))


def test_a_super_packet_that_cannot_be_cut() -> None:
    """It is for nobody, under the reason of its flaw, in a frame and without."""
    lying = p.with_fields(p.big(4), gso_size=0)
    framed = p.with_fields(p.big(4, link=14), gso_size=0)
    assert trim([lying]).dropped == demux(p.MACS[0], [framed]).dropped == {"bad_gso_size": 1}
