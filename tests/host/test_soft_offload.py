"""Super-packets through a host in this process: in one piece from end to end, and finished for who wants packets."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offload import packets as p

from aiotun.endpoint import OFFLOAD, Endpoint, Opening
from aiotun.errors import PacketError, PacketTooBig, WouldBlock
from aiotun.host import SoftHost
from aiotun.offload import coalesce, segment
from aiotun.packet import ICMP, Ethernet, IPv4, Protocol, SuperPacket
from aiotun.testing import leave_checksum
from aiotun.testing.expect import drain

Open = Callable[..., Opening[Any]]

BIG = p.big(4)
SEGMENTS = segment(BIG)

both = pytest.mark.parametrize(
    ("open", "link"), [pytest.param(SoftHost.open_tun, 0, id="tun"), pytest.param(SoftHost.open_tap, 14, id="tap")]
)


async def two(host: SoftHost, open: Open, *, offload: bool = True) -> tuple[Endpoint, Endpoint]:
    """Two interfaces of a kind, the first with offload."""
    return await open(host, "one", offload=True), await open(host, "two", offload=offload)


# --- opening --------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("offload", "features"),
    [(True, OFFLOAD), (False, set()), ("tso", {"tso"}), (["uso", "tcp_gro"], {"uso", "tcp_gro"})],
)
async def test_opening(open: Open, link: int, offload: object, features: object) -> None:
    """An endpoint has super-packets if it was opened with a feature, and says which."""
    async with SoftHost() as host, open(host, offload=offload) as endpoint:
        assert (endpoint.superpackets, endpoint.offload) == (bool(features), features)


@both
async def test_an_unknown_feature(open: Open, link: int) -> None:
    """A feature that there is not is refused before anything is made."""
    async with SoftHost() as host:
        with pytest.raises(ValueError, match="'gso'"):
            open(host, offload="gso")
        assert not host.interfaces


@both
async def test_the_next_opening_has_its_own(open: Open, link: int) -> None:
    """An interface that outlives its endpoint has offload only while it is open with it."""
    async with SoftHost() as host:
        name = host.create("tun" if not link else "tap").name
        async with open(host, name, offload=True) as endpoint:
            assert endpoint.superpackets
        async with open(host, name) as endpoint:
            host.interface(name).output([p.big(4, link=link)])
            assert await endpoint.recv_many() == segment(p.big(4, link=link), link > 0)


# --- from end to end ------------------------------------------------------------------------------


@both
async def test_from_one_interface_to_another_it_stays_whole(open: Open, link: int) -> None:
    """What is sent into one and forwarded by the network sides to the other arrives as the very object."""
    packet = p.big(4, 60_000, 1400, link=link)
    async with SoftHost() as host:
        one, two_ = await two(host, open)
        near, far = host.network_side("one"), host.network_side("two")
        await one.send_many([packet, packet])
        await far.send_many(await near.recv_many(superpackets=True))
        received = await two_.recv_many(superpackets=True)
        assert [id(each) for each in received] == [id(packet)] * 2
        stages = host.interface("two").output.statistics().stages
        assert all(stage.created == 0 for stage in stages)


@both
async def test_to_an_interface_without_offload_it_is_cut_there(open: Open, link: int) -> None:
    """The forwarder has it whole; the interface that does not take it cuts it, in front of its queue."""
    packet = p.big(4, link=link)
    async with SoftHost() as host:
        one, plain = await two(host, open, offload=False)
        near, far = host.network_side("one"), host.network_side("two")
        await one.send(packet)
        await far.send_many(await near.recv_many(superpackets=True))
        assert await plain.recv_many() == segment(packet, link > 0)
        assert host.interface("two").counts.opackets == 4


@both
async def test_a_network_side_that_wants_packets(open: Open, link: int) -> None:
    """Without asking for super-packets the network side receives what they stand for, by its limit."""
    packet = p.big(4, link=link)
    async with SoftHost() as host:
        one, _ = await two(host, open)
        near = host.network_side("one")
        await one.send(packet)
        cut = segment(packet, link > 0)
        assert [await near.recv_many(3), await near.recv_many(3)] == [cut[:3], cut[3:]]
        with pytest.raises(WouldBlock):
            near.recv_nowait()


@both
async def test_closing_a_network_side_counts_the_rest(open: Open, link: int) -> None:
    """What was left of a super-packet when the network side closed is dropped there, packet by packet."""
    async with SoftHost() as host:
        one, _ = await two(host, open)
        near = host.network_side("one")
        await one.send(p.big(4, link=link))
        await near.recv_many(1)
        await near.aclose()
        assert near.statistics().dropped == {"closed": 3}


@both
async def test_waiting_for_room_for_the_segments(open: Open, link: int) -> None:
    """A network side sends a super-packet that will be cut only where there is room for all of it."""
    packet = p.big(4, link=link)
    async with SoftHost() as host, open(host, "one", queue_length=6) as plain:
        near = host.network_side("one")
        assert near.send_many_nowait([packet, packet]) == 1
        with pytest.raises(WouldBlock):
            near.send_nowait(packet)
        assert drain(plain) == segment(packet, link > 0)
        near.send_nowait(packet)
        assert host.interface("one").counters().dropped == {}


@both
async def test_more_segments_than_the_queue_holds(open: Open, link: int) -> None:
    """One that no empty queue has room for is refused, for it would be waited for ever."""
    async with SoftHost() as host, open(host, "one", queue_length=3):
        with pytest.raises(PacketTooBig, match="^one: .* more than the empty send queue takes$"):
            host.network_side("one").send_nowait(p.big(4, link=link))


@both
async def test_an_unsound_one_is_refused_at_the_network_side(open: Open, link: int) -> None:
    """What a kernel would refuse, a network side refuses."""
    async with SoftHost() as host, open(host, "one", offload=True):
        with pytest.raises(PacketError) as caught:
            host.network_side("one").send_nowait(p.with_fields(p.big(4, link=link), gso_size=0))
        assert caught.value.reason == "bad_gso_size"


# --- a bridge -------------------------------------------------------------------------------------


async def test_over_a_bridge() -> None:
    """A bridge forwards a frame whole; the member without offload gets its segments."""
    frame = p.big(4, 60_000, 1400, link=14)
    async with SoftHost() as host:
        one = await host.open_tap("one", offload=True)
        whole = await host.open_tap("two", offload=True)
        plain = await host.open_tap("three")
        bridge = host.bridge("br0", ["one", "two", "three"])
        await one.send(frame)
        assert (await whole.recv_many(superpackets=True))[0] is frame
        assert await plain.recv_many() == segment(frame, True)
        counted = bridge.statistics()
        assert [(counted[name].offered, counted[name].sent) for name in ("two", "three")] == [(1, 1), (1, 1)]


# --- the host's own stack -------------------------------------------------------------------------


async def test_a_protocol_receives_packets() -> None:
    """Whoever receives a protocol gets finished packets; the queue and the stack count the one that entered."""
    async with SoftHost() as host, host.open_tun(offload=True) as tun:
        protocol = host.protocol(socket.AF_INET)
        await tun.send(BIG)
        assert (protocol.statistics().queued, host.stack.statistics().delivered) == (1, 1)
        received = [await protocol.recv() for _ in range(3)]
        assert (received, protocol.statistics().queued) == (SEGMENTS[:3], 1)
        assert await protocol.recv_many() == SEGMENTS[3:]
        assert (protocol.statistics().taken, protocol.statistics().queued) == (1, 0)


async def test_a_protocol_out_of_frames() -> None:
    """A super-packet that came in a frame is taken out of it and then cut."""
    async with SoftHost() as host, host.open_tap(offload=True, mac="02:00:00:00:00:02") as tap:
        protocol = host.protocol(socket.AF_INET)
        frame = p.big(4, link=14)
        await tap.send(frame)
        assert await protocol.recv_many() == [packet[14:] for packet in segment(frame, True)]


async def test_iterating_over_a_protocol() -> None:
    """``async for`` gives the packets of super-packets, and ends when the queue is closed."""
    async with SoftHost() as host, host.open_tun(offload=True) as tun:
        protocol = host.protocol(socket.AF_INET)
        await tun.send_many([BIG, BIG])
        received: list[bytes] = []
        async for packet in protocol:
            received.append(packet)
            if len(received) == 6:
                protocol.close()
        assert received == SEGMENTS + SEGMENTS[:2]
        counted = protocol.statistics()
        assert (counted.offered, counted.taken, counted.queued, counted.dropped) == (2, 1, 0, {"closed": 1})


@pytest.mark.parametrize("link", [0, 14])
async def test_one_that_cannot_be_cut_ends_at_the_stack(link: int) -> None:
    """The stack drops it under its reason; the protocol never hears of it."""
    async with SoftHost() as host:
        one = (
            host.open_tap("one", offload=True, mac="02:00:00:00:00:02") if link else host.open_tun("one", offload=True)
        )
        endpoint = await one
        protocol = host.protocol(socket.AF_INET)
        packet = p.big(4, link=link)
        lying = p.with_fields(packet, csum_start=packet.csum_start + 2)
        await endpoint.send(lying)
        assert host.stack.statistics().dropped == {"bad_csum_off": 1}
        assert host.interface("one").counters().dropped == {"bad_csum_off": 1}
        assert protocol.statistics().offered == 0


async def test_an_echo_request_without_its_checksum() -> None:
    """The stack finishes the checksum of what it answers itself."""
    message = ICMP.echo_request(7, 1, b"ping").build()
    request = IPv4("10.0.0.9", "10.0.0.1", Protocol.ICMP, message).build()
    at = 22
    lacking = SuperPacket(request[:at] + b"\0\0" + request[at + 2 :], csum_start=20, csum_offset=2, needs_csum=True)
    async with SoftHost() as host, host.open_tun(address="10.0.0.1/24", offload=True) as tun:
        await tun.send(request)
        await tun.send(lacking)
        first, second = await tun.recv_many()
        assert first == second


async def test_the_host_sends_by_the_route() -> None:
    """host.send() takes super-packets: whole to an interface with offload, as packets to one without."""
    async with SoftHost() as host:
        one = await host.open_tun("one", address="10.1.4.1/24", offload=True)
        packet = p.big(4, 60_000, 1400)
        host.send(packet)
        assert (await one.recv_many(superpackets=True))[0] is packet
        await one.aclose()
        plain = await host.open_tun("two", address="10.1.4.1/24")
        host.send(BIG)
        assert await plain.recv_many() == SEGMENTS
        assert host.stack.statistics().sent == 2


async def test_the_host_sends_frames() -> None:
    """On a tap a super-packet waits for its neighbor in one piece, and then goes out in a frame."""
    async with SoftHost() as host:
        tap = await host.open_tap("one", address="10.1.4.1/24", offload=True, mac="02:00:00:00:00:01")
        host.send(BIG)
        assert host.stack.statistics().waiting == 1
        asked = Ethernet.parse(await tap.recv())
        answer = asked.payload[:6] + b"\0\2\2\0\0\0\0\2" + bytes((10, 1, 4, 2)) + asked.payload[8:18]
        await tap.send(Ethernet("02:00:00:00:00:01", "02:00:00:00:00:02", 0x0806, answer).build())
        host.send(BIG)
        frames = await tap.recv_many(superpackets=True)
        assert [type(frame) for frame in frames] == [SuperPacket, SuperPacket]
        assert [frame[14:] for frame in frames] == [BIG, BIG]
        assert [packet[14:] for packet in segment(frames[0], True)] == SEGMENTS


async def test_to_itself() -> None:
    """One to an address of the host enters it again, in one piece, and is received as packets."""
    async with SoftHost() as host, host.open_tun(address="10.1.4.2/24"):
        protocol = host.protocol(socket.AF_INET)
        host.send(BIG)
        assert host.stack.statistics().looped == 1
        assert await protocol.recv_many() == SEGMENTS


@pytest.mark.parametrize(
    ("packet", "error", "reason"),
    [
        (p.with_fields(BIG, gso_size=0), PacketError, "bad_gso_size"),
        (p.with_fields(BIG, csum_start=22), PacketError, "bad_csum_off"),
        (p.big(4, 6000, 2000), PacketTooBig, "too_big"),
    ],
)
async def test_what_the_host_does_not_send(packet: bytes, error: type[Exception], reason: str) -> None:
    """One that cannot be cut, and one whose segments are too long, are refused and counted."""
    async with SoftHost() as host, host.open_tun(address="10.1.4.1/24", offload=True) as tun:
        with pytest.raises(error):
            host.send(packet)
        assert host.stack.statistics().dropped == {reason: 1}
        assert drain(tun) == []


# --- everything -----------------------------------------------------------------------------------

MIXTURE = st.lists(
    st.sampled_from([p.tcp(4), leave_checksum(p.tcp(4)), BIG, p.big_udp(6), *coalesce(p.stream(6, [500] * 5))]),
    max_size=8,
)


@settings(deadline=None, max_examples=50)
@given(MIXTURE, st.booleans(), st.booleans(), st.integers(1, 9))
async def test_any_mixture_arrives(batch: list[bytes], first: bool, second: bool, limit: int) -> None:
    """Through two interfaces, with offload or without, the very packets arrive that were meant, in order."""
    async with SoftHost() as host:
        one = await host.open_tun("one", offload=first)
        other = await host.open_tun("two", offload=second)
        near, far = host.network_side("one"), host.network_side("two")
        await one.send_many(batch if first else p.cut(batch))
        while True:
            try:
                await far.send_many(near.recv_many_nowait(limit, superpackets=True))
            except WouldBlock:
                break
        received: list[bytes] = []
        while batch_ := drain(other):
            received += batch_
        assert received == p.cut(batch)
        assert set(map(type, received)) <= {bytes}
        for name in ("one", "two"):
            assert host.interface(name).counters().dropped == {}
