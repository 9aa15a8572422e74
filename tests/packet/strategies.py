"""Hypothesis strategies: random values of every protocol, and hostile bytes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from aiotun.packet import (
    ARP,
    ICMP,
    TCP,
    UDP,
    VLAN,
    Ethernet,
    Fragment,
    ICMPv6,
    IPv4,
    IPv6,
    NeighborAdvertisement,
    NeighborSolicitation,
)


def uint(width: int) -> st.SearchStrategy[int]:
    """Integers of *width* bits."""
    return st.integers(0, (1 << width) - 1)


Address = IPv4Address | IPv6Address

payloads = st.binary(max_size=200)
addresses4 = st.ip_addresses(v=4)
addresses6 = st.ip_addresses(v=6)
unicast6 = addresses6.filter(lambda address: not address.is_multicast)
macs = st.binary(min_size=6, max_size=6)
options = st.integers(0, 10).flatmap(lambda words: st.binary(min_size=words * 4, max_size=words * 4))
pairs = st.one_of(st.tuples(addresses4, addresses4), st.tuples(addresses6, addresses6))

ipv4 = st.builds(
    IPv4,
    addresses4,
    addresses4,
    uint(8),
    payloads,
    ttl=uint(8),
    tos=uint(8),
    identification=uint(16),
    reserved=st.booleans(),
    dont_fragment=st.booleans(),
    more_fragments=st.booleans(),
    fragment_offset=st.integers(0, 8100),
    options=options,
)
ipv6 = st.builds(
    IPv6,
    addresses6,
    addresses6,
    st.integers(1, 255),
    payloads,
    hop_limit=uint(8),
    traffic_class=uint(8),
    flow_label=uint(20),
)
fragment = st.builds(
    Fragment,
    uint(8),
    st.integers(0, 20).flatmap(lambda words: st.binary(min_size=words * 8, max_size=words * 8)),
    identification=uint(32),
    fragment_offset=st.integers(0, 8100),
    more_fragments=st.booleans(),
)
tcp = st.builds(
    TCP,
    uint(16),
    uint(16),
    payloads,
    seq=uint(32),
    ack=uint(32),
    flags=uint(12),
    window=uint(16),
    urgent=uint(16),
    options=options,
)
udp = st.builds(UDP, uint(16), uint(16), payloads)
icmp = st.builds(ICMP, uint(8), uint(8), uint(32), payloads)
icmpv6 = st.builds(ICMPv6, uint(8), uint(8), uint(32), payloads)
solicitation = st.builds(NeighborSolicitation, unicast6, st.none() | macs)
advertisement = st.builds(
    NeighborAdvertisement,
    unicast6,
    st.none() | macs,
    router=st.booleans(),
    solicited=st.booleans(),
    override=st.booleans(),
)
vlan = st.builds(VLAN, uint(12), priority=uint(3), drop_eligible=st.booleans(), tpid=st.sampled_from((0x8100, 0x88A8)))
ethernet = st.builds(
    Ethernet,
    macs,
    macs,
    st.none() | st.integers(0x600, 0xFFFF).filter(lambda kind: kind not in (0x8100, 0x88A8)),
    payloads,
    vlans=st.lists(vlan, max_size=2).map(tuple),
)
arp = st.builds(ARP, uint(16), macs, addresses4, macs, addresses4)


def _packet(src: str, dst: str, protocol: int, payload: bytes) -> bytes:
    if ":" in src:
        return IPv6(src, dst, protocol, payload).build()
    return IPv4(src, dst, protocol, payload).build()


A4, B4 = "10.1.2.3", "10.4.5.6"
A6, B6 = "fd00::1:2", "fd00::3:4"
TCP4 = _packet(A4, B4, 6, TCP(1000, 80, b"hello", seq=1, options=b"\x02\x04\x05\xb4\x01\x03\x03\x07").build(A4, B4))
UDP4 = _packet(A4, B4, 17, UDP(1000, 53, b"hello").build(A4, B4))
ECHO4 = _packet(A4, B4, 1, ICMP.echo_request(7, 9, b"hello").build())
TCP6 = _packet(A6, B6, 6, TCP(1000, 80, b"hello", seq=1).build(A6, B6))
UDP6 = _packet(A6, B6, 17, UDP(1000, 53, b"hello").build(A6, B6))
ECHO6 = _packet(A6, B6, 58, ICMPv6.echo_request(7, 9, b"hello").build(A6, B6))
ASK6 = _packet(A6, B6, 58, NeighborSolicitation("fd00::9", "02:00:00:00:00:01").build(A6, B6))
SKIP6 = _packet(A6, B6, 0, b"\x3c\0" + bytes(6) + b"\x3a\0" + bytes(6) + ICMPv6.echo_request(1, 1).build(A6, B6))
PACKETS = (TCP4, UDP4, ECHO4, TCP6, UDP6, ECHO6, ASK6, SKIP6)
FRAMES = tuple(Ethernet(b"\2" * 6, b"\4" * 6, 0x800 if p[0] == 0x45 else 0x86DD, p).build() for p in PACKETS) + (
    ARP.request("02:00:00:00:00:01", A4, B4).frame(),
    Ethernet(b"\2" * 6, b"\4" * 6, 0x800, UDP4, vlans=(VLAN(1), VLAN(2))).build(),
    Ethernet(b"\2" * 6, b"\4" * 6, None, b"\xaa\xaa\x03").build(),
)


@st.composite
def _damaged(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """A good packet with a few bytes replaced, and cut or continued: what random bytes never get near to."""
    octets = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 4))):
        octets[draw(st.integers(0, min(60, len(octets) - 1)))] = draw(uint(8))
    return bytes(octets[: draw(st.integers(0, len(octets)))] if draw(st.booleans()) else octets) + draw(
        st.binary(max_size=8)
    )


hostile = st.one_of(st.binary(max_size=120), _damaged(PACKETS + FRAMES))
hostile_packets = st.one_of(st.binary(max_size=120), _damaged(PACKETS))
