"""Offload against the kernel: it cuts what we cut, refuses what we refuse, and takes what we merge."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from offload import packets as p
from offload.oracle import differences
from offload.refusals import disagreements
from offload.rig import LARGEST, Kernel, kernel
from offload.trains import random_batch
from offload.tunnels import in_tunnel, random_tunnel

from aiotun.offload import coalesce, complete, segment
from aiotun.packet import SuperPacket

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module", params=[False, True], ids=["tun", "tap"])
def judge(request: pytest.FixtureRequest) -> Iterator[tuple[Kernel, bool]]:
    with kernel(ethernet=request.param) as rig:
        yield rig, request.param


@pytest.mark.parametrize("seed", range(3))
def test_the_kernel_cuts_the_same_segments(judge: tuple[Kernel, bool], seed: int) -> None:
    """Random super-packets leave the other device in the segments that segment() makes, byte for byte."""
    rig, ethernet = judge
    assert list(differences(rig, seed, 200, ethernet)) == []


@pytest.mark.parametrize("seed", range(2))
def test_the_kernel_refuses_the_same_fields(judge: tuple[Kernel, bool], seed: int) -> None:
    """C19 to C24: where check() refuses a packet the kernel answers EINVAL, and nowhere else."""
    rig, ethernet = judge
    assert list(disagreements(rig, seed, 1000, ethernet)) == []


def test_the_kernel_takes_what_was_merged(judge: tuple[Kernel, bool]) -> None:
    """What coalesce() makes of random batches comes back from the kernel as the packets that went in."""
    rig, ethernet = judge
    rng = random.Random(5)
    merged = 0
    for _ in range(60):
        batch = [packet for packet in random_batch(rng, ethernet) if type(packet) is bytes and survives(rig, packet)]
        for packet in coalesce(batch, ethernet):
            if isinstance(packet, SuperPacket) and not packet.fixed_id:
                merged += 1
                parts = p.cut([packet], ethernet)
                assert rig.forward(packet) == [came for part in parts for came in rig.forward(part)]
    assert merged > 100


@pytest.mark.parametrize("seed", range(3))
def test_the_kernel_cuts_the_same_segments_in_tunnels(seed: int) -> None:
    """
    Random super-packets in tunnels leave the bridge in the segments that segment() makes, byte for byte.

    But one of a lone segment, of which the kernel leaves the outer checksum as it is.
    """
    rng, compared = random.Random(seed), 0
    with kernel(ethernet=True) as rig:
        for _ in range(100):
            packet = random_tunnel(rng, link=rng.choice((14, 18, 22)))
            packet.check(ethernet=True)
            segments = segment(packet, ethernet=True)
            if len(segments) > 1 and len(packet) <= LARGEST:
                assert rig.forward(packet) == segments
                compared += 1
    assert compared > 50


def test_a_tun_takes_no_tunnel() -> None:
    """A tun wants room for an Ethernet header in front of the outer headers, which there is not."""
    with kernel() as rig:
        for packet in (in_tunnel(p.big(4), 4), in_tunnel(p.big(4), 6)):
            with pytest.raises(OSError, match="Invalid argument"):
                rig.forward(packet)


def test_the_kernel_refuses_the_same_tunnels() -> None:
    """Where check() refuses a frame in a tunnel the kernel answers EINVAL, and nowhere else."""
    with kernel(ethernet=True) as rig:
        assert list(disagreements(rig, 1, 2000, True, tunnels=True)) == []


def survives(rig: Kernel, packet: bytes) -> bool:
    """Whether the kernel forwards the packet at all."""
    try:
        return len(rig.forward(packet)) == 1
    except OSError:
        return False


def test_a_tcp_checksum_of_zero(judge: tuple[Kernel, bool]) -> None:
    """Where a lone TCP checksum computes to 0 both write the other zero, 0xffff."""
    rig, ethernet = judge
    link = p.link_header(4, 14 if ethernet else 0)
    start = p.tcp(4, b"\0\0", ip={"ttl": 9})
    packet = p.super_packet(p.tcp(4, start[36:38], ip={"ttl": 9}), 0, link=link, gso_type=0)
    at = len(link) + 36
    (theirs,), ours = rig.forward(packet), complete(packet)
    assert theirs[at : at + 2] == b"\xff\xff"
    assert theirs[len(link) + 12 :] == ours[len(link) + 12 :]


def test_a_fixed_identification_counts_up_in_the_kernel(judge: tuple[Kernel, bool]) -> None:
    """The vnet header has no room for fixed_id: identifications that stay, which needs DF, come back counting up."""
    rig, ethernet = judge
    link = p.link_header(4, 14 if ethernet else 0)
    ip = {"identification": 7, "dont_fragment": True}
    batch = [link + p.tcp(4, b"x" * 10, seq=100 + n * 10, ip=ip) for n in range(3)]
    (merged,) = coalesce(batch, ethernet)
    at = len(link) + 4
    assert [part[at : at + 2] for part in p.cut([merged], ethernet)] == [b"\0\7"] * 3
    assert [part[at : at + 2] for part in rig.forward(merged)] == [b"\0\7", b"\0\x08", b"\0\x09"]


def test_nothing_is_left() -> None:
    """The rig's devices go with it, and this process is in the network it came from."""
    before = Path("/proc/thread-self/ns/net").readlink(), socket.if_nameindex()
    with kernel():
        assert {name for _, name in socket.if_nameindex()} == {"lo", "source", "sink"}
    assert (Path("/proc/thread-self/ns/net").readlink(), socket.if_nameindex()) == before
