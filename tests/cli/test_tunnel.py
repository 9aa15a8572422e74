"""The tunnel: what it lets through, what it refuses, and that it counts every packet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from aiotun import DeviceDown, DeviceGone, Endpoint, PacketTooBig, SoftHost
from aiotun.channel import UdpChannel, open_udp_pair
from aiotun.cli.replay import LIMIT
from aiotun.cli.tunnel import OVERHEAD, Tunnel, Way

KEY = bytes(range(32))
PACKETS = [bytes([0x45, n]) + bytes(n) for n in range(20)]


def ends(key: bytes = KEY) -> tuple[Tunnel, Tunnel]:
    """Return two ends that are never run."""
    nowhere: Endpoint = None  # type: ignore[assignment]
    return Tunnel(nowhere, nowhere, KEY, first=True), Tunnel(nowhere, nowhere, key, first=False)


def account(way: Way) -> tuple[int, dict[str, int]]:
    """Return what a way did not account for, and its drops."""
    return way.taken - way.passed - way.dropped.total(), dict(way.dropped)


# --- seal and unseal ------------------------------------------------------------------------------


def test_what_is_sealed_is_unsealed() -> None:
    """Both ways, packets come out as they went in."""
    one, other = ends()
    assert other.unseal(one.seal(PACKETS)) == PACKETS
    assert one.unseal(other.seal(PACKETS)) == PACKETS


def test_sealing_adds_24_bytes() -> None:
    """A counter of 8 bytes and a tag of 16."""
    assert [len(datagram) - len(packet) for datagram, packet in zip(ends()[0].seal(PACKETS), PACKETS, strict=True)] == [
        OVERHEAD
    ] * len(PACKETS)


def test_no_counter_is_used_twice() -> None:
    """The nonces of one direction count up over batches."""
    one, _ = ends()
    sealed = one.seal(PACKETS) + one.seal(PACKETS)
    assert [int.from_bytes(datagram[:8], "little") for datagram in sealed] == list(range(2 * len(PACKETS)))


def test_directions_have_keys_of_their_own() -> None:
    """The same packet under the same counter looks different each way, and does not pass for the other's."""
    one, other = ends()
    mine, theirs = one.seal([PACKETS[9]]), other.seal([PACKETS[9]])
    assert mine != theirs
    assert (one.unseal(mine), one.inbound.dropped) == ([], {"auth_failed": 1})


@pytest.mark.parametrize("place", [0, 7, 8, 20, -17, -16, -1])
def test_tampered(place: int) -> None:
    """One bit changed anywhere, counter included, is auth_failed, and the others come through."""
    one, other = ends()
    sealed = one.seal(PACKETS)
    forged = bytearray(sealed[10])
    forged[place] ^= 1
    assert other.unseal([*sealed[:10], bytes(forged), *sealed[11:]]) == PACKETS[:10] + PACKETS[11:]
    assert other.inbound.dropped == {"auth_failed": 1}


@pytest.mark.parametrize("size", [0, 1, 7, 8, 23])
def test_truncated_below_the_overhead(size: int) -> None:
    """Fewer bytes than counter and tag take are too_short."""
    one, other = ends()
    assert other.unseal([one.seal(PACKETS)[5][:size]]) == []
    assert other.inbound.dropped == {"too_short": 1}


def test_truncated_packet() -> None:
    """A datagram that lost its tail is auth_failed."""
    one, other = ends()
    assert other.unseal([one.seal([bytes(100)])[0][:-1]]) == []
    assert other.inbound.dropped == {"auth_failed": 1}


def test_replayed() -> None:
    """A datagram counts once, at once or later."""
    one, other = ends()
    sealed = one.seal(PACKETS)
    assert other.unseal(sealed + sealed[:3]) == PACKETS
    assert other.unseal(sealed[-1:]) == []
    assert other.inbound.dropped == {"replayed": 4}


def test_reordered() -> None:
    """Datagrams out of order within the window come through, each once."""
    one, other = ends()
    assert other.unseal(one.seal(PACKETS)[::-1]) == PACKETS[::-1]


def test_a_forged_counter_does_not_move_the_window() -> None:
    """A datagram that fails to authenticate cannot make genuine ones look old."""
    one, other = ends()
    sealed = one.seal(PACKETS)
    forged = (LIMIT - 1).to_bytes(8, "little") + sealed[0][8:]
    assert other.unseal([forged, *sealed]) == PACKETS


def test_wrong_key() -> None:
    """Nothing passes under another key."""
    one, other = ends(bytes(32))
    assert other.unseal(one.seal(PACKETS)) == []
    assert other.inbound.dropped == {"auth_failed": len(PACKETS)}


def test_a_key_wears_out() -> None:
    """After the last counter nothing is sent any more, and that is counted."""
    one, _ = ends()
    one._counter = LIMIT
    assert (one.seal(PACKETS[:2]), one.outbound.dropped) == ([], {"exhausted": 2})


def test_a_key_has_32_bytes() -> None:
    """Another length is refused with both numbers."""
    with pytest.raises(ValueError, match="a tunnel's key is 32 bytes, not 16"):
        Tunnel(None, None, bytes(16), first=True)  # type: ignore[arg-type]


# --- running --------------------------------------------------------------------------------------


@asynccontextmanager
async def rig() -> AsyncIterator[tuple[Endpoint, Tunnel, Endpoint, UdpChannel]]:
    """
    Yield the network side of a tun, a tunnel on it, the tun, and the far end of its channel.

    The channel's other end seals with ``ends()[1]``.
    """
    near, far = await open_udp_pair()
    async with near, far, SoftHost() as host, host.open_tun("tun0", mtu=100) as tun:
        side = host.network_side("tun0")
        yield side, Tunnel(tun, near, KEY, first=True), tun, far


async def until_taken(way: Way, count: int) -> None:
    """Wait until a way has taken so many packets and is done with them."""
    async with asyncio.timeout(10):
        while way.taken < count or account(way)[0]:
            await asyncio.sleep(0)


def packet(size: int) -> bytes:
    return b"\x45" + bytes(size - 1)


@asynccontextmanager
async def running(tunnel: Tunnel) -> AsyncIterator[None]:
    task = asyncio.create_task(tunnel.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_both_ways() -> None:
    """Packets go from the stack to the channel sealed, and from the channel to the stack unsealed."""
    async with rig() as (side, tunnel, _, far), running(tunnel):
        peer = ends()[1]
        await side.send(packet(60))
        assert peer.unseal([await far.recv()]) == [packet(60)]
        await far.send_many(peer.seal([packet(70)]))
        assert await side.recv() == packet(70)


async def test_a_bad_datagram_does_not_end_the_stream() -> None:
    """Garbage from the wire is counted, and the packet after it arrives."""
    async with rig() as (side, tunnel, _, far), running(tunnel):
        await far.send_many([b"x", bytes(100), *ends()[1].seal([packet(60)])])
        assert await side.recv() == packet(60)
        assert account(tunnel.inbound) == (0, {"too_short": 1, "auth_failed": 1})


@pytest.mark.parametrize(
    ("bad", "reason"), [(packet(101), "too_big"), (packet(19), "bad_packet"), (b"\x75" + bytes(50), "refused")]
)
async def test_a_packet_the_tun_refuses_is_dropped_alone(bad: bytes, reason: str) -> None:
    """Too long, too short or of no family: counted, and those before and after it arrive."""
    async with rig() as (side, tunnel, _, far), running(tunnel):
        good = [packet(60), packet(61), packet(62)]
        await far.send_many(ends()[1].seal([*good[:2], bad, good[2]]))
        received: list[bytes] = []
        while len(received) < 3:
            received += await side.recv_many()
        assert received == good
        await until_taken(tunnel.inbound, 4)
        assert account(tunnel.inbound) == (0, {reason: 1})


class Stubborn(Endpoint):
    """A channel in name only: refuses everything with one error."""

    __slots__ = ("error",)
    error: Exception

    async def send_many(self, batch: Sequence[bytes], *, drop: bool = False) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [(DeviceDown("it is down"), "down"), (PacketTooBig("it is too big"), "too_big")],
)
async def test_a_sink_that_refuses_all(error: Exception, reason: str) -> None:
    """Every packet of the batch is counted under what the endpoint said, and the tunnel goes on."""
    near, far = await open_udp_pair()
    async with near, far:
        sink = Stubborn(near._port)
        sink.error = error
        plain, inner = await open_udp_pair()
        async with plain, inner:
            tunnel = Tunnel(inner, sink, KEY, first=True)
            async with running(tunnel):
                await plain.send_many([packet(60)] * 3)
                await until_taken(tunnel.outbound, 3)
                assert account(tunnel.outbound) == (0, {reason: 3})
        await sink.aclose()


async def test_cancelled_while_the_channel_has_no_room() -> None:
    """A cancel in the middle of a batch: what was not sent is counted as closed."""
    near, far = await open_udp_pair()
    plain, inner = await open_udp_pair()
    async with near, far, plain, inner:
        waiting = asyncio.Event()
        sink = Full(near._port)
        sink.waiting = waiting
        tunnel = Tunnel(inner, sink, KEY, first=True)
        async with running(tunnel):
            await plain.send_many([packet(60)] * 3)
            await waiting.wait()
        assert account(tunnel.outbound) == (0, {"closed": 2})
        assert tunnel.outbound.passed == 1
        await sink.aclose()


class Full(Endpoint):
    """Sends one packet of each batch and then has no room for ever."""

    __slots__ = ("waiting",)
    waiting: asyncio.Event

    async def send_many(self, batch: Sequence[bytes], *, drop: bool = False) -> None:
        await super().send_many(batch[:1])
        self.waiting.set()
        await asyncio.Event().wait()


async def test_closing_an_endpoint_ends_it() -> None:
    """run() returns, quietly, once the tun is closed."""
    async with rig() as (_, tunnel, tun, _far):
        task = asyncio.create_task(tunnel.run())
        await asyncio.sleep(0)
        await tun.aclose()
        async with asyncio.timeout(10):
            await task


async def test_a_deleted_interface_is_loud() -> None:
    """run() raises DeviceGone once the interface is deleted under it."""
    near, far = await open_udp_pair()
    async with near, far, SoftHost() as host:
        tun = await host.open_tun("tun0")
        tunnel = Tunnel(tun, near, KEY, first=True)
        task = asyncio.create_task(tunnel.run())
        await asyncio.sleep(0)
        host.destroy("tun0")
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert caught.group_contains(DeviceGone)
