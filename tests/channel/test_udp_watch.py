"""One socket that many wait for."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from aiotun import ConcurrencyError
from aiotun.channel.udp_watch import SharedReadiness, Watch
from aiotun.endpoint import turn
from aiotun.endpoint.busy import BusyPoll
from aiotun.testing import watched_fds
from aiotun.testing.expect import parked, turns


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


async def test_everybody_is_woken_by_one_watch(pair: tuple[socket.socket, socket.socket]) -> None:
    """However many wait, the loop watches the socket once, and what fires decides whom it wakes."""
    watch = Watch(pair[0].fileno(), lambda: watch.wake())
    waiters = [await parked(SharedReadiness(f"waiting {number}", watch).wait()) for number in range(3)]
    assert watched_fds()[pair[0].fileno()] == 1
    pair[1].send(b"1")
    await asyncio.gather(*waiters)
    watch.close()
    assert watched_fds()[pair[0].fileno()] == 0


async def test_it_is_dropped_when_nobody_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    """After the last waiter was cancelled the socket is watched until it fires, once, in vain."""
    fired = 0

    def fire() -> None:
        nonlocal fired
        fired += 1

    watch = Watch(pair[0].fileno(), fire)
    task = await parked(SharedReadiness("waiting", watch).wait())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    pair[1].send(b"1")
    while watch.loop is not None:
        await turn()
    assert (fired, watched_fds()[pair[0].fileno()]) == (0, 0)


async def test_a_second_waiter_does_not_end_the_first(pair: tuple[socket.socket, socket.socket]) -> None:
    """A second wait at one level is refused, and the first goes on."""
    watch = Watch(pair[0].fileno(), lambda: watch.wake())
    readiness = SharedReadiness("waiting", watch)
    task = await parked(readiness.wait())
    with pytest.raises(ConcurrencyError):
        await readiness.wait()
    pair[1].send(b"1")
    await task
    watch.close()


async def test_a_level_that_is_set_does_not_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    """What is ready already takes one turn of the loop, and no watch."""
    watch = Watch(pair[0].fileno(), lambda: None)
    readiness = SharedReadiness("waiting", watch)
    readiness.set()
    await readiness.wait()
    assert watch.loop is None


@pytest.fixture
def arrivals(monkeypatch: pytest.MonkeyPatch) -> list[BusyPoll]:
    """Whom the arrivals are told to that keep a loop awake."""
    arrivals: list[BusyPoll] = []
    monkeypatch.setattr(BusyPoll, "arrived", lambda poll: arrivals.append(poll))
    return arrivals


async def test_an_arrival_is_told_once(pair: tuple[socket.socket, socket.socket], arrivals: list[BusyPoll]) -> None:
    """However many wait, what arrives keeps the loop awake on behalf of the one socket."""

    def fire() -> None:
        pair[0].recv(1)
        watch.wake()

    watch = Watch(pair[0].fileno(), fire)
    watch.busy.set(1)
    waiters = [await parked(SharedReadiness(f"waiting {number}", watch).wait()) for number in range(3)]
    pair[1].send(b"1")
    await asyncio.gather(*waiters)
    watch.close()
    assert arrivals == [watch.busy]


async def test_an_arrival_in_vain_keeps_the_loop_awake(pair: tuple[socket.socket, socket.socket]) -> None:
    """What arrives while nobody waits ends nothing that keeps the loop awake: somebody is about to wait again."""
    watch = Watch(pair[0].fileno(), lambda: None)
    watch.busy.set(60)
    (await parked(SharedReadiness("waiting", watch).wait())).cancel()
    await turns()
    pair[1].send(b"1")
    while watch.loop is not None:
        await turn()
    vigil = watch.busy._vigil
    assert vigil is not None and vigil._call is not None
    watch.close()


async def test_closing_lets_the_loop_sleep(pair: tuple[socket.socket, socket.socket]) -> None:
    """A watch that is closed keeps no loop awake."""
    watch = Watch(pair[0].fileno(), lambda: None)
    watch.busy.set(60)
    watch.busy.arrived()
    vigil = watch.busy._vigil
    watch.close()
    assert vigil is not None and vigil._call is None


async def test_writing_is_watched_apart(pair: tuple[socket.socket, socket.socket]) -> None:
    """A watch for writing fires while there is room."""
    watch = Watch(pair[0].fileno(), lambda: watch.wake(), writing=True)
    await SharedReadiness("sending", watch).wait()
    watch.close()


async def test_another_threads_loop_is_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    """While the loop of one thread watches, another's is told so."""
    watch = Watch(pair[0].fileno(), lambda: watch.wake())
    task = await parked(SharedReadiness("waiting here", watch).wait())
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            asyncio.run(SharedReadiness("waiting there", watch).wait())
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    while thread.is_alive():
        await turn()
    thread.join()
    assert [str(error) for error in errors] == [
        "waiting there: the socket is used in another thread's event loop; go on there"
    ]
    task.cancel()
    await turns()
    watch.close()
