"""A stream socket as an endpoint: bounded memory, writes that are whole, and ends that are told."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun import DeviceClosed, DeviceError, DeviceGone, EventKind, PacketError, PacketTooBig, WouldBlock
from aiotun.channel import StreamBroken, StreamChannel, adopt_stream, open_stream_pair
from aiotun.channel.stream import READ_SIZE, WRITE_SIZE, StreamPort
from aiotun.channel.stream_framing import LengthFraming
from aiotun.endpoint.busy import BULK, BusyPoll
from aiotun.testing import watched_fds
from aiotun.testing.expect import parked, turns

PACKET = bytes(range(256)) * 5
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


def encoded(*packets: bytes) -> bytes:
    return LengthFraming("", 65535).encode(packets)


@asynccontextmanager
async def beside_a_socket(mtu: int = 65535) -> AsyncIterator[tuple[StreamChannel, socket.socket]]:
    """A channel, and its peer's end as a plain socket that does not wait."""
    near, far = socket.socketpair()
    far.setblocking(False)
    with far:
        async with adopt_stream(near, mtu=mtu) as channel:
            yield channel, far


@contextmanager
def over_tcp() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as near:
        far, _ = listener.accept()
        with far:
            yield near, far


class SlowSocket:
    """Takes as many bytes at each send() as a test told it to, then none."""

    def __init__(self, *room: int) -> None:
        self.room = list(room)
        self.written = bytearray()

    def fileno(self) -> int:
        return -1

    def send(self, text: bytes) -> int:
        room = self.room.pop(0) if self.room else 0
        if not room:
            raise BlockingIOError(errno.EAGAIN, "full")
        self.written += text[:room]
        return min(room, len(text))

    def port(self) -> StreamPort:
        return StreamPort(self, "slow", 65535, LengthFraming("slow", 65535))  # type: ignore[arg-type]


class DrippingSocket(SlowSocket):
    """Always has one more byte to read."""

    reads = 0

    def recv(self, size: int) -> bytes:
        self.reads += 1
        return b"\x01"


# --- reading --------------------------------------------------------------------------------------


def test_bytes_that_make_no_packet_do_not_hold_the_loop() -> None:
    """One batch reads 16 times at most, whatever comes (E17)."""
    dripping = DrippingSocket()
    assert (dripping.port().read_many(64), dripping.reads) == ([], 16)


# --- writing --------------------------------------------------------------------------------------


def test_a_batch_is_one_write() -> None:
    """Packets of up to 64 KiB together are given to the socket at once."""
    slow = SlowSocket(1 << 20)
    assert slow.port().write_many([PACKET] * 50) == 50
    assert slow.written == encoded(*[PACKET] * 50)


def test_what_is_begun_is_bounded() -> None:
    """A socket without room has at most 64 KiB and one packet begun, and no more is taken until they left."""
    slow = SlowSocket(1)
    port = slow.port()
    taken = port.write_many([bytes(1400)] * 1000)
    assert taken == -(-WRITE_SIZE // 1400)
    assert port.write_many([bytes(1400)]) == 0
    assert len(port._tail) == taken * 1402 - 1


@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=40),
    room=st.lists(st.integers(0, 5000), max_size=60),
)
def test_partial_writes_keep_packets_whole(sizes: list[int], room: list[int]) -> None:
    """However little the socket takes at a time, the stream is the packets that were said to be sent, in order."""
    packets = [bytes([index % 256]) * size for index, size in enumerate(sizes)]
    slow = SlowSocket(*room)
    port = slow.port()
    sent = 0
    while slow.room:
        sent += port.write_many(packets[sent:])
        if sent == len(packets) and not port._tail:
            break
    stream = encoded(*packets[:sent])
    assert bytes(slow.written) + bytes(port._tail) == stream


def test_every_cut_of_a_write_goes_on_where_it_stopped() -> None:
    """A write that stops at any byte of two packets goes on with the next byte."""
    stream = encoded(b"abc", b"de")
    for cut in range(1, len(stream)):
        slow = SlowSocket(cut, len(stream))
        port = slow.port()
        assert (port.write_many([b"abc", b"de"]), port.write_many(())) == (2, 0)
        assert slow.written == stream


async def test_the_rest_is_written_by_the_loop() -> None:
    """What was begun leaves when the peer reads, though nobody sends or waits any more."""
    async with beside_a_socket() as (channel, far):
        sent = 0
        with pytest.raises(WouldBlock):
            while True:
                sent += channel.send_many_nowait([PACKET] * 64)
        received = LengthFraming("far", 65535)
        count = 0
        while count < sent:
            try:
                received.feed(far.recv(1 << 16))
            except BlockingIOError:
                await turns(1)
            count += len(received.take(1 << 16))
        assert (count, received.held) == (sent, 0)


@pytest.mark.parametrize(("size", "rests"), [(100, 0), (BULK, 1)])
async def test_bulk_lets_a_busy_loop_sleep(size: int, rests: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read of many bytes is told of as a stream's, one of few is not."""
    told: list[BusyPoll] = []
    monkeypatch.setattr(BusyPoll, "rest", lambda poll: told.append(poll))
    async with beside_a_socket() as (channel, far):
        channel.busy_poll = 1
        far.send(encoded(bytes(size)))
        await channel.recv()
        assert len(told) == rests


async def test_send_waits_for_a_slow_reader() -> None:
    """send() waits while the peer takes nothing, and loses nothing when it goes on (F2)."""
    one, other = open_stream_pair()
    async with one, other:
        sender = await parked(one.send_many([number.to_bytes(2, "big") + bytes(1000) for number in range(2000)]))
        received: list[bytes] = []
        while len(received) < 2000:
            received += await other.recv_many()
        await sender
        assert [int.from_bytes(packet[:2], "big") for packet in received] == list(range(2000))


async def test_a_slow_reader_costs_one_read() -> None:
    """Of a peer that sends without end, at most one read of 64 KiB and a part of a packet is held (F2)."""
    async with beside_a_socket() as (channel, far):
        stream = encoded(*[bytes(1400)] * 1000)
        with pytest.raises(BlockingIOError):
            while True:
                far.send(stream)
        for _ in range(100):
            channel.recv_nowait()
            assert channel._port._framing.held <= READ_SIZE + 1402  # type: ignore[attr-defined]


async def test_writable_means_that_all_was_written() -> None:
    """writable() waits until what was begun has left."""
    async with beside_a_socket() as (channel, far):
        with pytest.raises(WouldBlock):
            while True:
                channel.send_many_nowait([PACKET] * 64)
        waiting = await parked(channel.writable())
        while not waiting.done():
            try:
                far.recv(1 << 20)
            except BlockingIOError:
                pass
            await turns(1)
        assert len(channel._port._tail) == 0  # type: ignore[attr-defined]


# --- what a packet is -----------------------------------------------------------------------------


async def test_what_may_be_sent() -> None:
    """A packet is 1 to mtu bytes; the text of a refusal has both numbers, and nothing of the batch is sent."""
    async with beside_a_socket(mtu=100) as (channel, far):
        with pytest.raises(PacketTooBig, match="^unix pair: packet is 101 bytes, mtu is 100$"):
            await channel.send_many([b"1", bytes(101)])
        with pytest.raises(PacketError, match="^unix pair: packet is empty$"):
            await channel.send_many([b"1", b""])
        await channel.send(bytes(100))
        assert far.recv(1000) == encoded(bytes(100))


# --- ends -----------------------------------------------------------------------------------------


async def test_a_clean_end_comes_after_what_was_sent() -> None:
    """What the peer sent before it closed is received, then DeviceGone says that it closed."""
    async with beside_a_socket() as (channel, far):
        far.send(encoded(b"1", b"2"))
        far.close()
        assert await channel.recv_many() == [b"1", b"2"]
        with pytest.raises(DeviceGone, match="^unix pair: the peer closed the connection$") as caught:
            await channel.recv()
        assert type(caught.value) is DeviceGone


async def test_an_end_inside_a_packet_is_broken() -> None:
    """A stream that ends inside a packet is StreamBroken, after what was whole."""
    async with beside_a_socket() as (channel, far):
        far.send(encoded(b"1", b"2222")[:-1])
        far.close()
        assert await channel.recv() == b"1"
        with pytest.raises(StreamBroken, match="inside a packet, after 5 of 6 bytes$"):
            await channel.recv()


async def test_a_bad_length_ends_a_waiting_receiver() -> None:
    """A receiver that waits learns of a bad length at once, though the peer says nothing more, and so does the next."""
    async with beside_a_socket(mtu=100) as (channel, far):
        far.send(encoded(b"1") + b"\x00\x65")
        assert await channel.recv() == b"1"
        for _ in range(2):
            with pytest.raises(StreamBroken, match="length of 101, it is 1 to 100 here"):
                await channel.recv()
        with pytest.raises(StreamBroken, match="length of 101"):
            await channel.send(b"1")
        with pytest.raises(StreamBroken, match="length of 101"):
            await channel.readable()


async def test_the_peer_learns_of_a_bad_length_at_once() -> None:
    """A stream that is broken is ended towards the peer too, though the channel is not closed yet."""
    async with beside_a_socket() as (channel, far):
        far.send(b"\0\0")
        with pytest.raises(StreamBroken):
            await channel.recv()
        assert far.recv(1) == b""


async def test_an_iteration_ends_loudly() -> None:
    """``async for`` raises DeviceGone when the peer closed; events() tell it."""
    async with beside_a_socket() as (channel, far):
        events = channel.events()
        far.close()
        with pytest.raises(DeviceGone):
            async for _ in channel:
                pass
        assert [event.kind async for event in events] == [EventKind.GONE]


async def test_a_reset_is_an_end_with_its_errno() -> None:
    """A connection that the peer reset is DeviceGone, with ECONNRESET."""
    with over_tcp() as (near, far):
        async with adopt_stream(near.dup()) as channel:
            waiting = await parked(channel.recv())
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            far.close()
            with pytest.raises(DeviceGone, match="cannot receive: Connection reset by peer$") as caught:
                await waiting
            assert caught.value.errno == errno.ECONNRESET


async def test_sending_to_a_peer_that_left() -> None:
    """Sending to a peer that closed raises DeviceGone, says how many went before, and what it sent is still there."""
    async with beside_a_socket() as (channel, far):
        far.send(encoded(b"last"))
        far.close()
        with pytest.raises(DeviceGone, match="cannot send: Broken pipe$") as caught:
            await channel.send_many([b"1", b"2"])
        assert (caught.value.errno, caught.value.sent) == (errno.EPIPE, 0)
        assert await channel.recv() == b"last"
        with pytest.raises(DeviceGone):
            await channel.recv()


async def test_a_loss_ends_a_sender_that_waits() -> None:
    """A sender that waits for room raises DeviceGone when the peer is gone, and what it had begun is counted."""
    async with beside_a_socket() as (channel, far):
        sender = await parked(channel.send_many([PACKET] * 10_000))
        far.close()
        with pytest.raises(DeviceGone):
            await sender
        counters = channel.statistics().interface
        assert counters is not None and 0 < counters.dropped["unsent"] <= -(-WRITE_SIZE // len(PACKET))


async def test_a_loss_is_told_though_nobody_sends() -> None:
    """When what was begun cannot leave any more, a receiver that waits is woken, and events() tell it."""
    async with beside_a_socket() as (channel, far):
        with pytest.raises(WouldBlock):
            while True:
                channel.send_many_nowait([PACKET] * 64)
        await turns(2)
        events = channel.events()
        far.close()
        assert [event.kind async for event in events] == [EventKind.GONE]
        with pytest.raises(DeviceGone):
            await channel.recv()


# --- closing --------------------------------------------------------------------------------------


async def test_closing_with_something_begun_leaves_nothing() -> None:
    """A channel closed while the loop was to write its rest is out of the loop, and counts what it gave up (E8)."""
    async with beside_a_socket() as (channel, _):
        sender = await parked(channel.send_many([PACKET] * 10_000))
        watched = channel._port._socket.fileno()  # type: ignore[attr-defined]
        assert watched_fds()[watched] == 1
        await channel.aclose()
        assert watched_fds()[watched] == 0
        with pytest.raises(DeviceClosed):
            await sender
        counters = channel.statistics().interface
        assert counters is not None and counters.dropped["unsent"] > 0


async def test_closing_sends_what_there_is_room_for() -> None:
    """What was sent right before close arrives, with the end behind it."""
    async with beside_a_socket() as (channel, far):
        await channel.send_many([b"1", b"2"])
        await channel.aclose()
        assert (far.recv(100), far.recv(100)) == (encoded(b"1", b"2"), b"")


async def test_a_send_cancelled_while_it_waits_keeps_the_stream_whole() -> None:
    """After a send was cancelled in the middle of a packet, the next one follows a whole packet (E2)."""
    async with beside_a_socket() as (channel, far):
        sender = await parked(channel.send_many([PACKET] * 10_000))
        sender.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sender
        sent = channel.statistics().sent_packets
        last = asyncio.create_task(channel.send(b"last"))
        received = LengthFraming("far", 65535)
        packets: list[bytes] = []
        while len(packets) <= sent:
            try:
                received.feed(far.recv(1 << 16))
            except BlockingIOError:
                await turns(1)
            packets += received.take(1 << 16)
        await last
        assert packets == [PACKET] * sent + [b"last"]


# --- the descriptor -------------------------------------------------------------------------------


async def test_a_plain_connection_can_be_given_away() -> None:
    """detach_fd() gives the socket to the caller, who goes on where the channel stopped."""
    async with beside_a_socket() as (channel, far):
        far.send(encoded(b"1"))
        assert await channel.recv() == b"1"
        with socket.socket(fileno=channel.detach_fd()) as sock:
            sock.send(encoded(b"2"))
            assert far.recv(100) == encoded(b"2")


async def test_a_connection_with_something_held_cannot() -> None:
    """A channel that has read a part of a packet refuses to give the socket away, and stays open."""
    async with beside_a_socket() as (channel, far):
        far.send(encoded(b"1", b"2")[:4])
        assert await channel.recv() == b"1"
        with pytest.raises(DeviceError, match="cannot give its descriptor away, there are 1 bytes read and 0 to write"):
            channel.detach_fd()
        far.send(encoded(b"2")[1:])
        assert await channel.recv() == b"2"


async def test_a_fork_leaves_the_connection_to_the_parent() -> None:
    """A forked child closes its copies, and the parent's end stays open (E12)."""
    async with beside_a_socket() as (channel, far):
        channel.fileno()
        pid = os.fork()
        if not pid:
            os._exit(0 if channel.fileno() == -1 else 1)
        assert os.waitpid(pid, 0)[1] == 0
        await channel.send(b"1")
        assert far.recv(10) == encoded(b"1")


async def test_poll_sees_what_it_can_without_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no epoll, fileno() is the socket's."""
    monkeypatch.delattr("select.epoll")
    async with beside_a_socket() as (channel, _):
        assert channel.fileno() == channel._port._socket.fileno()  # type: ignore[attr-defined]
