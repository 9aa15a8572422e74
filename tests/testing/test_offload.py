"""Packets as a stack leaves them to a device with offload."""

from __future__ import annotations

import pytest
from offload import packets as p

from aiotun.host import SoftHost
from aiotun.offload import coalesce, complete
from aiotun.packet import SuperPacket
from aiotun.pipeline import Path
from aiotun.testing import leave_checksum, unfinished

UNSUMMED = p.patched(p.udp(4), 26, b"\0\0")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("make", [p.tcp, p.udp])
@pytest.mark.parametrize("link", [0, 14, 18])
def test_completing_it_gives_the_packet(version: int, make: object, link: int) -> None:
    """A packet whose checksum was left out is that packet once it is completed, and not before."""
    assert callable(make)
    packet = make(version)
    whole = p.framed(packet, link) if link else packet
    left = leave_checksum(whole, link > 0)
    assert isinstance(left, SuperPacket) and left.needs_csum and not left.gso_type
    assert left != whole
    assert complete(left) == whole
    left.check(link > 0)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        p.tcp(4)[:30],
        p.wrap(4, 1, bytes(8)),
        p.wrap(4, 17, bytes(16), more_fragments=True),
        p.patched(p.tcp(4), 36, b"\1\1"),
        UNSUMMED,
        p.tcp(4) + b"padding",
    ],
    ids=["empty", "short", "icmp", "fragment", "wrong", "no checksum", "padding"],
)
def test_what_has_no_checksum_to_leave_out(packet: bytes) -> None:
    """A packet that is no whole TCP or UDP, or whose checksum is wrong or none, is the same object."""
    assert leave_checksum(packet) is packet


def test_a_super_packet_is_left_alone() -> None:
    """What is unfinished already stays as it is."""
    packet = p.big(4)
    assert leave_checksum(packet) is packet


def test_a_batch_leaves_as_from_a_kernel() -> None:
    """What follows each other becomes a super-packet, and the rest lacks its checksum; nothing counts as lost."""
    told: list[str] = []
    path = Path("p", [("unfinished", unfinished())], drop=lambda reason, count: told.append(reason))
    batch = [*p.stream(4, [100, 100]), p.udp(6)]
    found = path(batch)
    assert found == [*coalesce(batch[:2]), leave_checksum(batch[2])]
    assert p.cut(found) == batch
    assert (path.statistics().dropped, told) == ({"merged": 1}, [])


def test_one_at_a_time() -> None:
    """With at most one packet in each, only checksums are left out."""
    batch = p.stream(4, [100, 100])
    assert unfinished(max_segments=1)(batch) == [leave_checksum(packet) for packet in batch]


async def test_a_stack_that_emits_them() -> None:
    """In an interface's output path plain traffic comes out as of a kernel's device, and finished all the same."""
    batch = [*p.stream(4, [1000] * 5), p.udp(4)]
    async with SoftHost() as host, host.open_tun(offload=True) as tun:
        interface = host.interface(tun.name)
        interface.output.insert_before("ready", unfinished())
        interface.output(batch)
        whole = await tun.recv_many(superpackets=True)
        assert [getattr(packet, "gso_size", 0) for packet in whole] == [1000, 0]
        interface.output(batch)
        assert await tun.recv_many() == batch
