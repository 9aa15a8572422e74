"""The application side of a device, in both drivers: open, read, write, close, and whom to wake."""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Callable

import pytest

from aiotun.driver import Credentials, Device, Filter
from aiotun.endpoint import Event
from aiotun.errors import ConcurrencyError, DeviceBusy, DeviceDown, DeviceGone, WouldBlock
from aiotun.pipeline import Batch
from aiotun.testing.expect import parked, turns

from .fakes import Make, both, open_tap, stack_of, unit


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
def test_closing_twice(make: Make) -> None:
    """A second close does nothing: the interface may have been brought up since."""
    device = make()
    device.close()
    device.set_up(True)
    device.sigio.set_owner(os.getpid())
    device.close()
    assert (device.up, device.sigio.owner) == (True, os.getpid())


@both
def test_closing_ends_bareness(make: Make) -> None:
    """Whoever opens after an endpoint finds the driver's default."""
    device = make()
    device.bare = True
    device.close()
    assert device.bare is False


@both
def test_closing_ends_asynchrony(make: Make) -> None:
    """Whoever opens next has to ask for SIGIO again."""
    device = make()
    device.asynchronous = True
    device.close()
    assert device.asynchronous is False


@both
def test_a_device_that_dies_with_its_close(make: Make) -> None:
    """A device made by being opened is destroyed by its close, any other is not."""
    device, other = make(), make()
    device.dies_with_close = True
    device.close()
    other.close()
    assert (device.going, other.going) == (True, False)


@both
def test_closing_after_destruction_changes_nothing(make: Make) -> None:
    """The close of a destroyed device tells nobody anything: the interface is gone already."""
    device = make()
    device.destroy()
    told: list[Event] = []
    device._listeners.append(told.append)
    device.close()
    assert told == []


@both
def test_the_credentials_pid(make: Make) -> None:
    """Opened with credentials, a device is their process's."""
    device = make()
    device.close()
    device.open(Credentials(pid=4242))
    assert (device.pid, device.is_open) == (4242, True)


@both
def test_a_refused_opening_changes_nothing(make: Make) -> None:
    """After a second open was refused the device is the first opener's."""
    device = make()
    with pytest.raises(DeviceBusy):
        device.open(Credentials(pid=4242))
    assert device.pid == os.getpid()


@both
def test_closing_after_destruction(make: Make) -> None:
    """A device destroyed under its opener can be closed."""
    device = make()
    device.destroy()
    device.close()
    assert device.pid is None


@both
def test_closing_leaves_nothing_to_read(make: Make) -> None:
    """Whoever opens after a close with packets queued finds a descriptor that does not poll readable."""
    device = make()
    device.output([unit(make)])
    device.close()
    device.open()
    assert not polls_readable(device)
    device.close()


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
def test_read_of_one(make: Make) -> None:
    """read() takes one packet, cut to the size asked for; cutting is counted."""
    device = make()
    packet = unit(make)
    device.output([packet] * 3)
    assert [device.read(), device.read(len(packet)), device.read(len(packet) - 1)] == [packet, packet, packet[:-1]]
    assert device.counts.truncated == 1


@both
def test_read_of_a_jumbo(make: Make) -> None:
    """A read without a size has room for 65536 bytes, and no more."""
    device = make(mtu=70000)
    packet = unit(make).ljust(65536, b"\0")
    device.output([packet, packet + b"x"])
    assert (device.read(), device.counts.truncated) == (packet, 0)
    assert (device.read(), device.counts.truncated) == (packet, 1)


@both
def test_read_of_one_from_nothing(make: Make) -> None:
    """read() of an empty queue is EWOULDBLOCK, with the name."""
    with pytest.raises(WouldBlock, match="dev0: no packet is queued") as caught:
        make().read()
    assert caught.value.errno == errno.EWOULDBLOCK


@both
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda device: device.set_up(False), "dev0: the interface is down"),
        (lambda device: (device.close(), device.set_up(True)), "dev0: not open"),
    ],
)
def test_read_of_one_when_not_ready(make: Make, change: Callable[[Device], object], text: str) -> None:
    """read() of a device that is down, or not open, is EHOSTDOWN and says which."""
    device = make()
    change(device)
    with pytest.raises(DeviceDown, match=text):
        device.read()


@both
async def test_read_wait(make: Make) -> None:
    """read_wait() sleeps until there is a packet, and takes the size."""
    device = make()
    task = await parked(device.read_wait(10))
    device.output([unit(make)])
    assert await task == unit(make)[:10]


@both
async def test_read_wait_sleeps_again(make: Make) -> None:
    """A reader woken for a packet that somebody took meanwhile sleeps again."""
    device = make()
    task = await parked(device.read_wait())
    device.output([unit(make)])
    device.read_many(1)
    await turns()
    assert not task.done()
    device.output([unit(make)])
    assert await task == unit(make)


@both
async def test_read_wait_of_a_non_blocking_device(make: Make) -> None:
    """read_wait() of a device that never sleeps raises WouldBlock."""
    device = make()
    device.nonblocking = True
    with pytest.raises(WouldBlock):
        await device.read_wait()


@both
async def test_two_sleepers(make: Make) -> None:
    """A second task in read_wait() is refused."""
    device = make()
    task = await parked(device.read_wait())
    with pytest.raises(ConcurrencyError):
        await device.read_wait()
    task.cancel()


@both
def test_a_purge_makes_room(make: Make) -> None:
    """After a purge whoever waits for room in the send queue is told, and nobody is ready to read."""
    device = make(queue_length=2)
    device.output([unit(make)] * 2)
    room: list[int] = []
    device.when_taken = lambda: room.append(device.room())
    device.purge("purged")
    assert (room, polls_readable(device)) == ([2], False)
    device.close()


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


@both
def test_write_of_one(make: Make) -> None:
    """write() puts one packet into the stack and returns its size."""
    device = make()
    assert (device.write(unit(make)), stack_of(device).entered) == (len(unit(make)), [unit(make)])


@both
def test_a_stage_may_take_a_packet_out(make: Make) -> None:
    """What a stage in the input path takes out was written all the same, and is counted under the stage's name."""
    device = make()
    device.input.insert_before("count", lambda batch: batch[1:], name="first")
    assert device.write_many([unit(make)] * 3) == 3
    assert device.counters().dropped == {"first": 1}


@both
def test_a_write_that_fails(make: Make) -> None:
    """An input path that raises makes each packet an input error, and drops it."""
    device = make()

    def fail(batch: Batch) -> Batch:
        raise OSError("no memory")

    device.input.insert_before("count", fail, name="fail")
    with pytest.raises(OSError, match="no memory"):
        device.write_many([unit(make)] * 3)
    assert (device.counts.ierrors, device.counters().dropped) == (3, {"fail": 3})


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
def test_what_a_waiter_does(make: Make) -> None:
    """Who waits is described, for the error that a second one gets."""
    device = make()
    assert (device.readable.what, device.writable.what) == ("receiving from dev0", "sending to dev0")


@both
async def test_destruction_wakes_the_writer(make: Make) -> None:
    """Whoever sleeps in the write direction is woken by the destruction."""
    device = make()
    device.writable.clear()
    task = await parked(device.writable.wait())
    device.destroy()
    await task


@both
async def test_destruction_ends_filters(make: Make) -> None:
    """An armed filter answers DeviceGone with ENXIO once the device is destroyed."""
    device = make()
    task = await parked(device.kqfilter(Filter.READ).wait())
    device.destroy()
    with pytest.raises(DeviceGone, match="dev0: the interface was deleted") as caught:
        await task
    assert caught.value.errno == errno.ENXIO


@both
def test_destruction_ends_captures(make: Make) -> None:
    """A packet filter on a destroyed device gets DeviceGone."""
    device = make()
    capture = device.bpf.attach()
    device.destroy()
    with pytest.raises(DeviceGone):
        capture.recv_nowait()


@both
def test_a_capture_may_write(make: Make) -> None:
    """What a packet filter writes is output."""
    device = make()
    family = b"" if make is open_tap else (2).to_bytes(4, sys.byteorder)
    device.bpf.attach().write(family + unit(make))
    assert device.read() == unit(make)


@both
def test_a_capture_may_not_write_to_a_down_interface(make: Make) -> None:
    """A packet filter that writes to an interface that is down gets DeviceDown."""
    with pytest.raises(DeviceDown):
        make(up=False).bpf.attach().write(bytes(60))


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
def test_fileno_of_a_closed_device(make: Make) -> None:
    """A device that is not open has no descriptor, and makes none."""
    device = make()
    device.close()
    assert device.fileno() == -1
    assert device.readable._pollable is None


@both
def test_fileno_is_one(make: Make) -> None:
    """fileno() is the same descriptor every time, and closed with the device."""
    device = make()
    fd = device.fileno()
    assert device.fileno() == fd
    device.close()
    with pytest.raises(OSError):
        os.fstat(fd)


@both
def test_poll(make: Make) -> None:
    """poll() answers what was asked and holds: readable while something is queued, writable always."""
    device = make()
    every = select.POLLIN | select.POLLOUT | select.POLLPRI
    before = device.poll(every), device.poll(select.POLLIN)
    device.output([unit(make)])
    assert (before, device.poll(every), device.poll(select.POLLIN)) == (
        (select.POLLOUT, 0),
        select.POLLIN | select.POLLOUT,
        select.POLLIN,
    )


@both
def test_poll_of_a_destroyed_device(make: Make) -> None:
    """poll() of a destroyed device is POLLERR alone."""
    device = make()
    device.destroy()
    assert device.poll(select.POLLIN) == select.POLLERR


@both
def test_a_destroyed_device_takes_no_filter(make: Make) -> None:
    """kqfilter() of a destroyed device raises DeviceGone."""
    device = make()
    device.destroy()
    with pytest.raises(DeviceGone):
        device.kqfilter(Filter.READ)
