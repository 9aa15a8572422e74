"""A UDP channel that carries packets: super-packets in one piece on both sides, and datagrams in between."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
from offload import packets as p
from twins import only_c

import aiotun
from aiotun import PacketError, PacketTooBig, speedups
from aiotun.channel import UdpChannel, open_udp, open_udp_pair, udp_packet_port
from aiotun.channel.udp_packet_port import UdpPacketPort
from aiotun.endpoint.moderation import ModeratedReadiness
from aiotun.offload import segment
from aiotun.packet import SuperPacket

from .fake_socket import Calls, fake_socket

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="trains are Linux's")

BIG = p.big(4, 5000, 1000)
PIECES = segment(BIG)
PLAIN = p.tcp(4)
OTHER = p.big(6, 5000, 1000)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Have recv_packets() or send_packets() give these answers, and return a list of what each is called with."""

    def answer(name: str, *given: Any) -> list[Any]:
        left, calls = list(given), list[Any]()

        def call(*args: Any) -> Any:
            calls.append(args[1:])
            return left.pop(0)

        monkeypatch.setattr(udp_packet_port, name, call)
        return calls

    return answer


async def pair(**options: Any) -> tuple[UdpChannel, UdpChannel]:
    return await open_udp_pair(**{"carries": "ip", **options})


async def received(channel: UdpChannel, count: int, *, superpackets: bool = False) -> list[bytes]:
    """Receive until *count* segments are there."""
    packets: list[bytes] = []
    while len(p.cut(packets)) < count:
        packets += await channel.recv_many(superpackets=superpackets)
    return packets


async def until(done: Callable[[], bool]) -> None:
    """Let the loop go on until something is so."""
    while not done():
        await asyncio.sleep(0)


# --- the port: reading ----------------------------------------------------------------------------


@only_c
def test_what_goes_beyond_the_limit_waits(answers: Callable[..., list[Any]]) -> None:
    """Packets beyond the limit wait in the port, and come as packets, which is what read_many() gives."""
    answers("recv_packets", ([PLAIN, BIG], errno.EAGAIN, 6, 5240, 0, 0, 0))
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        assert (port.read_whole(1), port.more, port.ahead) == ([PLAIN], True, 1)
        assert (port.read_many(2), port.more) == (PIECES[:2], True)
        assert (port.read_whole(64), port.more) == (PIECES[2:], True)
        assert (port.read_many(64), port.more) == ([], False)


@only_c
def test_read_whole_reads_until_there_is_no_more(answers: Callable[..., list[Any]]) -> None:
    """A call that its limit ended leaves more; one that emptied the socket does not, and tells the moderation."""
    calls = answers("recv_packets", ([BIG], 0, 5, 5200, 0, 0, 0), ([PLAIN], errno.EAGAIN, 1, 40, 0, 0, 0))
    with fake_socket(Calls(), gro=True) as udp:
        port = UdpPacketPort(udp, "ethernet")
        assert (port.read_whole(64), port.more) == ([BIG], True)
        assert (port.read_whole(64), port.more) == ([PLAIN], False)
        assert (udp.received, udp.received_bytes) == (6, 5240)
    assert calls == [(256, True, True)] * 2


@only_c
def test_the_moderation_is_told_of_full_packets(
    answers: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A super-packet counts for as many packets as it stands for."""
    told: list[int] = []
    monkeypatch.setattr(ModeratedReadiness, "emptied", lambda readiness, packets: told.append(packets))
    answers("recv_packets", ([p.big(4, 14000, 1400)], errno.EAGAIN, 10, 14400, 0, 0, 0))
    with fake_socket(Calls()) as udp:
        UdpPacketPort(udp, "ip").read_whole(64)
    assert told == [10]


@only_c
def test_what_is_no_datagram_is_counted(answers: Callable[..., list[Any]]) -> None:
    """Empty ones, those cut off, and those there was no memory for have their reasons."""
    answers("recv_packets", ([], errno.ENOMEM, 0, 0, 1, 2, 3), ([], errno.EAGAIN, 0, 0, 0, 0, 0))
    with fake_socket(Calls()) as udp:
        assert UdpPacketPort(udp, "ip").read_whole(64) == []
        assert udp.dropped == {"empty": 1, "truncated": 2, "no_memory": 3}


@only_c
def test_a_report_is_no_end(answers: Callable[..., list[Any]]) -> None:
    """What the network reports of a datagram that was sent is heard, and the next packet received."""
    heard: list[bool] = []
    answers("recv_packets", ([], errno.ECONNREFUSED, 0, 0, 0, 0, 0), ([BIG], errno.EAGAIN, 5, 5200, 0, 0, 0))
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        udp.on_error = lambda: heard.append(True)
        assert (port.read_whole(64), heard) == ([BIG], [True])


@only_c
def test_a_broken_socket_is_raised(answers: Callable[..., list[Any]]) -> None:
    """What is wrong with the socket itself is an error, unless packets came first."""
    answers("recv_packets", ([BIG], errno.EBADF, 5, 5200, 0, 0, 0), ([], errno.EBADF, 0, 0, 0, 0, 0))
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        assert port.read_whole(64) == [BIG]
        with pytest.raises(aiotun.DeviceError, match="cannot receive"):
            port.read_whole(64)


def test_in_python_nothing_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where merging is not done in C packets come as they are: it would take longer than it saves."""
    monkeypatch.setattr(speedups, "active", False)
    with fake_socket(Calls(receive=[PIECES])) as udp:
        assert UdpPacketPort(udp, "ip").read_whole(64) == PIECES


# --- the port: writing ----------------------------------------------------------------------------


async def test_a_super_packet_goes_on_by_itself(answers: Callable[..., list[Any]]) -> None:
    """Without room in the middle of one it is sent, and the rest of it follows when there is room; it is kept once."""
    calls = answers("send_packets", (1, 3, errno.EAGAIN, 4, 3240), (0, 4, errno.EAGAIN, 1, 1040), (1, 0, 0, 1, 1040))
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        assert port.write_many([PLAIN, BIG, PLAIN]) == 2
        await until(lambda: len(calls) == 3)
        assert (udp.sent, udp.sent_bytes, port._rest) == (6, 5320, None)
        port.disarm()
    assert [(call[0], call[1]) for call in calls] == [([PLAIN, BIG, PLAIN], 0), ((BIG,), 3), ((BIG,), 4)]


def test_what_was_begun_goes_first(answers: Callable[..., list[Any]]) -> None:
    """Whoever sends next sends the rest of what was begun before, and nothing while there is no room for that."""
    calls = answers(
        "send_packets",
        (0, 3, errno.EAGAIN, 3, 3000),
        (0, 4, errno.EAGAIN, 1, 1000),
        (1, 0, 0, 1, 1000),
        (1, 0, 0, 5, 9),
    )
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        assert [port.write_many([BIG]), port.write_many([OTHER]), port.write_many([OTHER])] == [1, 0, 1]
    assert [(call[0], call[1]) for call in calls] == [([BIG], 0), ((BIG,), 3), ((BIG,), 4), ([OTHER], 0)]


def test_one_that_was_not_begun_is_not_sent(answers: Callable[..., list[Any]]) -> None:
    """Without room for its first segment a super-packet is the caller's as ever."""
    answers("send_packets", (1, 0, errno.EAGAIN, 1, 40))
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        assert (port.write_many([PLAIN, BIG]), port._rest) == (1, None)


def test_a_super_packet_may_be_sent_again(answers: Callable[..., list[Any]]) -> None:
    """The same object, sent a second time, is a second packet, from its beginning."""
    calls = answers("send_packets", (2, 0, 0, 10, 10000), (1, 0, 0, 5, 5000))
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        assert [port.write_many([BIG, BIG]), port.write_many([BIG])] == [2, 1]
    assert [call[1] for call in calls] == [0, 0]


def test_what_is_refused_is_sent_one_by_one(answers: Callable[..., list[Any]]) -> None:
    """The segments of a packet that was refused meet the socket one by one, and only those that it refuses are lost."""
    calls = answers("send_packets", (0, 2, errno.EIO, 2, 2000), (1, 0, 0, 1, 40))
    refusals = [errno.EMSGSIZE] * 2  # the first may be about an earlier datagram
    with fake_socket(Calls(send=refusals), gso=False) as udp:
        assert UdpPacketPort(udp, "ip").write_many([BIG, PLAIN]) == 2
        assert udp.dropped == {"message_too_big": 1}
        assert udp.sent == 2 + 2 + 1
    assert [(call[0], call[1]) for call in calls] == [([BIG, PLAIN], 0), ([PLAIN], 0)]


def test_no_room_for_those_that_go_one_by_one(answers: Callable[..., list[Any]]) -> None:
    """Without room there, too, the rest follows."""
    answers("send_packets", (0, 1, errno.EIO, 1, 1000))
    with fake_socket(Calls(send=[None, None, None, errno.EAGAIN]), gso=False) as udp:
        port = UdpPacketPort(udp, "ip")
        assert (port.write_many([BIG]), port._rest) == (1, (BIG, 4))


def test_no_room_for_the_first_of_them(answers: Callable[..., list[Any]]) -> None:
    """If none of its segments went the packet is the caller's."""
    answers("send_packets", (0, 0, errno.EIO, 0, 0))
    with fake_socket(Calls(send=[errno.EAGAIN]), gso=False) as udp:
        port = UdpPacketPort(udp, "ip")
        assert (port.write_many([BIG]), port._rest) == (0, None)


def test_many_segments_one_by_one_are_not_all_made_at_once(answers: Callable[..., list[Any]]) -> None:
    """Of a packet of thousands of segments 512 go; the rest follows, after the loop's turn."""
    answers("send_packets", (0, 0, errno.EIO, 0, 0))
    long = p.big(4, 3000, 1)
    with fake_socket(Calls(), gso=False) as udp:
        port = UdpPacketPort(udp, "ip")
        assert (port.write_many([long]), port._rest, udp.sent) == (1, (long, 512), 512)


@pytest.mark.parametrize("batch", [[PLAIN, BIG, PLAIN], [PLAIN, OTHER]])
def test_a_broken_socket_says_how_many_packets_went(answers: Callable[..., list[Any]], batch: list[bytes]) -> None:
    """An error's ``sent`` counts packets, not segments, and what was begun of the next one is given up."""
    answers("send_packets", (1, 2, errno.EPIPE, 3, 2040))
    with fake_socket(Calls(send=[None, errno.EPIPE]), gso=False) as udp:
        port = UdpPacketPort(udp, "ip")
        with pytest.raises(aiotun.DeviceError) as caught:
            port.write_many(batch)
        assert (caught.value.sent, port._rest) == (1, None)


def test_a_socket_that_breaks_in_what_was_begun(answers: Callable[..., list[Any]]) -> None:
    """What was begun is counted as lost, and of the new batch nothing went."""
    answers("send_packets", (0, 2, errno.EAGAIN, 2, 2000), (0, 2, errno.EPIPE, 0, 0))
    with fake_socket(Calls(send=[None, errno.EPIPE]), gso=False) as udp:
        port = UdpPacketPort(udp, "ip")
        port.write_many([BIG])
        with pytest.raises(aiotun.DeviceError) as caught:
            port.write_many([PLAIN])
        assert (caught.value.sent, udp.dropped.total(), port._rest) == (0, 1, None)


def test_a_report_is_heard(answers: Callable[..., list[Any]]) -> None:
    """What the network reports of an earlier datagram is heard, and the packet sent."""
    heard: list[bool] = []
    answers("send_packets", (0, 0, errno.ECONNREFUSED, 0, 0))
    with fake_socket(Calls(), gso=False) as udp:
        port = UdpPacketPort(udp, "ip")
        udp.on_error = lambda: heard.append(True)
        assert (port.write_many([BIG]), heard) == (1, [True])


def test_the_end_of_what_was_begun(answers: Callable[..., list[Any]]) -> None:
    """What there is no room for when the channel is closed is counted, and not sent to whoever has the number next."""
    answers("send_packets", (0, 2, errno.EAGAIN, 2, 2000), (0, 2, errno.EAGAIN, 0, 0))
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        port.write_many([BIG])
        port.close_now()
        assert (port.counters().dropped, port._rest) == ({"unsent": 1}, None)


async def test_a_watch_begun_anew_watches_for_what_was_begun(answers: Callable[..., list[Any]]) -> None:
    """When the network reports something the loop is asked anew, also for the rest of a super-packet."""
    calls = answers("send_packets", (0, 2, errno.EAGAIN, 2, 2000), (1, 0, 0, 3, 3000))
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        port.write_many([BIG])
        udp.on_error()
        await until(lambda: len(calls) == 2)
        port.disarm()


def test_what_cannot_be_cut_is_dropped() -> None:
    """A super-packet that cannot be cut is dropped under the word for that, and the others go."""
    with fake_socket(Calls()) as udp:
        port = UdpPacketPort(udp, "ip")
        bad = p.with_fields(BIG, csum_start=3)
        port._send = lambda batch, first: (0, 0, errno.EINVAL) if batch[0] is bad else (len(batch), 0, 0)  # type: ignore[method-assign]
        assert (port.write_many([bad, PLAIN]), list(udp.dropped.values())) == (2, [1])


def test_nothing_to_write() -> None:
    """An empty batch is sent at once."""
    with fake_socket(Calls()) as udp:
        assert UdpPacketPort(udp, "ip").write_many([]) == 0


# --- the channel ----------------------------------------------------------------------------------


@only_c
@pytest.mark.parametrize("gso", [True, False])
@pytest.mark.parametrize("gro", [True, False])
async def test_a_super_packet_arrives_as_one(gso: bool, gro: bool) -> None:
    """What is a super-packet on one side is one on the other, with the same fields, by trains or without."""
    one, other = await pair(gso=gso, gro=gro)
    async with one, other:
        await one.send_many([BIG, PLAIN])
        batch = await received(other, 6, superpackets=True)
        assert p.cut(batch) == [*PIECES, PLAIN]
        assert isinstance(batch[0], SuperPacket)
        assert (len(batch[0]), batch[0].gso_type, batch[0].gso_size) == (len(BIG), BIG.gso_type, BIG.gso_size)


async def test_who_does_not_ask_gets_packets() -> None:
    """Without superpackets=True packets come as they went over the wire."""
    one, other = await pair(gro=True)
    async with one, other:
        await one.send(BIG)
        assert await received(other, 5) == PIECES


async def test_frames() -> None:
    """A channel that carries frames cuts behind their Ethernet header."""
    big = p.big(6, 3000, 1000, link=18)
    one, other = await pair(carries="ethernet")
    async with one, other:
        await one.send(big)
        assert await received(other, 3) == segment(big, True)


@pytest.mark.parametrize("carries", ["ip", "ethernet", None])
async def test_what_a_channel_carries_can_be_asked(carries: Any) -> None:
    """A channel says what it was opened for, and still does when it is closed."""
    one, other = await pair(carries=carries)
    async with one, other:
        assert one.carries == carries
    assert one.carries == carries


async def test_a_channel_that_carries_anything_refuses_super_packets() -> None:
    """What is not said to be packets is not cut."""
    one, other = await pair(carries=None)
    async with one, other:
        assert not one.superpackets
        with pytest.raises(PacketError, match="segment"):
            await one.send(BIG)


async def test_segments_beyond_the_mtu_are_refused() -> None:
    """A super-packet whose segments are longer than the mtu is not sent, nor what it came with."""
    one, other = await pair(mtu=1000)
    async with one, other:
        with pytest.raises(PacketTooBig, match="segment of the super-packet is 1040 bytes, mtu is 1000"):
            await one.send_many([PLAIN, BIG])
        assert one.statistics().sent_packets == 0


async def test_an_unsound_one_is_refused() -> None:
    """A super-packet that no kernel would take is an error."""
    one, other = await pair()
    async with one, other:
        with pytest.raises(PacketError):
            await one.send(p.with_fields(BIG, gso_size=0))


async def test_only_bytes_are_packets() -> None:
    """A buffer that may change is refused, also where super-packets are taken."""
    one, other = await pair()
    async with one, other:
        with pytest.raises(TypeError):
            await one.send_many([BIG, bytearray(40)])  # type: ignore[list-item]


@pytest.mark.parametrize("carries", ["IP", "", True])
def test_what_a_channel_can_carry(carries: Any) -> None:
    """A channel carries "ip" or "ethernet", and nothing else."""
    with pytest.raises(ValueError, match="'ip' or 'ethernet'"):
        open_udp(None, ("127.0.0.1", 9), carries=carries)


@only_c
async def test_packets_read_ahead_outlive_the_channel() -> None:
    """Who is given the socket gets what was read from it before, as packets."""
    one, other = await pair(gro=True)
    async with one:
        await one.send_many([PLAIN, BIG])
        assert await other.recv_many(1, superpackets=True) == [PLAIN]
        os.close(other.detach_fd())
        assert other.recv_many_nowait(64) == PIECES


async def test_a_pump_between_two() -> None:
    """A pump carries super-packets from channel to channel, and its counts are of what it carried."""
    (left, a), (b, right) = await pair(gro=True), await pair(gro=True)
    async with left, a, b, right, aiotun.pump(a, b) as pump:
        for _ in range(20):
            await left.send_many([BIG, PLAIN])
            assert p.cut(await received(right, 6)) == [*PIECES, PLAIN]
        seen = pump.statistics().outbound
        assert seen.received == seen.sent
        assert not seen.dropped
