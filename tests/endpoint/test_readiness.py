"""Waiting for a level, and for a file descriptor's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loops import loop_in_a_thread

from aiotun.endpoint import FdReadiness, Readiness
from aiotun.errors import ConcurrencyError
from aiotun.testing import watched_fds
from aiotun.testing.expect import parked, turns

on_asyncio = pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop's own methods cannot be counted


@pytest.fixture
def level() -> Readiness:
    return Readiness("receiving from tun0")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets: what is written to the first makes the second readable."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


Ends = tuple[socket.socket, socket.socket]


def reader(pair: Ends) -> FdReadiness:
    return FdReadiness("receiving from tun0", pair[1].fileno())


def fill(end: socket.socket) -> None:
    """Write until the socket polls no longer writable."""
    try:
        while True:
            end.send(bytes(65536))
    except BlockingIOError:
        pass


def empty(end: socket.socket) -> None:
    try:
        while end.recv(65536):
            pass
    except BlockingIOError:
        pass


class Calls:
    """Counts the calls of one method of the running loop."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        loop = asyncio.get_running_loop()
        real: Callable[..., Any] = getattr(loop, name)

        def counting(*args: Any) -> Any:
            self.count += 1
            return real(*args)

        monkeypatch.setattr(loop, name, counting)


# --- a level that a driver tells ------------------------------------------------------------------


async def test_wait_ends_with_set(level: Readiness) -> None:
    """wait() waits until the level is set."""
    task = await parked(level.wait())
    level.set()
    await task


async def test_a_set_level_stays_set(level: Readiness) -> None:
    """Once set, the level satisfies every wait() until it is cleared."""
    level.set()
    await level.wait()
    await level.wait()


async def test_a_level_may_begin_set() -> None:
    """A level that is set from the beginning needs no set()."""
    await Readiness("sending to tun0", level=True).wait()


async def test_wait_gives_the_loop_a_turn(level: Readiness) -> None:
    """Even with the level set, wait() lets every other callback run once."""
    ran: list[bool] = []
    level.set()
    asyncio.get_running_loop().call_soon(ran.append, True)
    await level.wait()
    assert ran


async def test_clear_makes_wait_wait(level: Readiness) -> None:
    """After clear(), wait() waits again."""
    level.set()
    level.clear()
    (await parked(level.wait())).cancel()


async def test_wake_releases_the_waiter(level: Readiness) -> None:
    """wake() ends a wait() though the level is not set."""
    task = await parked(level.wait())
    level.wake()
    await task


async def test_wake_leaves_the_level(level: Readiness) -> None:
    """After wake(), the next wait() waits: the level is as it was."""
    task = await parked(level.wait())
    level.wake()
    await task
    (await parked(level.wait())).cancel()


async def test_wake_is_not_kept(level: Readiness) -> None:
    """A wake() with nobody waiting is no level."""
    level.wake()
    (await parked(level.wait())).cancel()


async def test_waking_twice(level: Readiness) -> None:
    """A waiter that was woken and has not run yet can be woken again."""
    task = await parked(level.wait())
    level.set()
    level.wake()
    await task


async def test_one_waiter(level: Readiness) -> None:
    """A second task that waits is told what the first is doing."""
    task = await parked(level.wait())
    with pytest.raises(ConcurrencyError, match="another task is already receiving from tun0"):
        await level.wait()
    task.cancel()


async def test_one_waiter_while_the_level_is_set(level: Readiness) -> None:
    """A second task is refused also while the first has its turn with the level set."""
    level.set()
    task = asyncio.create_task(level.wait())
    await turns(1)
    with pytest.raises(ConcurrencyError):
        await level.wait()
    await task


async def test_a_refused_waiter_disturbs_nobody(level: Readiness) -> None:
    """After a second waiter was refused, the first is woken as ever."""
    task = await parked(level.wait())
    with pytest.raises(ConcurrencyError):
        await level.wait()
    level.set()
    await task


async def test_a_cancelled_wait_leaves_the_place(level: Readiness) -> None:
    """After a cancelled wait() another task may wait."""
    task = await parked(level.wait())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (await parked(level.wait())).cancel()


async def test_a_cancelled_wait_keeps_the_level(level: Readiness) -> None:
    """A wait() cancelled after the level was set consumes nothing of it."""
    task = await parked(level.wait())
    level.set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await level.wait()


async def test_waking_a_cancelled_waiter(level: Readiness) -> None:
    """A waiter cancelled in the same turn can still be woken, to no effect."""
    task = await parked(level.wait())
    task.cancel()
    level.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waiting_is_told(level: Readiness) -> None:
    """waiting says whether a task waits."""
    task = await parked(level.wait())
    assert level.waiting
    level.set()
    await task
    assert not level.waiting


def test_the_loop_of_another_thread_is_left_alone(level: Readiness) -> None:
    """While the loop of the last wait runs in another thread, no other may wait, and the text says what to do."""
    level.set()
    with loop_in_a_thread() as first:
        asyncio.run_coroutine_threadsafe(level.wait(), first).result()
        with pytest.raises(RuntimeError, match="another thread's event loop was already receiving from tun0; go on"):
            asyncio.run(level.wait())


def test_the_next_loop_is_welcome(level: Readiness) -> None:
    """Once the first event loop is closed, a task of another one may wait."""
    level.set()
    asyncio.run(level.wait())
    asyncio.run(level.wait())


def test_a_loop_that_stands_still_is_left(level: Readiness) -> None:
    """A task of another loop may wait while nobody waits in the first, and that does not run."""
    level.set()
    with asyncio.Runner() as first, asyncio.Runner() as second:
        for runner in (first, second, first):
            runner.run(level.wait())
            assert level.loop is runner.get_loop()


def test_a_waiter_of_a_loop_that_stands_still_is_one() -> None:
    """A task that waits in a loop that does not run at the moment keeps others from waiting."""
    level = Readiness("receiving from tun0")
    with asyncio.Runner() as first, asyncio.Runner() as second:
        task = first.run(parked(level.wait()))
        with pytest.raises(ConcurrencyError):
            second.run(level.wait())
        level.wake()
        first.run(asyncio.wait_for(task, 10))


def test_a_waiter_of_a_closed_loop_is_not_woken(level: Readiness) -> None:
    """wake() asks nothing of a loop that was closed with a task waiting, which would raise."""
    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(parked(level.wait()))
    loop.close()
    level.wake()
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # that it never ended is the point here
    assert not level.waiting


async def test_repr(level: Readiness) -> None:
    """The repr says what is awaited, and whether it is set or waited for."""
    assert repr(level) == "<Readiness receiving from tun0: idle>"
    task = await parked(level.wait())
    assert repr(level) == "<Readiness receiving from tun0: waiting>"
    level.set()
    await task
    assert repr(level) == "<Readiness receiving from tun0: set>"


def test_nothing_to_disarm(level: Readiness) -> None:
    """A level that a driver tells has nothing in the event loop to remove."""
    level.disarm()


# --- a descriptor's level -------------------------------------------------------------------------


async def test_readable(pair: Ends) -> None:
    """A reader is woken when there is something to read."""
    readable = reader(pair)
    task = await parked(readable.wait())
    pair[0].send(b"x")
    await task
    readable.disarm()


async def test_readable_at_once(pair: Ends) -> None:
    """A reader is woken for what was there before it waited."""
    readable = reader(pair)
    pair[0].send(b"x")
    await readable.wait()
    readable.disarm()


async def test_writable(pair: Ends) -> None:
    """A writer is woken when there is room again."""
    fill(pair[1])
    writable = FdReadiness("sending to tun0", pair[1].fileno(), writing=True)
    task = await parked(writable.wait())
    empty(pair[0])
    await task
    writable.disarm()


async def read_one(readable: FdReadiness, end: socket.socket) -> None:
    while True:
        try:
            end.recv(1)
            return
        except BlockingIOError:
            await readable.wait()


@on_asyncio
@pytest.mark.parametrize(("method", "times"), [("add_reader", 1), ("remove_reader", 0)])
async def test_registered_once(method: str, times: int, pair: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a task reads and waits in turn, the descriptor is registered once and never removed."""
    calls = Calls(method, monkeypatch)
    readable = reader(pair)

    async def read() -> None:
        for _ in range(5):
            await read_one(readable, pair[1])
        assert calls.count == times

    task = asyncio.create_task(read())
    for _ in range(5):
        await turns()
        pair[0].send(b"x")
    await task
    readable.disarm()


async def test_dropped_when_it_fires_in_vain(pair: Ends) -> None:
    """A descriptor that fires with nobody waiting is no longer watched."""
    readable = reader(pair)
    task = await parked(readable.wait())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    pair[0].send(b"x")
    await turns()
    assert pair[1].fileno() not in watched_fds()


async def test_watched_between_waits(pair: Ends) -> None:
    """A descriptor with nothing to read stays watched after a cancelled wait()."""
    readable = reader(pair)
    task = await parked(readable.wait())
    task.cancel()
    await turns()
    assert pair[1].fileno() in watched_fds()
    readable.disarm()


async def test_waiting_again_after_it_was_dropped(pair: Ends) -> None:
    """A descriptor that was dropped is registered again by the next wait()."""
    readable = reader(pair)
    pair[0].send(b"x")
    await readable.wait()
    await turns()  # fires in vain
    empty(pair[1])
    task = await parked(readable.wait())
    pair[0].send(b"x")
    await task
    readable.disarm()


async def test_firing_at_a_woken_waiter(pair: Ends) -> None:
    """A descriptor that fires at a waiter already woken does no harm."""
    readable = reader(pair)
    task = await parked(readable.wait())
    readable.wake()
    readable._fire()
    await task
    readable.disarm()


async def test_disarm_leaves_the_loop(pair: Ends) -> None:
    """After disarm() the loop watches the descriptor no more."""
    readable = reader(pair)
    (await parked(readable.wait())).cancel()
    readable.disarm()
    await turns()
    assert pair[1].fileno() not in watched_fds()


async def test_disarm_of_a_writer_leaves_the_loop(pair: Ends) -> None:
    """After disarm() of a writer the loop watches the descriptor no more."""
    fill(pair[1])
    writable = FdReadiness("sending to tun0", pair[1].fileno(), writing=True)
    (await parked(writable.wait())).cancel()
    writable.disarm()
    await turns()
    assert pair[1].fileno() not in watched_fds()


async def test_disarm_is_idempotent(pair: Ends) -> None:
    """disarm() may be called again, and before anything was registered."""
    readable = reader(pair)
    readable.disarm()
    (await parked(readable.wait())).cancel()
    readable.disarm()
    readable.disarm()


def test_disarm_after_the_loop(pair: Ends) -> None:
    """disarm() after the event loop was closed asks nothing of it."""
    readable = reader(pair)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(readable.wait(), 0.001))
    readable.disarm()


def test_the_next_loop_is_armed(pair: Ends) -> None:
    """In a new event loop a descriptor is registered anew: what the closed loop knew counts no more."""
    readable = reader(pair)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(readable.wait(), 0.001))
    pair[0].send(b"x")

    async def again() -> None:
        async with asyncio.timeout(10):
            await readable.wait()
        readable.disarm()

    asyncio.run(again())


def test_a_loop_that_stands_still_is_disarmed(pair: Ends) -> None:
    """A loop that another one takes the descriptor over from watches it no more."""
    readable = reader(pair)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(cancelled(readable))
        assert watched_fds()[pair[1].fileno()] == 1
        second.run(readable.wait())
        assert not watched_fds()[pair[1].fileno()]


async def cancelled(readiness: Readiness) -> None:
    """Wait in vain: the descriptor stays watched."""
    task = await parked(readiness.wait())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
