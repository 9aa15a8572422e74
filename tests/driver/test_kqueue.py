"""Filters armed on a device: when they are ready, whom they tell, and leaving at any moment."""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Callable

import pytest

from aiotun.driver.kqueue import Filter, Klist, Knote, check_filter
from aiotun.errors import ConcurrencyError, DeviceClosed, DeviceError, DeviceGone
from aiotun.testing.expect import parked, turns

GONE = "tun0: the interface was deleted"


class Level:
    """How many bytes can be read: what a device would answer."""

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        return self.count


@pytest.fixture
def klist() -> Klist:
    return Klist()


@pytest.fixture
def level() -> Level:
    return Level()


@pytest.fixture
def read(klist: Klist, level: Level) -> Knote:
    """A read filter of a device with nothing to read."""
    return klist.insert(Filter.READ, level)


# --- which filters there are ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [(-1, "READ"), (-2, "WRITE"), (-3, "AIO"), (-4, "VNODE"), (-5, "PROC"), (-6, "SIGNAL"), (-7, "TIMER")],
)
def test_a_filter_has_its_number(value: int, name: str) -> None:
    """A filter has the number of sys/event.h."""
    assert Filter(value).name == name


@pytest.mark.parametrize("filter", [Filter.READ, Filter.WRITE, -1, -2])
def test_the_filters_of_a_device(filter: int) -> None:
    """A device has a read filter and a write filter, by name or by number."""
    checked = check_filter("tun0", filter, errno.EINVAL)
    assert checked == filter
    assert isinstance(checked, Filter)


@pytest.mark.parametrize(("filter", "named"), [(Filter.AIO, "AIO"), (-7, "TIMER"), (-8, "-8"), (0, "0"), (1, "1")])
@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_another_filter(filter: int, named: str, code: int) -> None:
    """Another filter is refused with the driver's own errno."""
    with pytest.raises(DeviceError, match=f"^tun0: event filter {named}: the device has READ and WRITE$") as error:
        check_filter("tun0", filter, code)
    assert error.value.errno == code


# --- ready or not ---------------------------------------------------------------------------------


def test_nothing_to_read(read: Knote) -> None:
    """A read filter is not ready while nothing can be read."""
    assert (read.poll(), read.ready, read.count) == (False, False, 0)


def test_something_to_read(read: Knote, level: Level) -> None:
    """A read filter is ready from the first byte on, and counts the bytes."""
    level.count = 1
    assert (read.poll(), read.ready, read.count) == (True, True, 1)


def test_what_was_evaluated_stays(read: Knote, level: Level) -> None:
    """Between two evaluations the filter says what it said."""
    level.count = 1500
    assert (read.ready, read.count) == (False, 0)


def test_ready_no_more(klist: Klist) -> None:
    """A read filter is ready no more once everything was read."""
    level = Level(60)
    read = klist.insert(Filter.READ, level)
    level.count = 0
    assert (read.poll(), read.ready, read.count) == (False, False, 0)


def test_a_write_filter(klist: Klist, level: Level) -> None:
    """A write filter is always ready, counts nothing and asks nobody."""
    write = klist.insert(Filter.WRITE, level)
    assert (write.poll(), write.ready, write.count, level.asked) == (True, True, 0, 0)


@pytest.mark.parametrize(("count", "state"), [(0, "idle"), (60, "ready")])
def test_repr(klist: Klist, count: int, state: str) -> None:
    """repr() says which filter, its state and its count."""
    assert repr(klist.insert(Filter.READ, Level(count))) == f"<Knote READ: {state}, {count} bytes>"


def test_repr_of_a_detached_filter(read: Knote) -> None:
    """repr() says that a filter is detached."""
    read.detach()
    assert repr(read) == "<Knote READ: detached, 0 bytes>"


# --- the list -------------------------------------------------------------------------------------


def test_an_empty_list(klist: Klist) -> None:
    """A list without filters is false, and of the size of its one slot."""
    assert not klist
    assert len(klist) == 0
    assert sys.getsizeof(klist) <= 48
    assert klist.knotes is Klist().knotes


def test_the_length(klist: Klist, level: Level) -> None:
    """A list counts its filters, and is true with one."""
    first = klist.insert(Filter.READ, level)
    assert len(klist) == 1
    klist.insert(Filter.WRITE, level)
    first.detach()
    assert len(klist) == 1
    assert klist


def test_inserting_a_ready_filter_activates(klist: Klist) -> None:
    """A filter that is ready when armed is activated at once."""
    told: list[Knote] = []
    assert told == [klist.insert(Filter.READ, Level(1), told.append)]


def test_inserting_an_idle_filter(klist: Klist, level: Level) -> None:
    """A filter that is not ready when armed is evaluated and tells nobody."""
    told: list[Knote] = []
    klist.insert(Filter.READ, level, told.append)
    assert (told, level.asked) == ([], 1)


def test_a_device_that_cannot_be_asked(klist: Klist) -> None:
    """A filter that cannot be evaluated is not armed."""

    def fails() -> int:
        raise DeviceGone(GONE)

    with pytest.raises(DeviceGone):
        klist.insert(Filter.READ, fails)
    assert not klist


def test_notify_activates_every_time(klist: Klist, level: Level) -> None:
    """Each notify() activates a filter that is ready."""
    told: list[Knote] = []
    knote = klist.insert(Filter.READ, level, told.append)
    level.count = 60
    klist.notify()
    klist.notify()
    assert told == [knote, knote]


def test_notify_passes_over_the_idle(klist: Klist, level: Level) -> None:
    """notify() evaluates a filter that is not ready, and tells nobody."""
    told: list[Knote] = []
    knote = klist.insert(Filter.READ, level, told.append)
    knote.count = 60  # left over
    klist.notify()
    assert (told, knote.ready) == ([], False)


def test_notify_goes_newest_first(klist: Klist) -> None:
    """Filters are told in the order of the list, the newest first."""
    order: list[int] = []
    for number in range(3):
        klist.insert(Filter.READ, Level(1), lambda _, number=number: order.append(number))  # type: ignore[misc]
    order.clear()
    klist.notify()
    assert order == [2, 1, 0]


def test_notify_without_a_listener(read: Knote, klist: Klist, level: Level) -> None:
    """A filter with nobody to notify is evaluated all the same."""
    level.count = 60
    klist.notify()
    assert (read.ready, read.count) == (True, 60)


# --- detaching ------------------------------------------------------------------------------------


def test_a_detached_filter_is_silent(klist: Klist, level: Level) -> None:
    """A detached filter is neither evaluated nor told."""
    told: list[Knote] = []
    klist.insert(Filter.READ, level, told.append).detach()
    level.count = 60
    klist.notify()
    assert (told, level.asked) == ([], 1)


def test_detaching_twice(read: Knote, klist: Klist) -> None:
    """Detaching again changes nothing: the first reason stays."""
    read.detach()
    error = read.error
    read.detach()
    assert read.error is error
    assert not klist


def test_polling_a_detached_filter(read: Knote) -> None:
    """Polling a detached filter says that it is detached."""
    read.detach()
    with pytest.raises(DeviceClosed, match="^READ filter: it was detached$"):
        read.poll()


def test_a_detached_write_filter_is_not_ready(klist: Klist, level: Level) -> None:
    """Not even a write filter is ready once detached."""
    write = klist.insert(Filter.WRITE, level)
    write.detach()
    assert not write.ready


def test_detaching_itself_while_notified(klist: Klist) -> None:
    """A filter may detach itself while it is told; the others are told all the same."""
    level = Level()
    told: list[Knote] = []
    klist.insert(Filter.READ, level, told.append)
    klist.insert(Filter.READ, level, Knote.detach)
    klist.insert(Filter.READ, level, told.append)
    level.count = 1
    klist.notify()
    assert len(told) == len(klist) == 2


def test_detaching_another_while_notified(klist: Klist) -> None:
    """A filter detached by another that is told first is not told."""
    level = Level()
    told: list[Knote] = []
    older = klist.insert(Filter.READ, level, told.append)
    klist.insert(Filter.READ, level, lambda _: older.detach())
    level.count = 1
    klist.notify()
    assert told == []


def test_inserting_while_notified(klist: Klist) -> None:
    """A filter armed while others are told is told once, by being armed."""
    level = Level()
    told: list[Knote] = []

    def insert(knote: Knote) -> None:
        knote.detach()
        klist.insert(Filter.READ, level, told.append)

    klist.insert(Filter.READ, level, insert)
    level.count = 1
    klist.notify()
    assert (len(told), len(klist)) == (1, 1)


# --- a device that vanishes -----------------------------------------------------------------------


def test_gone_tells_everybody(klist: Klist, level: Level) -> None:
    """When the device is gone each filter is told once, and answers with the error."""
    told: list[Knote] = []
    knotes = [klist.insert(Filter.READ, level, told.append) for _ in range(2)]
    klist.insert(Filter.READ, level)
    gone = DeviceGone(GONE)
    klist.gone(gone)
    assert told == knotes[::-1]
    assert [knote.error for knote in told] == [gone, gone]
    assert not klist


def test_polling_after_the_end(read: Knote, klist: Klist) -> None:
    """Polling a filter of a vanished device raises, each time without the traces of the time before."""
    klist.gone(DeviceGone(GONE))
    depths: list[int] = []
    for _ in range(2):
        with pytest.raises(DeviceGone, match=GONE) as caught:
            read.poll()
        depths.append(len(caught.traceback))
    assert depths[0] == depths[1]


def test_gone_after_detach(read: Knote, klist: Klist) -> None:
    """A filter detached before the end keeps its own reason."""
    read.detach()
    klist.gone(DeviceGone(GONE))
    assert isinstance(read.error, DeviceClosed)


def test_detaching_another_at_the_end(klist: Klist, level: Level) -> None:
    """A filter detached by another that learns of the end first is not told."""
    told: list[Knote] = []
    older = klist.insert(Filter.READ, level, told.append)
    klist.insert(Filter.READ, level, lambda _: older.detach())
    klist.gone(DeviceGone(GONE))
    assert told == []


# --- waiting --------------------------------------------------------------------------------------


async def test_wait_ends_with_notify(read: Knote, klist: Klist, level: Level) -> None:
    """wait() waits for notify(), and returns the bytes that can be read."""
    task = await parked(read.wait())
    level.count = 60
    klist.notify()
    assert await task == 60


async def test_wait_on_a_ready_filter(klist: Klist) -> None:
    """wait() on a filter that is ready returns after a turn of the loop."""
    read = klist.insert(Filter.READ, Level(60))
    ran: list[bool] = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    assert await read.wait() == 60
    assert ran


async def test_wait_asks_anew(klist: Klist) -> None:
    """wait() goes by what can be read now, not by the last notify()."""
    level = Level(60)
    read = klist.insert(Filter.READ, level)
    level.count = 0
    (await parked(read.wait())).cancel()


async def test_wait_on_a_level_that_fell(read: Knote, klist: Klist, level: Level) -> None:
    """A waiter that comes too late, everything having been read, waits on."""
    task = await parked(read.wait())
    level.count = 60
    klist.notify()
    level.count = 0
    await turns()
    asked = level.asked
    await turns()
    assert (task.done(), level.asked) == (False, asked)  # it sleeps, and does not ask over and over
    level.count = 40
    klist.notify()
    assert await task == 40


async def test_waiting_to_write(klist: Klist, level: Level) -> None:
    """wait() on a write filter returns 0."""
    assert await klist.insert(Filter.WRITE, level).wait() == 0


async def test_a_cancelled_wait(read: Knote, klist: Klist, level: Level) -> None:
    """A cancelled wait() takes nothing: the next one finds the filter ready."""
    task = await parked(read.wait())
    level.count = 60
    klist.notify()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert await read.wait() == 60


async def test_two_waiters(read: Knote) -> None:
    """A second task may not wait for the same filter."""
    task = await parked(read.wait())
    with pytest.raises(ConcurrencyError, match="^another task is already waiting for a READ filter$"):
        await read.wait()
    task.cancel()


@pytest.mark.parametrize(
    ("end", "error"),
    [(lambda klist, read: read.detach(), DeviceClosed), (lambda klist, read: klist.gone(DeviceGone(GONE)), DeviceGone)],
)
async def test_the_end_releases_the_waiter(
    read: Knote, klist: Klist, end: Callable[[Klist, Knote], None], error: type[Exception]
) -> None:
    """A waiter learns at once that the filter was detached, or that the device is gone."""
    task = await parked(read.wait())
    end(klist, read)
    with pytest.raises(error):
        await task


async def test_waiting_after_the_end(read: Knote) -> None:
    """wait() on a detached filter does not wait."""
    read.detach()
    with pytest.raises(DeviceClosed):
        await read.wait()
