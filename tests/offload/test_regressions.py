"""
What went wrong elsewhere: the offload bugs of wireguard-go, tailscale and Linux, and the edge cases, row by row.

The rows are X1 to X22 and D1 to D18. A test carries the rows it is about in its name; those of devices and
sockets are in other rooms.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from aiotun.offload import Segmenter, coalesce, complete, segment
from aiotun.packet import SuperPacket, find_transport, pack_vnet

from . import packets as p

VERSIONS = pytest.mark.parametrize("version", [4, 6])

ROOMS = ("offload", "packet", "linux", "kernel", "channel", "faults")


def rows_tested() -> set[str]:
    """Return the rows that a test is named after."""
    files = [file for room in ROOMS for file in (Path(__file__).parents[1] / room).glob("test_*.py")]
    names = [name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())]
    return {row for name in names for row in re.findall(r"_([XD]\d+)(?=_)", name)}


def test_every_row_is_tested() -> None:
    """Each of the 40 rows has a test with its name."""
    rows = {f"X{number}" for number in range(1, 23)} | {f"D{number}" for number in range(1, 19)}
    assert rows - rows_tested() == set()


@pytest.mark.parametrize("flags", [{"more_fragments": True}, {"fragment_offset": 1}, {"reserved": True}])
@pytest.mark.parametrize("make", [p.tcp, p.udp])
def test_X1_the_fragment_bits(flags: dict[str, Any], make: Any) -> None:
    """X1: MF, any offset and the reserved bit each keep a packet from being merged; DF does not."""
    size = 12 if make is p.tcp else 16  # a multiple of 8 with the header: this is not the last fragment
    fields: list[dict[str, Any]] = [{"seq": 100 + n * size} if make is p.tcp else {} for n in (0, 1)]
    for more, count in ((flags, 2), ({"dont_fragment": True}, 1)):
        batch = [make(4, b"x" * size, ip={"identification": n, **more}, **fields[n]) for n in (0, 1)]
        assert len(coalesce(batch)) == count


def test_X1_the_families_are_apart() -> None:
    """X1: IPv4 and IPv6 packets with the same ports and numbers are two flows, and two types of super-packet."""
    four, six = p.stream(4, [10, 10]), p.stream(6, [10, 10])
    merged = coalesce([four[0], six[0], four[1], six[1]])
    assert [vars(packet)["gso_type"] for packet in merged] == [1, 4]
    assert p.cut(merged) == four + six


def test_X2_ipv4_options_are_never_merged() -> None:
    """X2: packets with IPv4 options are not merged, not even if those are the same."""
    batch = [p.tcp(4, b"x" * 10, seq=100 + n * 10, ip={"identification": n, "options": b"\x01" * 4}) for n in (0, 1)]
    assert coalesce(batch) == batch


def test_X3_a_packet_that_leaves_the_trains_has_no_header() -> None:
    """X3: a packet with a bad checksum amid a train is written with a header of zeros, like any that stayed alone."""
    batch = p.stream(4, [10, 10, 10, 10])
    batch[1] = p.patched(batch[1], 36, b"\x12\x34")
    headers = [pack_vnet(packet) for packet in coalesce(batch)]
    assert headers[:2] == [bytes(10)] * 2
    assert headers[2][0] == 1 and len(headers) == 3


@VERSIONS
def test_X13_fragments_are_not_verified(version: int) -> None:
    """X13: the parts of a datagram, whose checksum no part can satisfy, come through as the same objects."""
    body = p.udp(version, bytes(range(200)))[20 if version == 4 else 40 :]
    parts = [body[at : at + 64] for at in range(0, len(body), 64)]
    if version == 4:
        batch = [
            p.wrap(4, 17, part, identification=7, fragment_offset=at * 8, more_fragments=at < 3)
            for at, part in enumerate(parts)
        ]
    else:
        batch = [
            p.wrap(6, 17, part, extensions=b"\x2c\0" + (at * 64 | (at < 3)).to_bytes(2, "big") + b"\0\0\0\7")
            for at, part in enumerate(parts)
        ]
    assert all(packet is other for packet, other in zip(coalesce(batch), batch, strict=True))


def test_X14_what_is_to_be_cut_is_said_by_its_type() -> None:
    """X14: bytes taken from a super-packet are plain: a stage that changes them cannot pass on what no longer fits."""
    (merged,) = coalesce(p.stream(4, [10, 10]))
    assert type(merged) is SuperPacket
    assert type(merged[:]) is type(merged + b"") is type(bytes(merged)) is bytes
    assert segment(merged[:]) == [merged[:]]


def test_X14_room_is_made_for_every_segment() -> None:
    """X14: one super-packet of 64 KiB in segments of one byte gives all of them."""
    packet = p.super_packet(p.tcp(4, bytes(65495)), 1)
    assert len(segment(packet)) == 65495


@VERSIONS
def test_X15_batches_share_nothing(version: int) -> None:
    """X15: what one batch left open the next does not continue."""
    one, two = p.stream(version, [10, 10])
    assert coalesce([one]) + coalesce([two]) == [one, two]
    assert coalesce([one]) == [one]


def test_X16_small_segments_end_nothing() -> None:
    """X16: a super-packet of more segments than asked for is given in chunks; what is behind it follows."""
    packet = p.super_packet(p.tcp(4, bytes(1000)), 1)
    segmenter = Segmenter()
    segmenter.put([packet, b"behind"])
    chunks = [segmenter.take(300) for _ in range(4)]
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 101]
    assert chunks[-1][-1] == b"behind"


@VERSIONS
@pytest.mark.parametrize("make", [p.tcp, p.udp])
@pytest.mark.parametrize("hdr_len", [0, 1, 500, 1028, 65535])
def test_X17_hdr_len_is_not_looked_at(version: int, make: Any, hdr_len: int) -> None:
    """X17, C20: whatever hdr_len says, of the whole first packet or of nothing, the segments are the same."""
    packet = p.super_packet(make(version, bytes(range(250)) * 4), 300)
    assert segment(p.with_fields(packet, hdr_len=hdr_len)) == segment(packet)


def test_X19_payload_length_counts_extension_headers() -> None:
    """X19: a segment's IPv6 payload length is all that follows the 40 bytes of its header."""
    packet = p.super_packet(p.tcp(6, bytes(1000), ip={"extensions": p.destination()}), 300)
    assert packet.csum_start == 48
    for part in segment(packet):
        assert int.from_bytes(part[4:6], "big") == len(part) - 40
        assert part[40:48] == packet[40:48]
        assert find_transport(part).protocol == 6


@VERSIONS
def test_X20_no_segment_has_a_udp_checksum_of_zero(version: int) -> None:
    """X20: where a segment's UDP checksum computes to 0 it is 0xffff; of 65536 datagrams one does."""
    start = p.udp(version, b"\0\0")
    at = p.transport_of(start) + 6
    # The checksum of the datagram that carries nothing but zeros, carried by it, makes its sum 0xffff.
    total = start[at : at + 2]
    packet = p.super_packet(p.udp(version, total + b"ab" + total), 2)
    parts = segment(packet)
    assert [part[at : at + 2] for part in (parts[0], parts[2])] == [b"\xff\xff"] * 2
    assert parts[1][at : at + 2] not in (b"\0\0", b"\xff\xff")
    assert parts[0] == p.udp(version, total)


def test_X21_lengths_near_their_limit() -> None:
    """X21: an IPv6 payload length of up to 65535 is taken for what it says, with nothing that wraps."""
    for payload in (65495, 65496, 65515):
        packet = p.super_packet(p.tcp(6, bytes(payload)), 30000)
        assert p.sizes(segment(packet)) == [30000, 30000, payload - 60000]
        wrapped = SuperPacket(p.patched(packet, 4, ((payload + 60) & 0xFFFF).to_bytes(2, "big")), **vars(packet))
        assert p.refused(wrapped) == ("bad_length" if payload + 60 & 0xFFFF != payload + 20 else "")


@VERSIONS
@pytest.mark.parametrize("size", [1, 2, 299, 300, 301, 599, 600, 601])
def test_D11_the_last_segment(version: int, size: int) -> None:
    """D11: the last segment carries what is left, of odd size or even; identifications go over 0xffff."""
    for make in (p.tcp, p.udp):
        ip = {"identification": 0xFFFF} if version == 4 else {}
        packet = p.super_packet(make(version, bytes(at % 251 for at in range(size)), ip=ip), 300)
        parts = segment(packet)
        assert p.sizes(parts) == [300] * (size // 300) + [size % 300] * (size % 300 > 0)
        assert b"".join(map(p.payload_of, parts)) == p.payload_of(packet)
        if version == 4:
            assert [int.from_bytes(part[4:6], "big") for part in parts] == [0xFFFF, 0, 1][: len(parts)]


@VERSIONS
def test_D12_headers_are_copied_whole(version: int) -> None:
    """D12: every segment has the TCP options, 40 bytes of them, and IPv4 options or extension headers before them."""
    ip: dict[str, Any] = (
        {"options": b"\x01" * 40} if version == 4 else {"extensions": p.hop_by_hop(40) + p.destination()}
    )
    packet = p.super_packet(p.tcp(version, bytes(50), options=bytes(range(40)), ip=ip), 20)
    network = (60 if version == 4 else 88) + 20
    for part in segment(packet):
        assert part[network : network + 40] == bytes(range(40))
        assert part[20 if version == 4 else 40 : network - 20] == packet[20 if version == 4 else 40 : network - 20]


@VERSIONS
@pytest.mark.parametrize("make", [p.tcp, p.udp])
def test_D13_a_packet_of_this_machine(version: int, make: Any) -> None:
    """D13: a packet with gso_type NONE and NEEDS_CSUM, as all local ones are, an ACK too, is only completed."""
    for payload in (b"", b"x" * 100):
        packet = make(version, payload)
        local = p.super_packet(packet, 0, gso_type=0, hdr_len=0)
        assert segment(local) == [complete(local)] == [packet]


@VERSIONS
def test_D14_coalescing_changes_nothing_that_was_given(version: int) -> None:
    """D14: whoever is cancelled between coalescing and writing still has every packet as it was."""
    batch = p.stream(version, [10, 10, 5])
    copies = [bytes(bytearray(packet)) for packet in batch]
    coalesce(batch)
    assert batch == copies
