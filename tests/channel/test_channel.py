"""What every channel takes for a packet, and what it says once its peer is gone."""

from __future__ import annotations

import pytest

from aiotun import DeviceGone, PacketError, PacketTooBig
from aiotun.channel import memory_pair
from aiotun.packet import SuperPacket


async def test_any_bytes_are_a_packet() -> None:
    """From 1 byte to the mtu, whatever they are."""
    one, other = memory_pair(mtu=100)
    async with one, other:
        await one.send_many([b"\0", bytes(100)])
        assert await other.recv_many() == [b"\0", bytes(100)]


@pytest.mark.parametrize(
    ("packet", "error", "reason", "text"),
    [
        (b"", PacketError, "empty", "packet is empty"),
        (bytes(101), PacketTooBig, "too_big", "packet is 101 bytes, mtu is 100"),
        (SuperPacket(bytes(80), gso_type=1), PacketError, "superpacket", "a super-packet is not taken here; send what"),
    ],
)
async def test_what_is_none_is_refused(packet: bytes, error: type[Exception], reason: str, text: str) -> None:
    """What is no packet keeps its batch back; who forwards drops it by its reason."""
    one, other = memory_pair(mtu=100)
    async with one, other:
        with pytest.raises(error, match=f"^memory a: {text}"):
            await one.send_many([b"1", packet])
        await one.send_many([b"2", packet, b"3"], drop=True)
        assert await other.recv_many() == [b"2", b"3"]
        assert one.statistics().dropped == {reason: 1}


async def test_a_finished_super_packet_is_a_packet() -> None:
    """A SuperPacket that lacks nothing is sent like any bytes."""
    one, other = memory_pair()
    async with one, other:
        await one.send(SuperPacket(b"1"))
        assert await other.recv() == b"1"


async def test_waiting_after_the_end_says_why() -> None:
    """readable() and writable() of a channel whose peer is gone raise what receiving does."""
    one, other = memory_pair()
    async with one, other:
        await other.aclose()
        with pytest.raises(DeviceGone):
            await one.recv()
        for waiting in (one.readable(), one.writable()):
            with pytest.raises(DeviceGone, match="^memory a: the other end was closed$"):
                await waiting
