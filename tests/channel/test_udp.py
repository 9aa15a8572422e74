"""A UDP socket as an endpoint: batches, and faults that cost one datagram and a count."""

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest

from aiotun import DeviceClosed, DeviceError, DeviceGone, Event, EventKind, WouldBlock
from aiotun.channel import UdpChannel, open_udp, open_udp_pair

from .fake_socket import BLOCK, FakeSocket, refuse

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux counts what a socket buffer has no room for")


def dropped(fake_port: object) -> dict[str, int]:
    counters = fake_port.counters()  # type: ignore[attr-defined]
    return dict(counters.dropped)


# --- reading --------------------------------------------------------------------------------------


def test_read_many_drains_up_to_the_limit() -> None:
    """read_many() takes as many datagrams as it may, and leaves the others in the socket."""
    port = FakeSocket(recv=[b"1", b"2", b"3"]).port()
    assert [port.read_many(2), port.read_many(2), port.read_many(2)] == [[b"1", b"2"], [b"3"], []]


def test_an_empty_datagram_is_no_end() -> None:
    """A datagram of 0 bytes is dropped, counted, and hides none behind it (G7)."""
    port = FakeSocket(recv=[b"1", b"", b"2"]).port()
    assert (port.read_many(64), dropped(port)) == ([b"1", b"2"], {"empty": 1})


@pytest.mark.parametrize("code", [errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.EMSGSIZE])
def test_a_report_about_an_earlier_datagram_is_counted(code: int) -> None:
    """What the network reports about datagrams sent ends no batch (G1)."""
    port = FakeSocket(recv=[b"1", refuse(code), b"2"]).port()
    assert (port.read_many(64), dropped(port)) == ([b"1", b"2"], {"reported_lost": 1})


def test_reports_without_end_do_not_hold_the_loop() -> None:
    """A socket that only ever reports is tried no more than limit times."""
    fake = FakeSocket(recv=[refuse(errno.ECONNREFUSED)] * 100)
    fake.port().read_many(64)
    assert len(fake.recv_answers) == 36


def test_an_error_comes_after_what_was_read() -> None:
    """An error that is the socket's own is raised, and loses nothing read before it."""
    port = FakeSocket(recv=[b"1", refuse(errno.EBADF), refuse(errno.EBADF)]).port()
    assert port.read_many(64) == [b"1"]
    with pytest.raises(DeviceGone, match="udp fake: cannot receive: Bad file descriptor"):
        port.read_many(64)


@linux
def test_socket_overflow_is_a_drop_with_a_reason() -> None:
    """What the kernel had no room for is receive_buffer_full, also when its 32-bit counter wraps (G11)."""
    fake = FakeSocket()
    port = fake.port()
    fake.drops = 2**32 - 1
    port.counters()
    fake.drops = 4
    assert dropped(port) == {"receive_buffer_full": 2**32 + 4}


# --- writing --------------------------------------------------------------------------------------


def test_write_many_says_how_many_fit() -> None:
    """A socket without room ends the batch, and the count says where."""
    fake = FakeSocket(send=[None, None, BLOCK])
    assert fake.port().write_many([b"1", b"2", b"3"]) == 2


def test_refused_is_tried_again() -> None:
    """A send that fails for an earlier datagram's fate is repeated once, and goes out (G1)."""
    fake = FakeSocket(send=[refuse(errno.ECONNREFUSED)])
    port = fake.port()
    assert (port.write_many([b"1", b"2"]), fake.sent, dropped(port)) == (2, [b"1", b"2"], {"reported_lost": 1})


def test_refused_twice_is_dropped() -> None:
    """The second refusal costs the packet, and only that one."""
    fake = FakeSocket(send=[refuse(errno.ECONNREFUSED)] * 2)
    port = fake.port()
    assert (port.write_many([b"1", b"2"]), fake.sent) == (2, [b"2"])
    assert dropped(port) == {"reported_lost": 1, "refused": 1}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EMSGSIZE, "message_too_big"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.EPERM, "not_permitted"),
        (errno.EACCES, "not_permitted"),
        (errno.ENOBUFS, "no_memory"),
    ],
)
def test_a_packet_that_cannot_go_is_dropped(code: int, reason: str) -> None:
    """It is counted under its reason, and the packets around it go out (G3, G4, G5)."""
    fake = FakeSocket(send=[None, refuse(code)])
    port = fake.port()
    assert (port.write_many([b"1", b"2", b"3"]), fake.sent, dropped(port)) == (3, [b"1", b"3"], {reason: 1})


def test_too_big_tells_the_path_mtu() -> None:
    """EMSGSIZE publishes what the path carries: its mtu less 28 bytes of headers (G3)."""
    port = FakeSocket(send=[refuse(errno.EMSGSIZE)]).port()
    events: list[Event] = []
    port.watch(events.append)
    port.write_many([b"1"])
    assert events == [Event(EventKind.MTU, 1472)]


def test_an_error_of_the_socket_is_raised() -> None:
    """What is wrong with the endpoint itself goes to the caller, who learns what was sent (G6)."""
    port = FakeSocket(send=[None, refuse(errno.EINVAL)]).port()
    with pytest.raises(DeviceError, match="udp fake: cannot send: Invalid argument") as caught:
        port.write_many([b"1", b"2"])
    assert caught.value.sent == 1


# --- segments -------------------------------------------------------------------------------------


def test_a_run_of_one_size_is_one_call() -> None:
    """Packets of one size, and a shorter one after them, share a system call."""
    fake = FakeSocket(segments=True)
    fake.port().write_many([b"aa", b"bb", b"c", b"dd", b"eee", b"fff", b""])
    assert fake.calls == [3, 1, 2, 1]


def test_a_run_is_no_longer_than_a_datagram_may_be() -> None:
    """A run stays below 65507 bytes, and below 65 packets."""
    fake = FakeSocket(segments=True)
    fake.port().write_many([bytes(30000)] * 3 + [b"1"] * 65)
    assert fake.calls == [2, 2, 64]


def test_a_run_that_is_refused_goes_one_by_one() -> None:
    """Where the kernel takes no segments of a size, none is lost, and none is tried again."""
    fake = FakeSocket(segments=True, send=[refuse(errno.EINVAL)])
    port = fake.port()
    assert port.write_many([b"aa"] * 3) + port.write_many([b"bb"] * 3) == 6
    assert (fake.calls, dropped(port)) == ([1] * 6, {})


def test_an_unreachable_peer_costs_the_run() -> None:
    """Without a route every packet of the run is counted, and runs go on once there is one (G4)."""
    fake = FakeSocket(segments=True, send=[refuse(errno.ENETUNREACH)])
    port = fake.port()
    port.write_many([b"aa"] * 3)
    port.write_many([b"bb"] * 3)
    assert (fake.calls, dropped(port)) == ([3], {"unreachable": 3})


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
    """65508 bytes fit no datagram: dropped and counted, and the next one arrives (G3)."""
    one, other = await open_udp_pair()
    async with one, other:
        await one.send_many([bytes(65508), b"next"])
        assert await other.recv() == b"next"
        statistics = one.statistics()
        assert statistics.interface is not None
        assert (statistics.interface.ipackets, statistics.interface.dropped) == (1, {"message_too_big": 1})


async def test_a_peer_that_left_ends_nothing() -> None:
    """Nobody listening is reported, counted, and the channel works again when somebody does (G1)."""
    one, other = await open_udp_pair()
    async with one:
        here, there = (sock_name(channel) for channel in (one, other))
        await other.aclose()
        for packet in (b"lost", b"lost", b"lost"):
            await one.send(packet)
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


def sock_name(channel: UdpChannel) -> tuple[str, int]:
    with socket.socket(fileno=os.dup(channel.fileno())) as copy:
        host, port = copy.getsockname()
        return host, port
