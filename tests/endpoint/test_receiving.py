"""The endpoint over a scripted port: what it is, and receiving."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any

import pytest

from aiotun.endpoint import BATCH, Capabilities, Endpoint, Event, EventKind, InterfaceCounters
from aiotun.endpoint import receiving as module
from aiotun.errors import ConcurrencyError, DeviceDown, DeviceError, DeviceGone, QueueFull, WouldBlock, device_error
from aiotun.testing.expect import parked, turns

from .fakes import BUDGET, Clock, FakePort, numbers, packets

GONE = DeviceGone("fake0: the interface was deleted")
NO_MEMORY = QueueFull("fake0: no memory")


class Napping:
    """asyncio for a module, but its sleep() takes one turn and is written down."""

    def __init__(self) -> None:
        self.naps: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        await turns(1)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of every sleep of the endpoint, none of which is slept."""
    napping = Napping()
    monkeypatch.setattr(module, "asyncio", napping)
    return napping.naps


async def receive(endpoint: Endpoint, count: int) -> list[bytes]:
    return [await endpoint.recv() for _ in range(count)]


# --- what it is -----------------------------------------------------------------------------------


async def test_name_is_asked() -> None:
    """name is what the device is called now."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        port.next_name = "renamed0"
        assert endpoint.name == "renamed0"


async def test_mtu_is_asked() -> None:
    """mtu is what the device carries now."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        port.next_mtu = 9000
        assert endpoint.mtu == 9000


async def test_capabilities_are_the_ports() -> None:
    """capabilities says what the port was asked and what it granted."""
    async with Endpoint(FakePort()) as endpoint:
        assert endpoint.capabilities == Capabilities(asked=frozenset({"FAKE"}), granted=frozenset({"FAKE"}))


async def test_fileno_is_the_ports() -> None:
    """fileno() is the device's descriptor."""
    async with Endpoint(FakePort(fd=77)) as endpoint:
        assert endpoint.fileno() == 77


async def test_repr() -> None:
    """The repr names the device and says when the endpoint is closed."""
    async with Endpoint(FakePort()) as endpoint:
        assert repr(endpoint) == "<Endpoint fake0>"
    assert repr(endpoint) == "<Endpoint fake0 closed>"


async def test_statistics_count_what_was_received() -> None:
    """statistics() tells what was taken from the device, and what of it is held."""
    async with Endpoint(FakePort(read=[packets(5)])) as endpoint:
        await receive(endpoint, 2)
        counted = endpoint.statistics()
        assert (counted.taken_packets, counted.taken_bytes, counted.held_packets) == (5, 200, 3)


async def test_statistics_have_the_interfaces_counters() -> None:
    """statistics() carries what the interface counted itself."""
    port = FakePort()
    port.interface = InterfaceCounters(ipackets=1, ibytes=2, opackets=3, obytes=4, dropped={"queue_full": 5})
    async with Endpoint(port) as endpoint:
        assert endpoint.statistics().interface is port.interface


# --- batches --------------------------------------------------------------------------------------


async def test_after_a_short_batch_the_device_is_not_read_again() -> None:
    """A batch shorter than the limit means the device is empty: waiting comes before the next read."""
    port = FakePort(read=[packets(3)])
    async with Endpoint(port) as endpoint:
        await endpoint.recv_many(64)
        task = await parked(endpoint.recv_many(64))
        assert port.limits == [64]
        task.cancel()


async def test_after_a_full_batch_the_device_is_read_again() -> None:
    """After a full batch the next one is read without waiting for readiness."""
    port = FakePort(read=[packets(8)])
    async with Endpoint(port) as endpoint:
        await endpoint.recv_many(4)
        assert numbers(await endpoint.recv_many(4)) == [4, 5, 6, 7]


@pytest.mark.parametrize("batches", [1, 2, 5])
async def test_one_turn_a_batch(batches: int) -> None:
    """Each batch from a full device gives the loop exactly one turn."""
    turns_taken = 0

    async def count() -> None:
        nonlocal turns_taken
        while True:
            await turns(1)
            turns_taken += 1

    async with Endpoint(FakePort(read=[packets(64)] * batches)) as endpoint:
        other = await parked(count())
        before = turns_taken
        for _ in range(batches):
            await endpoint.recv_many(64)
        assert turns_taken - before == batches
        other.cancel()


async def test_recv_reads_ahead() -> None:
    """recv() takes a whole batch from the device and serves the next calls from it."""
    port = FakePort(read=[packets(64)])
    async with Endpoint(port) as endpoint:
        await receive(endpoint, 64)
        assert port.limits == [BATCH]


async def test_recv_many_is_served_from_what_was_read_ahead() -> None:
    """recv_many() returns first what recv() read ahead, as much as the limit lets it."""
    port = FakePort(read=[packets(5)])
    async with Endpoint(port) as endpoint:
        await endpoint.recv()
        assert numbers(await endpoint.recv_many(3)) == [1, 2, 3]
        assert port.limits == [BATCH]


async def test_nowait_forms_are_served_from_what_was_read_ahead() -> None:
    """recv_nowait() and recv_many_nowait() return first what recv() read ahead."""
    port = FakePort(read=[packets(3)])
    async with Endpoint(port) as endpoint:
        await endpoint.recv()
        assert numbers([endpoint.recv_nowait(), *endpoint.recv_many_nowait()]) == [1, 2]


async def test_nowait_reads_the_device() -> None:
    """recv_nowait() takes one packet from the device, recv_many_nowait() up to its limit."""
    port = FakePort(read=[packets(4)])
    async with Endpoint(port) as endpoint:
        assert numbers([endpoint.recv_nowait(), *endpoint.recv_many_nowait(2)]) == [0, 1, 2]
        assert port.limits == [1, 2]


async def test_nowait_tries_every_time() -> None:
    """recv_nowait() tries the device even after a short batch."""
    port = FakePort(read=[packets(1)])
    async with Endpoint(port) as endpoint:
        await endpoint.recv()
        port.read_script.append(packets(1))
        assert endpoint.recv_nowait()


@pytest.mark.parametrize("receive", [Endpoint.recv_nowait, Endpoint.recv_many_nowait])
async def test_nowait_would_block(receive: Callable[[Endpoint], object]) -> None:
    """With nothing queued a nowait form raises WouldBlock, with EAGAIN and a sentence."""
    async with Endpoint(FakePort()) as endpoint:
        with pytest.raises(WouldBlock, match="fake0: no packet is queued") as caught:
            receive(endpoint)
        assert caught.value.errno == errno.EAGAIN


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_batch_of_nothing(limit: int) -> None:
    """A limit below one packet is refused."""
    async with Endpoint(FakePort(read=[packets(1)])) as endpoint:
        with pytest.raises(ValueError, match=f"at least 1 packet, not {limit}"):
            await endpoint.recv_many(limit)
        with pytest.raises(ValueError, match=f"at least 1 packet, not {limit}"):
            endpoint.recv_many_nowait(limit)


async def test_an_early_wake_up_waits_again() -> None:
    """A wake-up with nothing to read leads to one try, and to waiting again."""
    port = FakePort(read=[packets(1)])
    async with Endpoint(port) as endpoint:
        await endpoint.recv()
        task = await parked(endpoint.recv())
        port.readable.wake()
        await turns()
        assert not task.done() and len(port.limits) == 2
        port.output(packets(1, start=7))
        assert numbers([await task]) == [7]


# --- a slow consumer ------------------------------------------------------------------------------


async def consume(endpoint: Endpoint, clock: Clock, seconds: float, count: int) -> None:
    """Receive *count* packets, each of which costs some time."""
    for _ in range(count):
        await endpoint.recv()
        clock.now += seconds


async def test_the_first_batch_is_whole(clock: Clock) -> None:
    """However late the first packet is asked for, the first batch is a whole one."""
    port = FakePort(read=[packets(64)])
    async with Endpoint(port) as endpoint:
        await endpoint.recv()
        assert port.limits == [64]


async def test_a_fast_consumer_gets_whole_batches(clock: Clock) -> None:
    """While a batch costs no more than the time budget, batches are whole, and two of them are read at once."""
    port = FakePort(read=[packets(64), packets(128), packets(128)])
    async with Endpoint(port) as endpoint:
        await consume(endpoint, clock, BUDGET / 128, 320)
        assert port.limits == [64, 128, 128]


async def test_a_slow_consumer_gets_smaller_batches(clock: Clock) -> None:
    """After a batch that cost four times the budget, the next is a quarter of it."""
    port = FakePort(read=[packets(300)])
    async with Endpoint(port) as endpoint:
        await consume(endpoint, clock, 4 * BUDGET / 64, 65)
        assert port.limits == [64, 16]


async def test_a_very_slow_consumer_gets_single_packets(clock: Clock) -> None:
    """However slow the consumer, a batch has one packet at least."""
    port = FakePort(read=[packets(300)])
    async with Endpoint(port) as endpoint:
        await consume(endpoint, clock, 10.0, 65)
        assert port.limits == [64, 1]


@pytest.mark.parametrize("cost", [0.2, 0.6, 0.9, 3.0])
async def test_a_steadily_slow_consumer_keeps_others_waiting_no_longer_than_it_must(clock: Clock, cost: float) -> None:
    """After its first batch a slow consumer holds the loop for twice the budget or one packet, never longer."""
    port = FakePort(read=[packets(400)])
    async with Endpoint(port) as endpoint:
        await consume(endpoint, clock, cost * BUDGET, 300)
        assert max(limit * cost for limit in port.limits[1:]) <= max(2.0, cost)


async def test_batches_grow_again(clock: Clock) -> None:
    """A consumer that has become fast gets whole batches again."""
    port = FakePort(read=[packets(300)])
    async with Endpoint(port) as endpoint:
        await consume(endpoint, clock, 16 * BUDGET / 64, 64)
        await consume(endpoint, clock, 0.0, 125)
        assert port.limits == [64, 4, 8, 16, 32, 64, 128]


async def test_waiting_in_vain_is_no_slowness(clock: Clock) -> None:
    """The time that a cancelled recv() waited does not count as the consumer's."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.recv())
        clock.now += 60
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        port.output(packets(64))
        port.readable.set()
        await endpoint.recv()
        assert port.limits[-1] >= 64


# --- faults ---------------------------------------------------------------------------------------


async def test_no_memory_is_counted(naps: list[float]) -> None:
    """A packet for which the system had no memory is counted, and the next one is received."""
    port = FakePort(read=[NO_MEMORY, NO_MEMORY, packets(1)])
    async with Endpoint(port) as endpoint:
        await endpoint.recv()
        assert endpoint.statistics().dropped == {"no_memory": 2}


async def test_no_memory_backs_off(naps: list[float]) -> None:
    """After the system had no memory, the endpoint lets it recover before each new try."""
    async with Endpoint(FakePort(read=[NO_MEMORY, NO_MEMORY, packets(1)])) as endpoint:
        await endpoint.recv()
        assert naps == [module.BACK_OFF] * 2


async def test_no_memory_is_nothing_taken(naps: list[float]) -> None:
    """A packet for which there was no memory does not count as taken from the device."""
    async with Endpoint(FakePort(read=[NO_MEMORY, packets(1)])) as endpoint:
        await endpoint.recv()
        assert endpoint.statistics().received_packets == 1


async def test_no_memory_would_block() -> None:
    """recv_nowait() says WouldBlock when the system had no memory."""
    async with Endpoint(FakePort(read=[NO_MEMORY])) as endpoint:
        with pytest.raises(WouldBlock):
            endpoint.recv_nowait()


@pytest.mark.parametrize("receive", [Endpoint.recv, Endpoint.recv_many])
async def test_an_unknown_error_surfaces(receive: Callable[[Endpoint], Any]) -> None:
    """An errno that means nothing special reaches the receiver as it is."""
    error = device_error(OSError(errno.EPROTO, ""), "fake0: cannot receive: protocol error")
    async with Endpoint(FakePort(read=[error, packets(1)])) as endpoint:
        with pytest.raises(DeviceError) as caught:
            await receive(endpoint)
        assert caught.value is error


async def test_the_stream_goes_on_after_an_error() -> None:
    """After an error the next recv() receives."""
    async with Endpoint(FakePort(read=[DeviceError("fake0: hiccup"), packets(1)])) as endpoint:
        with pytest.raises(DeviceError):
            await endpoint.recv()
        assert numbers([await endpoint.recv()]) == [0]


# --- one reader -----------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [Endpoint.recv, Endpoint.recv_many, Endpoint.readable])
@pytest.mark.parametrize("first", [Endpoint.recv, Endpoint.recv_many, Endpoint.readable])
async def test_one_reader(first: Callable[[Endpoint], Any], second: Callable[[Endpoint], Any]) -> None:
    """While one task receives, another is refused, in whichever form."""
    async with Endpoint(FakePort()) as endpoint:
        task = await parked(first(endpoint))
        with pytest.raises(ConcurrencyError, match="fake0: another task is already receiving"):
            await second(endpoint)
        task.cancel()


async def test_one_reader_in_its_turn() -> None:
    """Another task is refused also while the first gives the loop a turn between full batches."""
    async with Endpoint(FakePort(read=[packets(8)])) as endpoint:
        await endpoint.recv_many(4)
        task = asyncio.create_task(endpoint.recv_many(4))
        await turns(1)
        with pytest.raises(ConcurrencyError):
            await endpoint.recv_many(4)
        await task


async def test_the_next_reader() -> None:
    """After a receiver was cancelled another may receive."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.recv())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        task = await parked(endpoint.recv())
        port.output(packets(1))
        assert numbers([await task]) == [0]


# --- readable -------------------------------------------------------------------------------------


async def test_readable_waits() -> None:
    """readable() waits for readiness and reads nothing."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.readable())
        port.output(packets(1))
        await task
        assert port.limits == []


async def test_readable_with_packets_read_ahead() -> None:
    """readable() returns after one turn while packets are held."""
    async with Endpoint(FakePort(read=[packets(2)])) as endpoint:
        await endpoint.recv()
        ran: list[bool] = []
        asyncio.get_running_loop().call_soon(ran.append, True)
        await endpoint.readable()
        assert ran


# --- down -----------------------------------------------------------------------------------------


async def test_down_is_waited_for() -> None:
    """By default recv() waits while the interface is down, without asking whether it is."""
    port = FakePort()
    port.up = False
    async with Endpoint(port) as endpoint:
        (await parked(endpoint.recv())).cancel()
        assert port.watches == 0


@pytest.mark.parametrize("receive", [Endpoint.recv, Endpoint.recv_many, Endpoint.readable])
async def test_down_is_raised_on_request(receive: Callable[[Endpoint], Any]) -> None:
    """With when_down="raise" receiving from a down interface raises DeviceDown."""
    port = FakePort()
    port.up = False
    async with Endpoint(port, when_down="raise") as endpoint:
        with pytest.raises(DeviceDown, match="fake0: the interface is down"):
            await receive(endpoint)


async def test_down_is_raised_by_nowait_on_request() -> None:
    """With when_down="raise" recv_nowait() of a down interface raises DeviceDown, not WouldBlock."""
    port = FakePort()
    port.up = False
    async with Endpoint(port, when_down="raise") as endpoint:
        with pytest.raises(DeviceDown):
            endpoint.recv_nowait()


async def test_down_leaves_what_is_queued() -> None:
    """With when_down="raise" what is queued is received before DeviceDown is raised."""
    port = FakePort(read=[packets(1)])
    port.up = False
    async with Endpoint(port, when_down="raise") as endpoint:
        assert numbers([await endpoint.recv()]) == [0]


async def test_going_down_wakes_the_receiver() -> None:
    """With when_down="raise" a waiting recv() raises when the interface goes down."""
    port = FakePort()
    async with Endpoint(port, when_down="raise") as endpoint:
        task = await parked(endpoint.recv())
        port.up = False
        assert port.tell
        port.tell(Event(EventKind.DOWN))
        with pytest.raises(DeviceDown):
            await task


async def test_a_port_is_watched_once() -> None:
    """However often the endpoint needs to hear of changes, it asks the port once."""
    port = FakePort()
    async with Endpoint(port, when_down="raise") as endpoint:
        for _ in range(3):
            (await parked(endpoint.recv())).cancel()
            await turns()
        endpoint.events()
        assert port.watches == 1


# --- gone -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("receive", [Endpoint.recv, Endpoint.recv_many])
async def test_gone_is_raised(receive: Callable[[Endpoint], Any]) -> None:
    """Receiving from a deleted interface raises DeviceGone."""
    async with Endpoint(FakePort(read=[GONE])) as endpoint:
        with pytest.raises(DeviceGone):
            await receive(endpoint)


async def test_gone_leaves_the_loop() -> None:
    """Before DeviceGone reaches the receiver, the port has left the loop."""
    port = FakePort(read=[GONE])
    async with Endpoint(port) as endpoint:
        with pytest.raises(DeviceGone):
            endpoint.recv_nowait()
        assert port.disarms == 1


async def test_gone_at_reading_wakes_the_sender() -> None:
    """A sender that waits for room learns of the deletion that a receiver met."""
    port = FakePort(read=[GONE], write=[0, GONE])
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.send_many(packets(1)))
        with pytest.raises(DeviceGone):
            endpoint.recv_nowait()
        with pytest.raises(DeviceGone):
            await task


async def test_gone_at_writing_wakes_the_receiver() -> None:
    """A receiver that waits learns of the deletion that a sender met."""
    port = FakePort(write=[GONE])
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.recv())
        port.read_script.append(GONE)
        with pytest.raises(DeviceGone):
            endpoint.send_many_nowait(packets(1))
        with pytest.raises(DeviceGone):
            await task


async def test_gone_by_announcement_wakes_both() -> None:
    """When the port announces the deletion, receiver and sender wake up to it."""
    port = FakePort(write=[0])
    async with Endpoint(port) as endpoint:
        endpoint.events()
        receiver = await parked(endpoint.recv())
        sender = await parked(endpoint.send_many(packets(1)))
        port.read_script.append(GONE)
        port.write_script.append(GONE)
        assert port.tell
        port.tell(Event(EventKind.GONE))
        ended = await asyncio.gather(receiver, sender, return_exceptions=True)
        assert [type(error) for error in ended] == [DeviceGone, DeviceGone]


# --- events ---------------------------------------------------------------------------------------


async def test_events_are_streamed() -> None:
    """events() tells every change from now on."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        events = endpoint.events()
        assert port.tell
        port.tell(Event(EventKind.MTU, 1400))
        port.tell(Event(EventKind.UP))
        assert [await anext(events), await anext(events)] == [Event(EventKind.MTU, 1400), Event(EventKind.UP)]


async def test_streams_are_independent() -> None:
    """Two streams of events each tell everything."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        first, second = endpoint.events(), endpoint.events()
        assert port.tell
        port.tell(Event(EventKind.UP))
        assert await anext(first) == await anext(second) == Event(EventKind.UP)


async def test_gone_ends_the_events() -> None:
    """A deletion met by reading is the last event of every stream."""
    port = FakePort(read=[GONE])
    async with Endpoint(port) as endpoint:
        events = endpoint.events()
        with pytest.raises(DeviceGone):
            endpoint.recv_nowait()
        assert [event.kind async for event in events] == [EventKind.GONE]


async def test_gone_is_told_once() -> None:
    """A deletion that was announced and met again by reading is one event."""
    port = FakePort(read=[GONE, GONE])
    async with Endpoint(port) as endpoint:
        events = endpoint.events()
        assert port.tell
        port.tell(Event(EventKind.GONE))
        with pytest.raises(DeviceGone):
            endpoint.recv_nowait()
        assert [event.kind async for event in events] == [EventKind.GONE]


async def test_events_after_the_deletion() -> None:
    """A stream asked for after the interface is gone says so and ends."""
    async with Endpoint(FakePort(read=[GONE])) as endpoint:
        with pytest.raises(DeviceGone):
            endpoint.recv_nowait()
        assert [event.kind async for event in endpoint.events()] == [EventKind.GONE]


async def test_events_after_close() -> None:
    """A stream of a closed endpoint is at its end."""
    async with Endpoint(FakePort()) as endpoint:
        pass
    assert [event async for event in endpoint.events()] == []


async def test_a_forgotten_stream_is_not_kept() -> None:
    """A stream that its reader dropped is not kept by the endpoint."""
    async with Endpoint(FakePort()) as endpoint:
        for _ in range(3):
            endpoint.events()
        assert len(endpoint._streams or ()) == 0


# --- super-packets --------------------------------------------------------------------------------


async def test_superpackets_where_they_are_asked_for() -> None:
    """Every way of receiving takes super-packets in one piece where it was told to, and only there."""
    port = FakePort(read=[packets(1)] * 6)
    async with Endpoint(port) as endpoint:
        await endpoint.recv_many(1, superpackets=True)
        endpoint.recv_many_nowait(1, superpackets=True)
        await anext(endpoint.batches(1, superpackets=True))
        assert port.wholes == 3
        await endpoint.recv_many(1)
        endpoint.recv_nowait()
        await anext(endpoint.batches(1))
        assert port.wholes == 3


async def test_what_was_read_ahead_comes_before_superpackets() -> None:
    """recv_many(superpackets=True) first gives the packets that were read ahead."""
    port = FakePort(read=[packets(3)])
    async with Endpoint(port) as endpoint:
        await endpoint.recv()
        assert numbers(await endpoint.recv_many(superpackets=True)) == [1, 2]
        assert port.wholes == 0


async def test_a_short_batch_of_many_bytes_is_not_the_end() -> None:
    """After a short batch the device is read again at once, if it says that more may be there."""
    port = FakePort(read=[packets(1), packets(2)])
    port.more = True
    async with Endpoint(port) as endpoint:
        assert len(await endpoint.recv_many()) == 1
        assert len(await endpoint.recv_many()) == 2


async def test_readable_where_a_part_is_left() -> None:
    """readable() returns at once while the port has packets that no descriptor tells of."""
    port = FakePort()
    port.more = True
    async with Endpoint(port) as endpoint:
        await endpoint.readable()


async def test_offload_is_the_ports() -> None:
    """What is on is the port's to say, also once it is closed."""
    port = FakePort()
    port.superpackets, port.offload = True, frozenset({"tso"})
    async with Endpoint(port) as endpoint:
        assert (endpoint.superpackets, set(endpoint.offload)) == (True, {"tso"})
    assert (endpoint.superpackets, set(endpoint.offload)) == (True, {"tso"})
