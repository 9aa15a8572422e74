"""One line about any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given

from aiotun.packet import (
    ARP,
    ICMP,
    TCP,
    VLAN,
    Ethernet,
    Fragment,
    ICMPv6,
    IPv4,
    IPv6,
    TCPFlag,
    describe,
    describe_frame,
)

from . import strategies as s

ENDS4, ENDS6 = f"{s.A4} > {s.B4}: ", f"{s.A6} > {s.B6}: "
ALL = TCPFlag(0x1FF)


def v4(protocol: int, payload: bytes, **changes: int) -> bytes:
    """An IPv4 packet."""
    return IPv4(s.A4, s.B4, protocol, payload, **changes).build()  # type: ignore[arg-type]


def v6(protocol: int, payload: bytes) -> bytes:
    """An IPv6 packet."""
    return IPv6(s.A6, s.B6, protocol, payload).build()


PACKETS = [
    (s.TCP4, "10.1.2.3.1000 > 10.4.5.6.80: TCP [none] seq 1 win 65535 length 5"),
    (s.TCP6, "fd00::1:2.1000 > fd00::3:4.80: TCP [none] seq 1 win 65535 length 5"),
    (
        v4(6, TCP(1, 2, flags=0x12, seq=5, ack=6).build(s.A4, s.B4)),
        "10.1.2.3.1 > 10.4.5.6.2: TCP [S.] seq 5 ack 6 win 65535 length 0",
    ),
    (
        v4(6, TCP(1, 2, flags=ALL).build(s.A4, s.B4)),
        "10.1.2.3.1 > 10.4.5.6.2: TCP [SFRP.UEWe] seq 0 ack 0 win 65535 length 0",
    ),
    (s.UDP4, "10.1.2.3.1000 > 10.4.5.6.53: UDP length 5"),
    (s.UDP6 + b"padding", "fd00::1:2.1000 > fd00::3:4.53: UDP length 5"),
    (s.ECHO4, ENDS4 + "ICMP echo request id 7 seq 9 length 13"),
    (s.ECHO6, ENDS6 + "ICMPv6 echo request id 7 seq 9 length 13"),
    (s.SKIP6, ENDS6 + "ICMPv6 echo request id 1 seq 1 length 8"),
    (s.ASK6, ENDS6 + "ICMPv6 neighbor solicitation fd00::9 length 32"),
    (v4(1, ICMP(3, 4, 1400).build()), ENDS4 + "ICMP unreachable code 4 mtu 1400 length 8"),
    (v4(1, ICMP(11, 1).build()), ENDS4 + "ICMP time exceeded code 1 length 8"),
    (v4(1, ICMP(77, 1).build()), ENDS4 + "ICMP type 77 code 1 length 8"),
    (v4(1, b"\x08"), ENDS4 + "ICMP cut short"),
    (v6(58, ICMPv6(2, 0, 1280).build(s.A6, s.B6)), ENDS6 + "ICMPv6 packet too big mtu 1280 length 8"),
    (v6(58, ICMPv6(77).build(s.A6, s.B6)), ENDS6 + "ICMPv6 type 77 code 0 length 8"),
    (v6(58, b"\x80"), ENDS6 + "ICMPv6 cut short"),
    (v4(47, b"body"), ENDS4 + "gre length 4"),
    (v4(253, b"body"), ENDS4 + "protocol 253 length 4"),
    (v6(253, b"body"), ENDS6 + "protocol 253 (unknown_header) length 4"),
    (v6(59, b""), ENDS6 + "no next (no_next_header) length 0"),
    (v4(17, bytes(8), identification=7, more_fragments=True), ENDS4 + "udp fragment id 7 offset 0+ length 8"),
    (v4(17, bytes(8), identification=7, fragment_offset=3), ENDS4 + "udp fragment id 7 offset 24 length 8"),
    (v6(44, Fragment(17, b"body").build()), ENDS6 + "fragment (atomic_fragment) length 12"),
    (v4(6, b"body"), ENDS4 + "malformed: TCP: there are 4 bytes, the header takes 20"),
    (v4(17, b"body"), ENDS4 + "malformed: UDP: there are 4 bytes, the header takes 8"),
    (b"", "malformed: empty packet"),
    (b"\x50\0", "malformed: IP version is 5, 2 bytes"),
    (b"\x45\0", "malformed: IPv4: there are 2 bytes, the header takes 20"),
    (b"\x60\0", "malformed: IPv6: there are 2 bytes, the header takes 40"),
]


@pytest.mark.parametrize(("packet", "expected"), PACKETS)
def test_describe(packet: bytes, expected: str) -> None:
    """A packet is told in one line."""
    assert describe(packet) == expected


MACS = "02:00:00:00:00:01 > 02:00:00:00:00:02"
FROM, TO = "02:00:00:00:00:01", "02:00:00:00:00:02"
FRAMES = [
    (Ethernet(TO, FROM, 0x800, s.UDP4).build(pad=True), f"{MACS}: 10.1.2.3.1000 > 10.4.5.6.53: UDP length 5"),
    (Ethernet(TO, FROM, 0x86DD, s.UDP6).build(), f"{MACS}: fd00::1:2.1000 > fd00::3:4.53: UDP length 5"),
    (
        Ethernet(TO, FROM, 0x800, s.UDP4, vlans=(VLAN(5), VLAN(6))).build(),
        f"{MACS} vlan 5 vlan 6: 10.1.2.3.1000 > 10.4.5.6.53: UDP length 5",
    ),
    (Ethernet(TO, FROM, 0x88CC, b"body").build(), f"{MACS}: ethertype 0x88cc length 4"),
    (Ethernet(TO, FROM, None, b"body").build(), f"{MACS}: 802.3 length 4"),
    (Ethernet(TO, FROM, 0x800, b"").build(), f"{MACS}: malformed: empty packet"),
    (Ethernet(TO, FROM, 0x806, b"").build(), f"{MACS}: malformed: ARP: there are 0 bytes, the header takes 28"),
    (ARP.request(FROM, s.A4, s.B4).frame(), f"{FROM} > ff:ff:ff:ff:ff:ff: ARP who has {s.B4}, tell {s.A4}"),
    (ARP(2, FROM, s.A4, TO, s.B4).frame(), f"{MACS}: ARP {s.A4} is at {FROM}"),
    (ARP(9, FROM, s.A4, TO, s.B4).frame(), f"{MACS}: ARP operation 9"),
    (b"\x02", "malformed: Ethernet: there are 1 bytes, the header takes 14"),
]


@pytest.mark.parametrize(("frame", "expected"), FRAMES)
def test_describe_frame(frame: bytes, expected: str) -> None:
    """A frame is told in one line."""
    assert describe_frame(frame) == expected


@given(s.hostile)
def test_never_raises(octets: bytes) -> None:
    """Any bytes are told in one line of printable text."""
    for text in (describe(octets), describe_frame(octets)):
        assert text and text.isprintable()


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_buffers(kind: type) -> None:
    """Any buffer is told as its bytes are."""
    assert [describe(kind(packet)) for packet, _ in PACKETS] == [text for _, text in PACKETS]
    assert [describe_frame(kind(frame)) for frame, _ in FRAMES] == [text for _, text in FRAMES]
