"""
The cases of the kernel's own test of UDP segmentation, as far as they are about segments.

tools/testing/selftests/net/udpgso.c in Linux. The one case left out sends a datagram over the MTU
without segmentation, and nothing is cut there.
"""

from __future__ import annotations

import pytest

from aiotun.errors import PacketError
from aiotun.offload import segment

from . import packets as p

MTU = 1500
SEGMENTS = 128
HEADERS = {4: 28, 6: 48}
MSS = {version: MTU - size for version, size in HEADERS.items()}
LARGEST = {4: 65535, 6: 65535 + 40}
"""The longest packet, in bytes: IPv6 does not count its header."""


def cases(version: int) -> list[tuple[int, int, int, int]]:
    """Payload, segment size (0 for none), how many full segments, and what is in the last that is not."""
    mss, room = MSS[version], LARGEST[version] - HEADERS[version]
    return [
        (1, 0, 0, 1),
        (mss, 0, 1, 0),
        (mss, mss, 1, 0),
        (mss + 1, mss, 1, 1),
        (mss * 2, mss, 2, 0),
        (mss * 2 + 1, mss, 2, 1),
        (room // mss * mss, mss, room // mss, 0),
        (room, mss, room // mss, room % mss),
        (1, 1, 1, 0),
        (2, 1, 2, 0),
        (5, 2, 2, 1),
        (SEGMENTS, 1, SEGMENTS, 0),
    ]


@pytest.mark.parametrize(
    ("version", "payload", "gso_size", "full", "rest"),
    [(version, *case) for version in (4, 6) for case in cases(version)],
)
def test_case(version: int, payload: int, gso_size: int, full: int, rest: int) -> None:
    """So many full datagrams come out, then the rest, and nothing more."""
    packet = p.udp(version, bytes(payload))
    super_packet = p.super_packet(packet, gso_size, gso_type=5 if gso_size else 0)
    super_packet.check()
    sizes = [gso_size or payload] * full + [rest] * (rest > 0)
    assert p.sizes(segment(super_packet)) == sizes


@pytest.mark.parametrize("version", [4, 6])
def test_more_than_a_packet_holds(version: int) -> None:
    """One byte more than the largest packet is no packet."""
    with pytest.raises(PacketError) as caught:
        p.udp(version, bytes(LARGEST[version] - HEADERS[version] + 1))
    assert caught.value.reason == "bad_length"


@pytest.mark.parametrize("version", [4, 6])
def test_more_segments_than_the_kernel_takes(version: int) -> None:
    """One segment more than 128 is refused where the kernel refuses it: at the device, not in cutting."""
    packet = p.super_packet(p.udp(version, bytes(SEGMENTS + 1)), 1)
    with pytest.raises(PacketError) as caught:
        packet.check()
    assert caught.value.reason == "bad_gso_size"
    assert len(segment(packet)) == SEGMENTS + 1
