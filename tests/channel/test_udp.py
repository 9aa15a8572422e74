"""A UDP socket as an endpoint: batches, trains, and a peer that comes and goes."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys

import pytest

from aiotun import DeviceClosed, Event, EventKind, PacketError, PacketTooBig, WouldBlock
from aiotun.channel import UdpChannel, UdpPort, open_udp, open_udp_pair
from aiotun.endpoint import Report
from aiotun.endpoint.moderation import ModeratedReadiness
from aiotun.testing.expect import parked, turns

from .fake_socket import Calls, fake_socket
from .reported import reported

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux counts what a socket buffer has no room for")


# --- the port -------------------------------------------------------------------------------------


@linux
def test_read_many_takes_no_more_than_the_limit() -> None:
    """What a train has beyond the limit waits in the port, in order, and is no part of what is drained."""
    calls = Calls(receive=[[b"%d" % number for number in range(5)], [b"5", b"6"]])
    with fake_socket(calls) as udp:
        port = UdpPort(udp)
        assert (port.read_many(2), port.more) == ([b"0", b"1"], True)
        assert (port.read_many(1), port.more, port.ahead) == ([b"2"], True, 2)
        assert (port.read_many(4), port.more) == ([b"3", b"4", b"5", b"6"], False)
    assert calls.limits == [2, 2]


@linux
def test_a_batch_with_room_for_trains_has_them_whole() -> None:
    """Where trains may come, the last one of a batch is not parted: no other begins that might not fit."""
    calls = Calls(receive=[[bytes(1400)] * 195, [bytes(1400)] * 5])
    with fake_socket(calls, gro=True) as udp:
        port = UdpPort(udp)
        assert (len(port.read_many(256)), port.ahead, port.more) == (195, 0, True)
        assert (len(port.read_many(256)), port.more) == (5, False)
    assert calls.limits == [193, 193]


@linux
def test_a_small_batch_may_part_a_train() -> None:
    """Where hardly one train has room, a batch is as long as was asked for."""
    calls = Calls(receive=[[bytes(1400)] * 45, [bytes(1400)] * 45])
    with fake_socket(calls, gro=True) as udp:
        port = UdpPort(udp)
        assert (len(port.read_many(64)), port.ahead, port.more) == (45, 0, False)
        assert (len(port.read_many(40)), port.ahead, port.more) == (40, 5, True)
    assert calls.limits == [64, 40]


@linux
@pytest.mark.parametrize(("gso", "burst"), [(True, 256), (False, 64)])
def test_more_is_sent_at_a_time_where_it_goes_as_trains(gso: bool, burst: int) -> None:
    """With UDP_SEGMENT the loop waits for 256 datagrams, which take no longer than 64 single ones."""
    with fake_socket(Calls(), gso=gso) as udp:
        assert UdpPort(udp).burst == burst


@linux
def test_the_socket_read_empty_tells_how_many_full_datagrams_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read that leaves nothing tells the readiness what it gave, by which that knows a stream; no other does."""
    told: list[int] = []
    monkeypatch.setattr(ModeratedReadiness, "emptied", lambda readiness, packets: told.append(packets))
    with fake_socket(Calls(receive=[[bytes(1400)] * 3, [bytes(52)] * 3])) as udp:
        port = UdpPort(udp)
        for limit in (3, 4, 4):
            port.read_many(limit)
    assert told == [0, 0]
    with fake_socket(Calls(receive=[[bytes(1400)] * 3])) as udp:
        UdpPort(udp).read_many(4)
    assert told == [0, 0, 3]


@linux
def test_write_many_says_how_many_fit() -> None:
    """A socket without room ends the batch, and the count says where."""
    with fake_socket(Calls(send=[None, None, 11]), gso=False) as udp:
        port = UdpPort(udp)
        calls = [port.write_many(batch) for batch in ([b"1"], [b"2"], [b"3"], [])]
    assert calls == [1, 1, 0, 0]


# --- real sockets ---------------------------------------------------------------------------------


async def test_datagrams_arrive_whole_and_in_order() -> None:
    """What one channel sends the other receives, packet for packet."""
    one, other = await open_udp_pair()
    async with one, other:
        batch = [bytes([n]) * (1 + n % 7) for n in range(200)]
        await one.send_many(batch)
        received: list[bytes] = []
        while len(received) < len(batch):
            received += await other.recv_many()
        assert received == batch


@linux
async def test_every_datagram_is_received_or_counted() -> None:
    """A flood that the receiver does not keep up with: sent = received + receive_buffer_full."""
    one, other = await open_udp_pair()
    async with one, other:
        await one.send_many([bytes(1400)] * 12000)
        sent, lost = one.statistics().interface, other.statistics().interface
        assert sent is not None and lost is not None
        waiting = 0
        while True:
            try:
                waiting += len(other.recv_many_nowait())
            except WouldBlock:
                break
        assert lost.dropped["receive_buffer_full"] > 0
        assert sent.ipackets == waiting + lost.dropped["receive_buffer_full"]


async def test_a_datagram_too_long_is_dropped_alone() -> None:
    """65508 bytes fit no datagram: refused, or dropped and counted, and the next one arrives (G3)."""
    one, other = await open_udp_pair()
    async with one, other:
        with pytest.raises(PacketTooBig, match="packet is 65508 bytes, mtu is 65507"):
            await one.send(bytes(65508))
        await one.send_many([bytes(65508), b"next"], drop=True)
        assert await other.recv() == b"next"
        statistics = one.statistics()
        assert (statistics.sent_packets, statistics.dropped) == (1, {"too_big": 1})


async def test_a_peer_that_left_ends_nothing() -> None:
    """Nobody listening is reported, counted, and the channel works again when somebody does (G1)."""
    one, other = await open_udp_pair()
    async with one:
        here, there = (sock_name(channel) for channel in (one, other))
        await other.aclose()
        for packet in (b"lost", b"lost", b"lost"):
            await one.send(packet)
            if sys.platform == "linux":
                reported(one.fileno())
        statistics = one.statistics()
        assert statistics.interface is not None
        assert (statistics.sent_packets, statistics.interface.dropped) == (3, {"reported_lost": 2})
        async with open_udp(there, here) as again:
            await again.send(b"here")
            assert await one.recv() == b"here"


async def test_a_closed_channel_ends_its_iteration() -> None:
    """aclose() ends ``async for`` and refuses everything after."""
    one, other = await open_udp_pair()
    await other.aclose()
    await one.aclose()
    assert [packet async for packet in one] == []
    with pytest.raises(DeviceClosed):
        await one.send(b"1")


@linux
async def test_a_train_is_received_in_parts() -> None:
    """With gro what came in one piece is taken in batches of any size, nothing waits unseen, and all of it arrives."""
    one, other = await open_udp_pair(gro=True)
    async with one, other:
        batch = [bytes([number]) * 20 for number in range(60)]
        await one.send_many(batch)
        first = await other.recv_many(7)
        await other.readable()
        assert first + [other.recv_nowait()] + await other.recv_many(1000) == batch


@linux
async def test_a_detached_socket_has_no_trains() -> None:
    """Who takes the descriptor receives datagrams, not trains, and what was read ahead stays with the channel (D16)."""
    one, other = await open_udp_pair(gro=True)
    async with one:
        batch = [bytes([number]) * 20 for number in range(8)]
        await one.send_many(batch)
        assert await other.recv_many(3) == batch[:3]
        with socket.socket(fileno=other.detach_fd()) as sock:
            await one.send_many([b"abcd"] * 2)
            assert [sock.recv(100), sock.recv(100)] == [b"abcd"] * 2
        assert other.recv_many_nowait(64) == batch[3:]
        with pytest.raises(DeviceClosed):
            other.recv_nowait()


@linux
async def test_a_closed_port_is_an_event() -> None:
    """That nobody listens is told on events(), with who says so, and ends nothing (G1)."""
    one, other = await open_udp_pair()
    async with one:
        peer = one.peer_address
        await other.aclose()
        events = one.events()
        await one.send(b"1")
        reported(one.fileno())
        with pytest.raises(WouldBlock):
            one.recv_nowait()
        assert await anext(events) == Event(EventKind.REPORTED, Report(peer, 111, "127.0.0.1"))


@linux
async def test_an_error_that_somebody_else_took_does_not_spin() -> None:
    """What is left in the error queue without its errno is taken by the receiver that it wakes, who waits on."""
    one, other = await open_udp_pair()
    async with one:
        await other.aclose()
        events = one.events()
        task = await parked(one.recv())
        with socket.socket(fileno=os.dup(one.fileno())) as sock:
            sock.send(b"1")
            reported(sock.fileno())
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert (await anext(events)).kind is EventKind.REPORTED
        with socket.socket(fileno=os.dup(one.fileno())) as sock:
            assert select.select([sock], [], [], 0) == ([], [], [])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@linux
@pytest.mark.parametrize("first", ["send", "recv"])
async def test_a_receiver_goes_on_after_a_report(first: str) -> None:
    """Whoever takes a report, the receiver that waits is not left unwatched: uvloop stops polling at an error."""
    one, other = await open_udp_pair()
    async with one:
        here, there = (sock_name(channel) for channel in (one, other))
        task = await parked(one.recv())
        await other.aclose()
        await one.send(b"1")
        if first == "send":
            await one.send(b"2")
        else:
            await turns()
        async with open_udp(there, here) as again:
            await again.send(b"3")
            assert await task == b"3"


@pytest.mark.parametrize(("packet", "error"), [(b"", PacketError), ("text", TypeError), (bytearray(4), TypeError)])
async def test_what_is_no_packet_is_refused(packet: bytes, error: type[Exception]) -> None:
    """An empty packet, and what is not bytes, is refused before anything of its batch is sent (G7)."""
    one, other = await open_udp_pair()
    async with one, other:
        with pytest.raises(error, match=one.name):
            await one.send_many([b"1", packet])
        assert one.statistics().sent_packets == 0


async def test_a_channel_knows_its_peer_and_path() -> None:
    """A channel says who its peer is, and the longest datagram that goes there in one piece."""
    one, other = await open_udp_pair()
    async with other:
        async with one:
            assert (one.local_address, one.peer_address) == (sock_name(one), sock_name(other))
            if sys.platform == "linux":
                assert one.path_mtu == 65507
        for gone in ("local_address", "peer_address", "path_mtu", "gso", "gro"):
            with pytest.raises(DeviceClosed):
                getattr(one, gone)


def sock_name(channel: UdpChannel) -> tuple[str, int]:
    with socket.socket(fileno=os.dup(channel.fileno())) as copy:
        host, port = copy.getsockname()
        return host, port
