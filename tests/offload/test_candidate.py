"""What cannot be merged: packets that are not whole, or say more than they may, and bad checksums."""

from __future__ import annotations

from typing import Any

import pytest

from aiotun.offload import coalesce
from aiotun.packet import TCPFlag

from . import packets as p

VERSIONS = pytest.mark.parametrize("version", [4, 6])


@VERSIONS
@pytest.mark.parametrize(
    "flags", [f for f in range(512) if f not in (0x10, 0x18)][::7] + [0, 0x11, 0x14, 0x12, 0x110, 0x08]
)
def test_D6_flags_pass_through(version: int, flags: int) -> None:
    """D6: a segment with flags other than ACK and PSH, or without ACK, is not merged, and ends what was open."""
    one, two, _, four = p.stream(version, [10] * 4)
    odd = p.tcp(version, b"\2" * 10, seq=120, flags=flags, ip=p.ident(version, 10))
    merged = coalesce([one, two, odd, four])
    assert p.sizes(merged) == [20, 10, 10] and merged[1] is odd
    assert p.sizes(coalesce([odd, four])) == [10, 10]


@VERSIONS
def test_D6_nothing_to_carry(version: int) -> None:
    """D6: a segment or datagram without payload is not merged, and what follows it does not get ahead of it."""
    one, two, three = p.stream(version, [10, 10, 10])
    ack = p.tcp(version, b"", seq=120)
    assert coalesce([one, two, ack, three])[1:] == [ack, three]
    for batch in (p.datagrams(version, [10, 0, 10]), p.datagrams(version, [0, 0])):
        assert coalesce(batch) == batch


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_D8_a_bad_checksum(version: int, protocol: str, which: int) -> None:
    """D8: a packet with a wrong checksum comes out as it is; those around it are merged if they follow each other."""
    batch = p.train(version, protocol, *[10] * 5)
    at = p.transport_of(batch[which]) + (17 if protocol == "tcp" else 7)
    batch[which] = p.patched(batch[which], at, bytes((batch[which][at] ^ 1,)))
    merged = coalesce(batch)
    assert p.sizes(merged) == {0: [10, 40], 1: [10, 10, 30], 2: [20, 10, 20]}[which]
    assert merged[min(which, 1)] is batch[which]
    assert p.cut(merged) == batch


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("which", [0, 1])
def test_C5_a_bad_header_checksum(protocol: str, which: int) -> None:
    """C5: neither is a packet merged whose IPv4 header checksum is wrong."""
    batch = p.train(4, protocol, 10, 10)
    batch[which] = p.patched(batch[which], 10, bytes((batch[which][10] ^ 1,)))
    assert coalesce(batch) == batch


def test_the_other_zero_is_no_good_checksum() -> None:
    """A checksum of 0xffff where it computes to 0 verifies, but cutting would write 0: not merged, save in UDP."""

    def zeroed(make: Any, at: int, **fields: Any) -> tuple[bytes, bytes]:
        """A packet whose checksum at *at* computes to 0, by a payload chosen so, with either zero."""
        packet = make(4, b"\0\0" + b"x" * 8, **fields)
        start = p.transport_of(packet) + (20 if make is p.tcp else 8)
        total = packet[at : at + 2]
        return (
            p.patched(p.patched(packet, start, total), at, b"\0\0"),
            p.patched(p.patched(packet, start, total), at, b"\xff\xff"),
        )

    one, other = p.stream(4, [10, 10])
    zero, ones = zeroed(p.tcp, 36, seq=110, ip={"identification": 9})
    assert len(coalesce([one, zero])) == 1 and p.cut(coalesce([one, zero])) == [one, zero]
    assert coalesce([one, ones]) == [one, ones]
    one, _ = p.datagrams(4, [10, 10])
    none, good = zeroed(p.udp, 26, ip={"identification": 9})
    assert coalesce([one, none]) == [one, none]
    assert len(coalesce([one, good])) == 1 and p.cut(coalesce([one, good])) == [one, good]


def test_the_other_zero_of_a_header() -> None:
    """The same for the IPv4 header's checksum."""
    one, other = p.stream(4, [10, 10], ident=0)
    total = int.from_bytes(one[10:12], "big")
    zero = [p.stream(4, [10], seq=100 + n * 10, ident=total - 1 + n)[0] for n in (0, 1, 2)]
    assert zero[1][10:12] == b"\0\0"
    assert p.cut(coalesce(zero)) == zero and len(coalesce(zero)) == 1
    ones = p.patched(zero[1], 10, b"\xff\xff")
    assert coalesce([zero[0], ones]) == [zero[0], ones]


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_C13_no_checksum_in_udp(version: int, protocol: str) -> None:
    """C13: a UDP datagram without a checksum, or with a length that is not its own, is not merged."""
    batch = p.train(version, "udp", 10, 10, 10)
    at = p.transport_of(batch[1])
    for place, octets in ((6, b"\0\0"), (4, b"\0\x08"), (4, b"\0\x13")):
        broken = p.patched(batch[1], at + place, octets)
        if place == 4:
            broken = p.fixed_transport(broken)
        assert coalesce([batch[0], broken, batch[2]]) == [batch[0], broken, batch[2]]


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_C4_padding(version: int, protocol: str) -> None:
    """C4: a packet with bytes beyond its IP length is not merged, which would lose them; nor one that lacks some."""
    one, two = p.train(version, protocol, 10, 10)
    for odd in (two + b"\0", two[:-1]):
        assert coalesce([one, odd]) == [one, odd]
        assert coalesce([odd, one]) == [odd, one]


@VERSIONS
def test_a_padded_frame_is_left_alone(version: int) -> None:
    """A frame padded to 60 bytes is not merged: cutting would not pad it again."""
    one, two = p.stream(version, [1, 1])
    link = p.link_header(version, 14)
    batch = [(link + one).ljust(80, b"\0"), (link + two).ljust(80, b"\0")]
    assert coalesce(batch, True) == batch


@VERSIONS
def test_every_cut_of_a_packet(version: int) -> None:
    """A packet cut anywhere is no candidate, even if its IP header says that it is whole."""
    for whole in (p.tcp(version, b"x", options=b"\x01" * 8), p.udp(version, b"x")):
        for size in range(len(whole)):
            cut = whole[:size]
            if size >= 6:
                length = size if version == 4 else max(0, size - 40)
                cut = p.patched(cut, 2 if version == 4 else 4, length.to_bytes(2, "big"))
            assert coalesce([cut, cut]) == [cut, cut]


@VERSIONS
@pytest.mark.parametrize(("doff", "merged"), [(0, 2), (4, 2), (5, 1), (9, 1), (10, 2), (11, 2), (15, 2)])
def test_C11_a_bad_data_offset(version: int, doff: int, merged: int) -> None:
    """C11: a TCP header that is too short, reaches beyond the packet, or up to its end, keeps it from being merged."""
    batch = []
    for number in (0, 1):
        packet = p.tcp(version, bytes(20), seq=100 + number * (40 - doff * 4), ip=p.ident(version, number))
        batch.append(p.fixed_transport(p.patched(packet, p.transport_of(packet) + 12, bytes((doff << 4,)))))
    assert len(coalesce(batch)) == merged


@VERSIONS
@pytest.mark.parametrize("byte", [0, 1])
def test_a_checksum_with_a_byte_of_zero(version: int, byte: int) -> None:
    """A UDP checksum is only "none" if both its bytes are 0."""
    one, _ = p.datagrams(version, [2, 2])
    at = p.transport_of(one) + 6
    plain = p.udp(version, b"\0\0", ip=p.ident(version, 9))
    wanted = 0x0034 if byte == 0 else 0x3400
    number = (int.from_bytes(plain[at : at + 2], "big") - wanted) % 0xFFFF
    other = p.udp(version, number.to_bytes(2, "big"), ip=p.ident(version, 9))
    assert int.from_bytes(other[at : at + 2], "big") == wanted
    assert len(coalesce([one, other])) == 1


@pytest.mark.parametrize("hop_limit", [6, 17, 0, 60])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("extensions", [b"", p.destination()])
def test_a_hop_limit_is_no_protocol(hop_limit: int, protocol: str, extensions: bytes) -> None:
    """The protocol of an IPv6 packet is where it should be, not in its neighbour."""
    ip = {"hop_limit": hop_limit, "extensions": extensions}
    if protocol == "tcp":
        batch = [p.tcp(6, b"x" * 10, seq=100 + number * 10, ip=ip) for number in (0, 1)]
    else:
        batch = [p.udp(6, b"x" * 10, ip=ip) for _ in (0, 1)]
    assert len(coalesce(batch)) == 1


@VERSIONS
def test_three_tags_pass_through(version: int) -> None:
    """Frames with two VLAN tags are merged, with three they are not: nothing cuts those again."""
    frames = [p.framed(packet, 22) for packet in p.stream(version, [10, 10])]
    assert len(coalesce(frames, True)) == 1
    deeper = [frame[:12] + b"\x81\0\0\x01" + frame[12:] for frame in frames]
    assert coalesce(deeper, True) == deeper


def test_hop_by_hop_options_come_first() -> None:
    """Packets with hop-by-hop options behind another header are not merged."""
    for extensions, count in ((p.hop_by_hop() + p.destination(), 1), (p.destination() + p.hop_by_hop(), 2)):
        assert len(coalesce([p.udp(6, b"x" * 10, ip={"extensions": extensions}) for _ in (0, 1)])) == count


@VERSIONS
def test_reserved_bits_pass_through(version: int) -> None:
    """A segment with reserved bits beside the data offset is not merged."""
    batch = [p.tcp(version, b"x" * 10, seq=100 + n * 10, flags=0x210, ip=p.ident(version, n)) for n in (0, 1)]
    assert coalesce(batch) == batch


def test_all_flags_of_the_kernel_are_known() -> None:
    """ACK and PSH are the bits they are taken for."""
    assert (TCPFlag.ACK, TCPFlag.ACK | TCPFlag.PSH) == (0x10, 0x18)
