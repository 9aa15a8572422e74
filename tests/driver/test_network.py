"""The network side of an interface as an endpoint: back-pressure out, a bounded queue in."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator

import pytest
from offload import packets as p

from aiotun.driver import Device, NetworkPort, NetworkSide
from aiotun.driver.network import INPUT_QUEUE
from aiotun.endpoint import Event, EventKind
from aiotun.errors import DeviceClosed, DeviceDown, DeviceError, DeviceGone, PacketTooBig, WouldBlock
from aiotun.pipeline import Batch
from aiotun.queueing import CoDel, Discipline, FairQueue, Fifo, FQCoDel, Priority, TokenBucket
from aiotun.testing.expect import parked, turns

from .fakes import FOREIGN, FRAME, IPV4, Listener, open_tap, open_tun


def numbered(count: int) -> list[bytes]:
    return [IPV4[:-1] + bytes([number]) for number in range(count)]


class Joined:
    """A tun with room for four packets, and its network side."""

    def __init__(self) -> None:
        self.closed = 0
        self.device: Device = open_tun(queue_length=4)
        self.port = NetworkPort(self.device, self._close)
        self.device._stack = lambda interface, batch: self.port.deliver(batch)

    def _close(self) -> None:
        self.closed += 1

    def polls_readable(self) -> bool:
        return bool(select.select([self.port.fileno()], [], [], 0)[0])


@pytest.fixture
def joined() -> Iterator[Joined]:
    made = Joined()
    yield made
    made.port.close_now()


# --- what entered ---------------------------------------------------------------------------------


async def test_what_the_application_writes_is_received(joined: Joined) -> None:
    """The network side receives what the application sends, in order."""
    async with NetworkSide(joined.port) as side:
        joined.device.write_many(numbered(3))
        assert await side.recv_many() == numbered(3)


async def test_receiving_waits(joined: Joined) -> None:
    """The network side waits for what the application sends."""
    async with NetworkSide(joined.port) as side:
        task = await parked(side.recv())
        joined.device.write_many(numbered(1))
        assert [await task] == numbered(1)


async def test_the_level_stays_until_the_queue_is_empty(joined: Joined) -> None:
    """Readiness stays while packets wait for the stack, and ends with the last."""
    joined.device.write_many(numbered(2))
    joined.port.read_many(1)
    await joined.port.readable.wait()
    joined.port.read_many(1)
    (await parked(joined.port.readable.wait())).cancel()


def test_a_stack_that_does_not_read(joined: Joined) -> None:
    """What finds the input queue full is dropped at the interface, under a reason."""
    joined.device.write_many([IPV4] * (INPUT_QUEUE + 3))
    assert joined.device.counters().dropped == {"input_queue_full": 3}
    assert joined.device.counters().ipackets == INPUT_QUEUE + 3


def test_a_full_input_queue_takes_nothing(joined: Joined) -> None:
    """A batch that finds no room at all is dropped whole."""
    joined.device.write_many([IPV4] * INPUT_QUEUE)
    joined.device.write_many([IPV4] * 2)
    assert joined.device.counters().dropped == {"input_queue_full": 2}


def test_what_was_never_read(joined: Joined) -> None:
    """Packets that wait for the stack when its side is closed are dropped under a reason."""
    joined.device.write_many(numbered(3))
    joined.port.close_now()
    assert joined.device.counters().dropped == {"input_closed": 3}


def test_fileno_follows_the_input_queue(joined: Joined) -> None:
    """fileno() polls readable exactly while packets wait for the stack."""
    states = [joined.polls_readable()]
    joined.device.write_many(numbered(2))
    states.append(joined.polls_readable())
    joined.port.read_many(1)
    states.append(joined.polls_readable())
    joined.port.read_many(1)
    states.append(joined.polls_readable())
    assert states == [False, True, True, False]


def test_fileno_asked_late(joined: Joined) -> None:
    """A descriptor first asked for while packets wait is readable at once."""
    joined.device.write_many(numbered(1))
    assert joined.polls_readable()


@pytest.mark.parametrize("early", [True, False])
def test_fileno_after_destruction(joined: Joined, early: bool) -> None:
    """The descriptor polls readable once the interface is destroyed, whenever it was asked for."""
    if early:
        joined.port.fileno()
    joined.device.destroy()
    assert joined.polls_readable()


def test_closing_closes_the_descriptor(joined: Joined) -> None:
    """A closed network side has given its descriptor back."""
    fd = joined.port.fileno()
    joined.port.close_now()
    with pytest.raises(OSError):
        os.fstat(fd)


# --- output ---------------------------------------------------------------------------------------


async def test_what_is_sent_is_output(joined: Joined) -> None:
    """What the network side sends, the application reads."""
    async with NetworkSide(joined.port) as side:
        await side.send_many(numbered(3))
        assert joined.device.read_many(64) == numbered(3)


async def test_sending_waits_for_room(joined: Joined) -> None:
    """Sending waits while the send queue is full, and loses nothing."""
    async with NetworkSide(joined.port) as side:
        task = await parked(side.send_many(numbered(11)))
        received: list[bytes] = []
        while len(received) < 11:
            received += joined.device.read_many(2)
            await turns()
        await task
        assert received == numbered(11)
    assert joined.device.counters().dropped == {}


async def test_sending_takes_what_there_is_room_for(joined: Joined) -> None:
    """send_many_nowait() outputs as much as the send queue takes; then it would block."""
    async with NetworkSide(joined.port) as side:
        assert side.send_many_nowait(numbered(9)) == 4
        with pytest.raises(WouldBlock):
            side.send_nowait(IPV4)


async def test_a_foreign_packet_is_dropped_once(joined: Joined) -> None:
    """A packet that the driver does not carry is dropped and counted once, and its sender goes on."""
    async with NetworkSide(joined.port) as side:
        await side.send(FOREIGN)
        assert joined.device.counters().dropped == {"unsupported_family": 1}


async def test_a_foreign_packet_doubles_no_other(joined: Joined) -> None:
    """Packets around one that the driver does not carry are output once each."""
    async with NetworkSide(joined.port) as side:
        first, second, third = numbered(3)
        await side.send_many([FOREIGN, first, FOREIGN, second, third])
        assert joined.device.read_many(64) == [first, second, third]


async def test_a_queue_that_is_drained() -> None:
    """Sending to a tap that nobody has open never waits for room: all of it is drained."""
    tap = open_tap(queue_length=4)
    tap.close()
    async with NetworkSide(NetworkPort(tap, lambda: None)) as side:
        await side.send_many([FRAME] * 11)
    assert tap.counters().dropped == {"not_open": 11}


async def test_the_reader_closes_while_a_sender_waits() -> None:
    """A sender that waits for room goes on when the application closes the tap."""
    tap = open_tap(queue_length=4)
    async with NetworkSide(NetworkPort(tap, lambda: None)) as side:
        task = await parked(side.send_many([FRAME] * 11))
        tap.close()
        await task
    assert tap.counters().dropped == {"closed": 4, "not_open": 7}


async def test_exactly_as_much_as_there_is_room_for(joined: Joined) -> None:
    """A batch that just fits leaves the side writable; the next finds no room, and waits."""
    assert joined.port.write_many(numbered(4)) == 4
    await joined.port.writable.wait()
    assert joined.port.write_many(numbered(1)) == 0
    (await parked(joined.port.writable.wait())).cancel()


async def test_sending_nothing(joined: Joined) -> None:
    """Sending no packets does nothing, even to a full queue."""
    joined.device.output(numbered(4))
    assert joined.port.write_many([]) == 0
    async with NetworkSide(joined.port) as side:
        await side.writable()


async def test_sending_while_down(joined: Joined) -> None:
    """Sending to an interface that is down raises DeviceDown."""
    joined.device.set_up(False)
    async with NetworkSide(joined.port) as side:
        with pytest.raises(DeviceDown, match="dev0: the interface is down"):
            await side.send(IPV4)


async def test_going_down_while_a_sender_waits(joined: Joined) -> None:
    """A sender that waits for room learns that the interface went down."""
    async with NetworkSide(joined.port) as side:
        task = await parked(side.send_many(numbered(5)))
        joined.device.set_up(False)
        with pytest.raises(DeviceDown) as caught:
            await task
        assert caught.value.sent == 4


async def test_too_big(joined: Joined) -> None:
    """A packet over the mtu raises PacketTooBig, and nothing of its batch is output."""
    async with NetworkSide(joined.port) as side:
        with pytest.raises(PacketTooBig, match="dev0: packet is 1501 bytes, mtu is 1500"):
            await side.send_many([IPV4, IPV4.ljust(1501, b"\0")])
        assert joined.device.read_many(64) == []


async def test_forwarding_drops_the_packet_that_is_too_big(joined: Joined) -> None:
    """With drop=True the packet over the mtu is dropped, not one before it."""
    async with NetworkSide(joined.port) as side:
        await side.send_many([*numbered(2), IPV4.ljust(1501, b"\0"), IPV4], drop=True)
        assert joined.device.read_many(64) == [*numbered(2), IPV4]
        assert side.statistics().dropped == {"too_big": 1}


async def test_forwarding_to_a_down_interface_counts_once(joined: Joined) -> None:
    """With drop=True packets for a down interface are counted once each, by who sends them."""
    joined.device.set_up(False)
    async with NetworkSide(joined.port) as side:
        await side.send_many(numbered(3), drop=True)
        assert side.statistics().dropped == {"down": 3}
        assert joined.device.counters().dropped == {}


async def test_sending_to_a_destroyed_interface(joined: Joined) -> None:
    """Sending to a destroyed interface raises DeviceGone, not DeviceDown."""
    joined.device.destroy()
    async with NetworkSide(joined.port) as side:
        with pytest.raises(DeviceGone):
            await side.send(IPV4)


async def test_sending_after_close(joined: Joined) -> None:
    """Sending on a closed network side raises DeviceClosed."""
    async with NetworkSide(joined.port) as side:
        pass
    with pytest.raises(DeviceClosed):
        await side.send(IPV4)


# --- the end --------------------------------------------------------------------------------------


async def test_destruction_ends_receiving(joined: Joined) -> None:
    """A receiver that waits gets DeviceGone when the interface is destroyed."""
    async with NetworkSide(joined.port) as side:
        task = await parked(side.recv())
        joined.device.destroy()
        with pytest.raises(DeviceGone):
            await task


async def test_destruction_ends_sending(joined: Joined) -> None:
    """A sender that waits for room gets DeviceGone when the interface is destroyed."""
    async with NetworkSide(joined.port) as side:
        task = await parked(side.send_many(numbered(5)))
        joined.device.destroy()
        with pytest.raises(DeviceGone):
            await task


async def test_what_entered_before_the_destruction_is_received(joined: Joined) -> None:
    """Packets that entered before the destruction are received, and then DeviceGone."""
    async with NetworkSide(joined.port) as side:
        joined.device.write_many(numbered(3))
        joined.device.destroy()
        assert await side.recv_many() == numbered(3)
        with pytest.raises(DeviceGone):
            await side.recv_many()


async def test_closing_tells_the_host(joined: Joined) -> None:
    """Closing the network side tells the host, and the interface stays up."""
    await NetworkSide(joined.port).aclose()
    assert (joined.closed, joined.device.up) == (1, True)


async def test_closing_leaves_the_interface(joined: Joined) -> None:
    """A closed network side is forgotten by the interface: nobody listens, nobody waits for room."""
    side = NetworkSide(joined.port)
    side.events()
    await side.aclose()
    assert (joined.device._listeners, joined.device.when_taken) == ([], None)


# --- what it is -----------------------------------------------------------------------------------


def test_what_a_waiter_does(joined: Joined) -> None:
    """Who waits is described, for the error that a second one gets."""
    assert joined.port.readable.what == "receiving on the network side of dev0"
    assert joined.port.writable.what == "sending on the network side of dev0"


def test_the_room_for_what_entered() -> None:
    """1024 packets may wait for the stack."""
    assert INPUT_QUEUE == 1024


def test_the_kind() -> None:
    """A network side says that it is one."""
    assert NetworkSide.kind == "network side"


def test_refresh(joined: Joined) -> None:
    """refresh() brings name and mtu up to date."""
    joined.device.set_mtu(1400)
    joined.device.name = "renamed0"
    joined.port.refresh()
    assert (joined.port.name, joined.port.mtu) == ("renamed0", 1400)


def test_is_up(joined: Joined) -> None:
    """is_up() is whether the interface is up, and an error once it is destroyed."""
    states = [joined.port.is_up()]
    joined.device.set_up(False)
    assert [*states, joined.port.is_up()] == [True, False]
    joined.device.destroy()
    with pytest.raises(DeviceGone):
        joined.port.is_up()


def test_counters(joined: Joined) -> None:
    """The network side shows the interface's counters."""
    joined.port.write_many([IPV4])
    assert joined.port.counters() == joined.device.counters()


def test_watching(joined: Joined) -> None:
    """watch() tells what happens to the interface, until the side is closed."""
    listener = Listener()
    joined.port.watch(listener)
    joined.device.set_mtu(1400)
    joined.port.close_now()
    joined.device.set_mtu(1300)
    assert listener.told == [Event(EventKind.MTU, 1400)]


def test_detach(joined: Joined) -> None:
    """An in-process interface has no descriptor to give away, and says so."""
    with pytest.raises(DeviceError, match="dev0: an in-process interface has no file descriptor to give away"):
        joined.port.detach()


def test_disarm(joined: Joined) -> None:
    """disarm() has nothing to leave, and the interface goes on telling its stack."""
    joined.port.disarm()
    joined.device.write_many([IPV4])
    assert joined.port.read_many(64) == [IPV4]


# --- queues with a bound in bytes -----------------------------------------------------------------

SIZE = len(IPV4)


def byte_bound(size: int, head: int = 0) -> Fifo:
    """A queue for two packets of *size* bytes with what stands in front of each, and a byte less than three."""
    return Fifo(50, max_bytes=3 * (size + head) - 1)


QUEUES: dict[str, Callable[[], Discipline]] = {
    "fifo": lambda: byte_bound(SIZE),
    "token bucket": lambda: TokenBucket(10**12, 10**6, byte_bound(SIZE)),
    "priority": lambda: Priority([byte_bound(SIZE), byte_bound(SIZE)], lambda packet: packet[-1] % 2),
    "codel": lambda: CoDel(2),
    "fair": lambda: FairQueue(2),
    "fq_codel": lambda: FQCoDel(2),
}


async def send_through(device: Device, batch: list[bytes]) -> list[bytes]:
    """Send a batch while the application reads one packet after the other; return what it read."""
    async with NetworkSide(NetworkPort(device, lambda: None)) as side:
        task = await parked(side.send_many(batch))
        received: list[bytes] = []
        while len(received) < len(batch):
            received += device.read_many(1)
            await turns()
        await task
    return received


@pytest.mark.parametrize("make", QUEUES.values(), ids=QUEUES.keys())
async def test_sending_loses_nothing_in_any_queue(make: Callable[[], Discipline]) -> None:
    """Sending waits for room in bytes as it does for room in packets, and loses nothing."""
    device = open_tun(snd=make())
    assert sorted(await send_through(device, numbered(11))) == numbered(11)
    assert device.counters().dropped == {}


@pytest.mark.parametrize(("mode", "head"), [("set_ifhead", 4), ("set_lmode", 16)])
async def test_room_for_what_stands_in_front(mode: str, head: int) -> None:
    """The bytes that the driver puts in front of a packet need room too."""
    device = open_tun(snd=byte_bound(SIZE, head))
    getattr(device, mode)(1)
    assert len(await send_through(device, numbered(5))) == 5
    assert device.counters().dropped == {}


async def test_a_packet_longer_than_the_queue() -> None:
    """A packet that not even an empty queue takes is refused, after those before it went out; it waits for nothing."""
    device = open_tun(snd=Fifo(max_bytes=SIZE))
    async with NetworkSide(NetworkPort(device, lambda: None)) as side:
        task = await parked(side.send_many([IPV4, IPV4 + b"\0", IPV4]))
        device.read_many(1)
        text = f"^dev0: packet is {SIZE + 1} bytes, more than the empty send queue takes$"
        with pytest.raises(PacketTooBig, match=text) as caught:
            await task
        assert (caught.value.sent, device.counters().dropped) == (1, {})
        await side.send(IPV4)


async def test_forwarding_a_packet_longer_than_the_queue() -> None:
    """With drop=True the packet that no queue takes is dropped and counted, and the others go out."""
    tap = open_tap(snd=Fifo(max_bytes=len(FRAME)))
    tap.close()
    async with NetworkSide(NetworkPort(tap, lambda: None)) as side:
        await side.send_many([FRAME, FRAME + b"\0", FRAME], drop=True)
        assert side.statistics().dropped == {"too_big": 1}
        await side.writable()
    assert tap.counters().dropped == {"not_open": 2}


async def test_writable_after_the_last_byte(joined: Joined) -> None:
    """A side whose next packet does not fit in bytes is not writable until a packet left."""
    joined.device.snd = Fifo(max_bytes=2 * SIZE + 1)
    assert joined.port.write_many(numbered(3)) == 2
    task = await parked(joined.port.writable.wait())
    joined.device.read_many(1)
    await task


@pytest.mark.parametrize("change", [list.clear, list.reverse])
async def test_a_stage_that_changes_its_batch(joined: Joined, change: Callable[[list[bytes]], None]) -> None:
    """A stage that changes its batch in place changes neither what was sent nor the sender's own list."""

    def careless(batch: Batch) -> Batch:
        assert isinstance(batch, list)
        kept = list(batch)
        change(batch)
        return kept

    joined.device.output.insert_before("ready", careless)
    mine = numbered(3)
    assert joined.port.write_many(mine) == 3
    assert (mine, joined.device.read_many(64)) == (numbered(3), numbered(3))


# --- queues that look into packets, behind what the driver puts in front --------------------------

OFFSETS = [((), 0), (("set_ifhead",), 4), (("set_lmode",), 16), (("set_lmode", "set_ifhead"), 4)]


@pytest.mark.parametrize(("modes", "offset"), [*OFFSETS, (("set_ifhead", "set_lmode"), 16)])
def test_where_packets_begin(modes: tuple[str, ...], offset: int) -> None:
    """A tun's send queue knows what stands in front of packets in each mode, also one that is set later."""
    device = open_tun()
    for mode in modes:
        getattr(device, mode)(1)
    before = device.snd.offset
    device.snd = Fifo()
    assert (before, device.snd.offset) == (offset, offset)
    device.bare = True  # an endpoint's packets have nothing in front
    assert device.snd.offset == 0
    device.close()
    assert device.snd.offset == offset
    for mode in modes:
        getattr(device, mode)(0)
    assert device.snd.offset == 0


@pytest.mark.parametrize(("modes", "offset"), OFFSETS)
def test_marking_behind_a_head(monkeypatch: pytest.MonkeyPatch, modes: tuple[str, ...], offset: int) -> None:
    """CoDel marks congestion in the IP header, behind what the mode puts in front of it."""
    device = open_tun(snd=CoDel(target=1.0, interval=2.0, mtu=1, ecn=True))
    for mode in modes:
        getattr(device, mode)(1)
    monkeypatch.setattr(device, "_now", lambda: 0.0)
    able = IPV4[:1] + b"\x02" + IPV4[2:]
    device.output([able] * 9)
    for now in (1.0, 5.0):
        (read,) = device.snd.dequeue_many(1, now)
    assert (read[offset + 1], device.snd.statistics().marked) == (3, 1)


@pytest.mark.parametrize("mode", ["set_ifhead", "set_lmode"])
def test_sorting_behind_a_head(mode: str) -> None:
    """A packet without a mark, for a user's stage made it, is sorted by its IP header."""
    seen: list[bytes] = []

    def classify(packet: bytes) -> int:
        seen.append(packet)
        return packet[-1] % 2

    device = open_tun(snd=Priority([Fifo(), Fifo()], classify))
    getattr(device, mode)(1)
    device.output.insert_after("prepend", lambda batch: [bytes(bytearray(packet)) for packet in batch], name="plain")
    port = NetworkPort(device, lambda: None)
    assert port.write_many(numbered(4)) == 4
    assert set(seen) == set(numbered(4))
    assert [packet[-1] for packet in device.snd.dequeue_many(64, 0.0)] == [0, 2, 1, 3]


async def test_writable_before_a_packet_that_no_queue_takes() -> None:
    """A side whose queue is empty is writable, though its next packet will be refused."""
    tap = open_tap(snd=Fifo(max_bytes=len(FRAME)))
    tap.close()
    port = NetworkPort(tap, lambda: None)
    assert port.write_many([FRAME, FRAME + b"\0"]) == 1
    await port.writable.wait()


def test_what_was_left_of_a_super_packet(joined: Joined) -> None:
    """A super-packet that was half read when the port is freed is dropped as the one packet it was."""
    joined.port.deliver([p.big(4)])
    joined.port.read_many(1)
    joined.port.close_now()
    assert joined.device.counters().dropped == {"input_closed": 1}


def test_segments_wait_to_be_read(joined: Joined) -> None:
    """While a super-packet is half read the descriptor polls readable, and there is more."""
    joined.port.deliver([p.big(4)])
    levels = []
    for _ in range(4):
        joined.port.read_many(1)
        levels.append((joined.polls_readable(), joined.port.more))
    assert levels == [(True, True)] * 3 + [(False, False)]
