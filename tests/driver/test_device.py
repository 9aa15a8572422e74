"""The application side of a device, in both drivers: open, read, write, close, and whom to wake."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from ipaddress import ip_interface

import pytest

from aiotun.driver import Device
from aiotun.errors import DeviceBusy, DeviceDown, DeviceGone
from aiotun.testing.expect import parked

from .fakes import Make, Stack, both, stack_of, unit


def polls_readable(device: Device) -> bool:
    return bool(select.select([device.fileno()], [], [], 0)[0])


# --- open and close -------------------------------------------------------------------------------


@both
def test_one_opener(make: Make) -> None:
    """A second open is refused, naming the process that has the device."""
    device = make()
    with pytest.raises(DeviceBusy, match=f"dev0: held by process {os.getpid()}"):
        device.open()


@both
def test_the_opener_is_recorded(make: Make) -> None:
    """An open device knows its process; a closed one has none."""
    device = make()
    assert device.pid == os.getpid()
    device.close()
    assert device.pid is None


@both
def test_reopened(make: Make) -> None:
    """A closed device can be opened again."""
    device = make()
    device.close()
    device.open()
    assert device.pid == os.getpid()


@both
def test_a_destroyed_device_is_not_opened(make: Make) -> None:
    """Opening a destroyed device raises DeviceGone."""
    device = make()
    device.close()
    device.destroy()
    with pytest.raises(DeviceGone):
        device.open()


@both
def test_closing_purges(make: Make) -> None:
    """Closing drops what is queued, counted as closed."""
    device = make()
    device.output([unit(make)] * 3)
    device.close()
    assert (len(device.snd), device.counters().dropped) == (0, {"closed": 3})


@both
def test_closing_takes_the_addresses(make: Make) -> None:
    """Closing purges the addresses."""
    device = make()
    device.add_address(ip_interface("10.0.0.1/24"))
    device.close()
    assert device.addresses == []


@both
def test_closing_brings_down(make: Make) -> None:
    """Closing brings the interface down."""
    device = make()
    device.close()
    assert not device.up


@both
def test_closing_twice(make: Make) -> None:
    """A second close does nothing: the interface may have been brought up since."""
    device = make()
    device.close()
    device.set_up(True)
    device.close()
    assert device.up


@both
def test_closing_after_destruction(make: Make) -> None:
    """A device destroyed under its opener can be closed."""
    device = make()
    device.destroy()
    device.close()
    assert device.pid is None


@both
async def test_closing_wakes_the_reader(make: Make) -> None:
    """Whoever sleeps on the device is woken when it is closed."""
    device = make()
    task = await parked(device.readable.wait())
    device.close()
    await task


# --- read -----------------------------------------------------------------------------------------


@both
def test_read(make: Make) -> None:
    """read_many() takes packets off the send queue, oldest first, up to the limit."""
    device = make()
    batch = [unit(make) + bytes([number]) for number in range(5)]
    device.output(batch)
    assert [device.read_many(3), device.read_many(3)] == [batch[:3], batch[3:]]


@both
def test_read_of_nothing(make: Make) -> None:
    """read_many() of an empty queue is an empty batch."""
    assert make().read_many(64) == []


@both
def test_read_while_down(make: Make) -> None:
    """read_many() of a down interface is empty, and what is queued stays."""
    device = make()
    device.output([unit(make)])
    device.set_up(False)
    assert device.read_many(64) == []
    device.set_up(True)
    assert device.read_many(64) == [unit(make)]


@both
def test_read_after_destruction(make: Make) -> None:
    """read_many() of a destroyed device raises DeviceGone."""
    device = make()
    device.destroy()
    with pytest.raises(DeviceGone):
        device.read_many(64)


@both
def test_a_read_makes_room(make: Make) -> None:
    """After a read whoever waits for room in the send queue is told, with the room already there."""
    device = make(queue_length=2)
    device.output([unit(make)] * 2)
    room: list[int] = []
    device.when_taken = lambda: room.append(device.room())
    device.read_many(1)
    assert room == [1]


# --- write ----------------------------------------------------------------------------------------


@both
def test_write(make: Make) -> None:
    """write_many() puts every packet into the stack and says how many."""
    device = make()
    assert device.write_many([unit(make)] * 3) == 3
    assert stack_of(device).entered == [unit(make)] * 3


@both
def test_write_is_counted(make: Make) -> None:
    """What is written counts as ipackets and ibytes."""
    device = make()
    device.write_many([unit(make)] * 3)
    counters = device.counters()
    assert (counters.ipackets, counters.ibytes) == (3, 3 * len(unit(make)))


@both
def test_write_while_down(make: Make) -> None:
    """write_many() to a down interface raises DeviceDown; nothing enters."""
    device = make(up=False)
    with pytest.raises(DeviceDown, match="dev0: the interface is down"):
        device.write_many([unit(make)])
    assert stack_of(device).entered == []


@both
def test_write_after_destruction(make: Make) -> None:
    """write_many() to a destroyed device raises DeviceGone."""
    device = make()
    device.destroy()
    with pytest.raises(DeviceGone):
        device.write_many([unit(make)])


def test_a_driver_says_what_it_accepts() -> None:
    """A device without a driver accepts no write."""
    device = Device("dev0", Stack())
    device.open()
    device.set_up(True)
    with pytest.raises(NotImplementedError):
        device.write_many([b"x"])


def test_a_driver_need_not_count_at_read() -> None:
    """A device without a driver counts nothing when it is read."""
    device = Device("dev0", Stack())
    device.open()
    device.set_up(True)
    device.output([b"x"])
    device.read_many(1)
    assert device.counters().opackets == 0


# --- waking ---------------------------------------------------------------------------------------


@both
async def test_output_wakes_the_reader(make: Make) -> None:
    """A sleeping reader is woken when a packet is queued."""
    device = make()
    task = await parked(device.readable.wait())
    device.output([unit(make)])
    await task


@both
async def test_the_level_stays_until_the_queue_is_empty(make: Make) -> None:
    """Readiness stays while packets are queued, and ends with the last."""
    device = make()
    device.output([unit(make)] * 2)
    device.read_many(1)
    await device.readable.wait()
    device.read_many(1)
    (await parked(device.readable.wait())).cancel()


@both
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda device: device.set_up(False), id="down"),
        pytest.param(lambda device: device.destroy(), id="destroyed"),
    ],
)
async def test_a_change_wakes_the_reader(make: Make, change: Callable[[Device], None]) -> None:
    """A sleeping reader is woken when the interface goes down, and when it is destroyed."""
    device = make()
    task = await parked(device.readable.wait())
    change(device)
    await task


@both
async def test_down_ends_readiness(make: Make) -> None:
    """While the interface is down, what is queued makes nobody ready."""
    device = make()
    device.output([unit(make)])
    device.set_up(False)
    (await parked(device.readable.wait())).cancel()


@both
async def test_up_wakes_for_what_is_queued(make: Make) -> None:
    """Bringing the interface up makes ready for what was queued before."""
    device = make()
    device.output([unit(make)])
    device.set_up(False)
    task = await parked(device.readable.wait())
    device.set_up(True)
    await task
    await device.readable.wait()


@both
async def test_destruction_is_ready_for_ever(make: Make) -> None:
    """After destruction a reader never sleeps: there is an error to fetch."""
    device = make()
    device.destroy()
    await device.readable.wait()
    await device.readable.wait()


@both
async def test_always_writable(make: Make) -> None:
    """A device is always writable, up or down: its write does not sleep."""
    device = make()
    await device.writable.wait()
    device.set_up(False)
    await device.writable.wait()


@both
async def test_destruction_wakes_the_writer(make: Make) -> None:
    """Whoever sleeps in the write direction is woken by the destruction."""
    device = make()
    device.writable.clear()
    task = await parked(device.writable.wait())
    device.destroy()
    await task


# --- polling --------------------------------------------------------------------------------------


@both
def test_fileno_follows_the_queue(make: Make) -> None:
    """fileno() polls readable exactly while packets are queued."""
    device = make()
    states = [polls_readable(device)]
    device.output([unit(make)] * 2)
    states.append(polls_readable(device))
    device.read_many(1)
    states.append(polls_readable(device))
    device.read_many(1)
    states.append(polls_readable(device))
    device.close()
    assert states == [False, True, True, False]


@both
def test_fileno_follows_the_link(make: Make) -> None:
    """fileno() polls not readable while the interface is down, and readable once it is destroyed."""
    device = make()
    device.output([unit(make)])
    states = [polls_readable(device)]
    device.set_up(False)
    states.append(polls_readable(device))
    device.set_up(True)
    states.append(polls_readable(device))
    device.set_up(False)
    device.destroy()
    states.append(polls_readable(device))
    device.close()
    assert states == [True, False, True, True]


@both
def test_fileno_asked_late(make: Make) -> None:
    """A descriptor first asked for while packets are queued is readable at once."""
    device = make()
    device.output([unit(make)])
    assert polls_readable(device)
    device.close()


@both
def test_fileno_is_one(make: Make) -> None:
    """fileno() is the same descriptor every time, and closed with the device."""
    device = make()
    fd = device.fileno()
    assert device.fileno() == fd
    device.close()
    with pytest.raises(OSError):
        os.fstat(fd)
