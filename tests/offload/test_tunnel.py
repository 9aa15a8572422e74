"""Super-packets in tunnels: what is inside is cut, and the outer headers fit each segment."""

from __future__ import annotations

import random
from typing import Any

import pytest

from aiotun.offload import Segmenter, complete, segment
from aiotun.packet import GSO_ECN, GSO_UDP_TUNNEL, SuperPacket, find_transport, ones_sum, pseudo_sum

from . import packets as p
from .tunnels import in_tunnel, random_tunnel

SEEDS = pytest.mark.parametrize("seed", range(8))
OUTER = pytest.mark.parametrize("version", [4, 6])
INNER = pytest.mark.parametrize("inside", [4, 6])


def outer_udp(packet: bytes) -> tuple[int, bytes, int]:
    """Return where the outer UDP header is, it and all behind it, and the sum over its pseudo-header."""
    at = find_transport(packet).offset
    src, dst = (packet[12:16], packet[16:20]) if packet[0] >> 4 == 4 else (packet[8:24], packet[24:40])
    return at, packet[at:], pseudo_sum(src, dst, 17, len(packet) - at)


@OUTER
@INNER
@pytest.mark.parametrize("make", [p.big, p.big_udp])
def test_the_inner_packet_is_cut(make: Any, inside: int, version: int) -> None:
    """Behind the outer headers are the segments of the inner packet, and in front of each the tunnel's own bytes."""
    inner = make(inside, 1000, 300)
    packet = in_tunnel(inner, version)
    segments = segment(packet)
    front, at = packet.inner_nh_offset, packet.outer_th_offset
    assert [one[front:] for one in segments] == segment(inner)
    assert {one[at + 8 : front] for one in segments} == {packet[at + 8 : front]}
    assert {type(one) for one in segments} == {bytes}


@OUTER
def test_the_outer_lengths(version: int) -> None:
    """The outer IP header and the outer UDP header have the length of their segment."""
    for one in segment(in_tunnel(p.big(4, 1000, 300), version)):
        at, datagram, _ = outer_udp(one)
        assert int.from_bytes(datagram[4:6], "big") == len(datagram)
        length = int.from_bytes(one[2:4] if version == 4 else one[4:6], "big")
        assert length == (len(one) if version == 4 else len(one) - 40)


@OUTER
def test_the_outer_checksums(version: int) -> None:
    """The outer UDP checksum is right, and so is that of an outer IPv4 header."""
    for one in segment(in_tunnel(p.big(6, 1001, 300), version)):
        _, datagram, pseudo = outer_udp(one)
        assert ones_sum(datagram, pseudo) == 0xFFFF
        assert version == 6 or ones_sum(one[:20]) == 0xFFFF


@OUTER
def test_no_outer_checksum(version: int) -> None:
    """Where the outer UDP header has none, 0, no segment has."""
    assert {outer_udp(one)[1][6:8] for one in segment(in_tunnel(p.big(4), version, csum=False))} == {b"\0\0"}


def test_both_identifications_count_up() -> None:
    """The outer IPv4 identification counts up like the inner one, past its end too."""
    packet = in_tunnel(p.big(4, 1000, 300, ip={"identification": 7}), identification=0xFFFE)
    inner = packet.inner_nh_offset + 4
    assert [(one[4:6], one[inner : inner + 2]) for one in segment(packet)] == [
        (b"\xff\xfe", b"\0\7"), (b"\xff\xff", b"\0\x08"), (b"\0\0", b"\0\x09"), (b"\0\1", b"\0\x0a"),
    ]  # fmt: skip


def test_some_at_a_time() -> None:
    """Segments that are asked for in parts are those of the whole, identifications included."""
    packet = in_tunnel(p.big(4, 1000, 100))
    assert [one for first in range(0, 12, 3) for one in segment(packet, False, first, 3)] == segment(packet)
    segmenter = Segmenter()
    segmenter.put([packet])
    assert segmenter.take(4) + segmenter.take(99) == segment(packet)


@SEEDS
def test_frames_are_cut_like_packets(seed: int) -> None:
    """With an Ethernet header in front, tags or not, the segments are the same behind it."""
    packet = random_tunnel(random.Random(seed))
    for size in (14, 18, 22):
        link = p.link_header(packet[0] >> 4, size)
        assert segment(packet.moved(link + packet, size), True) == [link + one for one in segment(packet)]


def test_a_tag_that_the_offsets_leave_out() -> None:
    """A VLAN tag that the kernel writes itself is counted in csum_start alone; the segments are the same."""
    link = p.link_header(4, 18)
    packet = in_tunnel(p.big(4), link=link)
    fields = {name: getattr(packet, name) - 4 for name in ("outer_th_offset", "inner_nh_offset")}
    assert segment(p.with_fields(packet, **fields), True) == segment(packet, True)


@OUTER
@pytest.mark.parametrize("csum", [False, True])
def test_one_segment_alone(version: int, csum: bool) -> None:
    """A super-packet of one segment has its checksums finished, by segment() and by complete()."""
    packet = in_tunnel(p.big(4, 100, 300), version, csum=csum)
    (one,) = segment(packet)
    assert complete(packet) == one
    assert complete(p.big(4, 100, 300)) == one[packet.inner_nh_offset :]


def test_longest_segment() -> None:
    """The longest packet that it stands for has all headers, outer and inner."""
    packet = in_tunnel(p.big(4, 1000, 300))
    assert packet.longest_segment == max(map(len, segment(packet)))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"gso_type": 1 | GSO_UDP_TUNNEL}, "bad_gso_type"),
        ({"gso_type": 0x20}, "bad_gso_type"),
        ({"gso_type": 0x23}, "bad_gso_type"),
        ({"needs_csum": False}, "bad_gso_type"),
        ({"gso_type": 0x41}, "bad_version"),
        ({"gso_type": 0x24}, "bad_version"),
        ({"gso_type": 0x25}, "bad_protocol"),
        ({"outer_th_offset": 16}, "bad_tunnel"),
        ({"outer_th_offset": 21}, "bad_tunnel"),
        ({"inner_nh_offset": 27}, "bad_tunnel"),
        ({"inner_nh_offset": 70}, "bad_tunnel"),
        ({"inner_nh_offset": 28}, "bad_version"),
        ({"csum_start": 71}, "bad_csum_off"),
        ({"gso_size": 0}, "bad_gso_size"),
    ],
)
def test_fields_that_do_not_fit(fields: dict[str, Any], reason: str) -> None:
    """Fields that the bytes do not agree with are refused with their reason."""
    packet = in_tunnel(p.big(4))
    assert (packet.outer_th_offset, packet.inner_nh_offset, packet.csum_start) == (20, 50, 70)
    assert p.refused(p.with_fields(packet, **fields)) == reason


@pytest.mark.parametrize(
    ("at", "octets", "reason"),
    [(9, b"\6", "bad_protocol"), (0, b"\x44", "bad_ihl"), (6, b"\x20", "bad_fragment"), (0, b"\x55", "bad_version")],
)
def test_outer_headers_that_do_not_fit(at: int, octets: bytes, reason: str) -> None:
    """An outer header that no tunnel can have is refused with its reason."""
    packet = in_tunnel(p.big(4))
    assert p.refused(SuperPacket(p.patched(packet, at, octets), **vars(packet))) == reason


@pytest.mark.parametrize("size", [0, 19, 20, 27, 49, 69])
def test_a_packet_that_is_cut_off(size: int) -> None:
    """A packet that ends within its headers is refused."""
    packet = in_tunnel(p.big(4))
    assert p.refused(SuperPacket(packet[:size], **vars(packet))) in {"short_header", "bad_length", "bad_ihl"}


def test_the_outer_lengths_are_not_trusted() -> None:
    """Outer lengths that lie, as those of more than 16 bits must, change nothing."""
    packet = in_tunnel(p.big(4))
    assert segment(SuperPacket(p.patched(packet, 2, b"\0\1"), **vars(packet))) == segment(packet)


def test_cwr_is_on_the_first() -> None:
    """GSO_ECN is of the inner TCP."""
    packet = in_tunnel(p.big(4, flags=0x90))
    segments = segment(p.with_fields(packet, gso_type=packet.gso_type | GSO_ECN))
    assert segments == segment(packet)
    assert [one[packet.csum_start + 13] & 0x80 for one in segments] == [0x80, 0, 0, 0]
