"""Between the send queue and the reader: announcing, holding back, and the timer on the loop's clock."""

from __future__ import annotations

import asyncio
import time

import pytest

from aiotun.driver import Device, Filter, TunDevice
from aiotun.errors import DeviceDown, DeviceGone, QueueFull
from aiotun.pipeline import Batch
from aiotun.queueing import Fifo, TokenBucket
from aiotun.testing.expect import parked, turns

from .fakes import IPV4, Make, SimulatedLoop, Stack, advance, both, simulated, unit


def limited(make: Make, queue_length: int = 50) -> Device:
    """A device that lets one packet a second go, the first of which has been read."""
    size = len(unit(make))
    device = make(snd=TokenBucket(8 * size, size), queue_length=queue_length)
    device.output([unit(make)] * 3)
    assert device.read() == unit(make)
    return device


def timers(device: Device) -> bool:
    """Whether the device has a timer in the loop."""
    return device._timer is not None and not device._timer.cancelled()


# --- output_packet --------------------------------------------------------------------------------


@both
def test_output_packet(make: Make) -> None:
    """output_packet() queues one packet."""
    device = make()
    device.output_packet(unit(make))
    assert device.read() == unit(make)


@both
def test_output_packet_answers_for_this_packet(make: Make) -> None:
    """output_packet() raises why the packet was not queued, and forgets it with the next."""
    device = make(queue_length=1)
    device.output_packet(unit(make))
    with pytest.raises(QueueFull):
        device.output_packet(unit(make))
    device.output.insert_before("ready", lambda batch: (), name="hole")
    device.output_packet(unit(make))
    assert device.counters().dropped == {"queue_full": 1, "hole": 1}


@both
def test_output_packet_while_down(make: Make) -> None:
    """output_packet() of a device that is not ready raises DeviceDown."""
    with pytest.raises(DeviceDown):
        make(up=False).output_packet(unit(make))


@both
def test_a_full_queue_is_dropped_once(make: Make) -> None:
    """What the queue refuses is counted by the queue alone; a batch counts a collision for each."""
    device = make(queue_length=1)
    assert list(device.output([unit(make)] * 3)) == [unit(make)]
    assert (device.counters().dropped, device.counts.collisions) == ({"queue_full": 2}, 2)
    assert dict(device.output.statistics().dropped) == {"queue_full": 2}


@both
def test_room_for_all_is_no_collision(make: Make) -> None:
    """A batch that fits collides with nothing."""
    device = make(queue_length=3)
    device.output([unit(make)] * 3)
    assert (device.counts.collisions, device.counters().dropped) == (0, {})


# --- announcing -----------------------------------------------------------------------------------


@both
async def test_a_disabled_queue_only_fills(make: Make) -> None:
    """A disabled queue wakes nobody; enabled again, the next output does."""
    device = make()
    assert device.enabled is True
    task = await parked(device.read_wait())
    knote = device.kqfilter(Filter.READ)
    device.enabled = False
    device.output([unit(make)])
    await turns()
    silent = task.done(), knote.ready
    device.enabled = True
    device.output([unit(make)])
    assert (silent, await task, knote.ready) == ((False, False), unit(make), True)


@both
def test_nread(make: Make) -> None:
    """nread() is the bytes of the head, and leaves it."""
    device = make()
    before = device.nread()
    device.output([unit(make), unit(make) + b"x"])
    assert (before, device.nread(), len(device.snd)) == (0, len(unit(make)), 2)


@both
def test_readable_now(make: Make) -> None:
    """A read would do something while a packet is queued and the interface up, and for ever after the end."""
    device = make()
    states = [device.readable_now()]
    device.output([unit(make)])
    states.append(device.readable_now())
    device.set_up(False)
    states.append(device.readable_now())
    device.destroy()
    states.append(device.readable_now())
    assert states == [False, True, False, True]


@both
async def test_a_change_notifies_filters(make: Make) -> None:
    """Armed filters are evaluated when the interface goes down."""
    device = make()
    knote = device.kqfilter(Filter.READ)
    knote.count = 99
    device.set_up(False)
    assert knote.count == 0


@both
def test_the_path_of_an_empty_start(make: Make) -> None:
    """Starting with an empty queue goes no further than the poll."""
    device = make()
    device.start([unit(make)])
    steps = {stage.name: stage.left for stage in device.start.statistics().stages}
    assert (steps["enabled"], steps["poll"], steps["wakeup"]) == (1, 0, 0)


@both
def test_the_reasons_of_start(make: Make) -> None:
    """A start that goes no further says why, and nothing of it counts as dropped."""
    device = make()
    device.start([unit(make)])
    device.enabled = False
    device.start([unit(make)])
    assert dict(device.start.statistics().dropped) == {"held_back": 1, "disabled": 1}
    assert device.counters().dropped == {}


@both
async def test_down_by_the_time_of_the_wakeup(make: Make) -> None:
    """A stage that brings the interface down leaves nobody awake for what cannot be read."""
    device = make()

    def down(batch: Batch) -> Batch:
        device.set_up(False)
        return batch

    device.start.insert_before("wakeup", down, name="down")
    device.output([unit(make)])
    (await parked(device.readable.wait())).cancel()


@both
def test_a_fifo_needs_no_clock(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a plain Fifo the clock is not read; with another discipline it is, and then no more."""
    looks: list[float] = []

    def monotonic() -> float:
        looks.append(5.0)
        return 5.0

    monkeypatch.setattr(time, "monotonic", monotonic)
    device = make()
    counts = []
    for snd in (Fifo(), TokenBucket(8000, 1000), Fifo()):
        device.snd = snd
        looks.clear()
        device.output([unit(make)])
        device.read()
        counts.append(len(looks) > 0)
    assert counts == [False, True, False]


# --- a queue that holds back ----------------------------------------------------------------------


@both
@simulated
async def test_a_release_wakes(make: Make) -> None:
    """A sleeper gets the packet when the queue releases it, and each in its time."""
    device = limited(make)
    for _ in range(2):
        task = await parked(device.read_wait())
        advance(0.99)
        await turns()
        assert not task.done()
        advance(0.01)
        assert await task == unit(make)


@both
@simulated
async def test_a_timer_that_comes_early(make: Make) -> None:
    """A timer before its time waits for a millisecond more, as often as it takes, and then releases."""
    device = limited(make)
    task = await parked(device.read_wait())
    due = device._due
    advance(0.9999)
    device._stop_timer()
    device._ring()
    assert (device._timer is not None and device._timer.when(), device._due) == (due - 0.0001 + 0.001, due)
    await turns()
    assert not task.done()
    advance(0.001)
    assert await task == unit(make)


@both
@simulated
async def test_a_timer_on_time(make: Make) -> None:
    """A timer at its very time releases."""
    device = limited(make)
    task = await parked(device.read_wait())
    device._stop_timer()
    advance(1)
    device._ring()
    assert await task == unit(make)


@both
@simulated
async def test_output_into_a_limited_queue(make: Make) -> None:
    """Output of a packet that is held back announces nothing until its time."""
    device = make(snd=TokenBucket(8 * len(unit(make)), len(unit(make))))
    device.output([unit(make)])
    device.read()
    knote = device.kqfilter(Filter.READ)
    device.output([unit(make)])
    before = knote.ready, device.nread(), device.readable_now()
    advance(1)
    await turns()
    assert (before, knote.count) == ((False, 0, False), len(unit(make)))


@both
@simulated
async def test_a_release_notifies_filters(make: Make) -> None:
    """An armed filter is told of the release."""
    device = limited(make)
    task = await parked(device.kqfilter(Filter.READ).wait())
    advance(1)
    assert await task == len(unit(make))


@both
@simulated
async def test_a_release_while_a_read_finds_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet that is let go between a read's two looks at the clock raises the level: no timer will."""
    device = limited(make)
    now = device._now

    def half_a_second_later() -> float:
        advance(0.5)
        return now()

    monkeypatch.setattr(device, "_now", half_a_second_later)
    assert (device.read_many(1), device.readable._level) == ([], True)


@both
@simulated
async def test_the_level_follows_the_release(make: Make) -> None:
    """The level is off while the queue holds back, though packets wait."""
    device = limited(make)
    assert device.read_many(5) == []
    (await parked(device.readable.wait())).cancel()
    await turns()
    advance(1)
    await turns()
    await device.readable.wait()
    assert device.read_many(5) == [unit(make)]


@both
@simulated
async def test_the_start_has_the_head(make: Make) -> None:
    """The start path is given the packet that was released."""
    device = limited(make)
    started: list[Batch] = []

    def look(batch: Batch) -> Batch:
        started.append(list(batch))
        return batch

    device.start.insert_before("enabled", look, name="look")
    advance(1)
    await turns()
    assert started == [[unit(make)]]


@both
@simulated
async def test_one_timer(make: Make) -> None:
    """However often one looks, one timer waits for the release; it ends when nothing is left."""
    device = limited(make)
    timer = device._timer
    for _ in range(3):
        device.nread()
    assert device._timer is timer and timers(device)
    for _ in range(2):
        advance(1)
        await turns()
        device.read()
    assert not timers(device)


@both
@simulated
async def test_an_earlier_release(make: Make) -> None:
    """A release that is to come earlier takes the timer's place; a later one leaves it."""
    device = limited(make)
    first = device._timer
    device._set_timer(1005.0)
    assert device._timer is first
    device._set_timer(1000.5)
    assert device._timer is not first and first is not None and first.cancelled()
    device._set_timer(1000.5)
    assert device._timer is not None and device._timer.when() == 1000.5
    device.close()


@both
@pytest.mark.parametrize("end", ["close", "destroy"])
@simulated
async def test_the_end_stops_the_timer(make: Make, end: str) -> None:
    """A closed device, and a destroyed one, has no timer in the loop."""
    device = limited(make)
    before = timers(device)
    getattr(device, end)()
    assert (before, device._timer) == (True, None)


@both
def test_without_a_loop(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a loop the time is the monotonic clock's, and the next read finds out by itself."""
    now = 500.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    device = limited(make)
    states = [device.nread(), device._timer]
    now = 501.0
    assert (states, device.nread()) == ([0, None], len(unit(make)))


@both
def test_the_next_loop(make: Make) -> None:
    """A timer of a loop that was closed does not keep the next loop's reader waiting."""

    async def first() -> Device:
        return limited(make)

    async def second(device: Device) -> bytes:
        task = await parked(device.read_wait())
        advance(1)
        return await task

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        device = runner.run(first())
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        assert runner.run(second(device)) == unit(make)


@both
@simulated
async def test_up_with_a_packet_held_back(make: Make) -> None:
    """An interface that comes up before the release wakes its sleeper at the release."""
    device = limited(make)
    device.set_up(False)
    task = await parked(device.readable.wait())
    device.set_up(True)
    await task
    sleeper = await parked(device.read_wait())
    advance(1)
    assert await sleeper == unit(make)


@simulated
async def test_a_discipline_of_ones_own_is_used() -> None:
    """A device given an empty discipline queues in it."""
    snd = TokenBucket(320, 40)
    tun = TunDevice("tun0", Stack(), snd=snd)
    tun.open()
    tun.set_up(True)
    tun.output([IPV4])
    assert (tun.snd is snd, len(snd)) == (True, 1)


@both
def test_purged(make: Make) -> None:
    """A purge returns what was queued, and the device is not ready to be read any more."""
    device = make()
    device.output([unit(make)] * 2)
    assert (device.purge("x"), device.readable_now(), device.readable._level) == ([unit(make)] * 2, False, False)


@both
async def test_a_sleeper_of_a_destroyed_device(make: Make) -> None:
    """A sleeping reader learns that the device is gone."""
    device = make()
    task = await parked(device.read_wait())
    device.destroy()
    with pytest.raises(DeviceGone):
        await task
