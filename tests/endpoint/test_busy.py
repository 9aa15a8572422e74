"""Keeping the event loop awake for a while after something arrived."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from aiotun import DeviceClosed
from aiotun.endpoint import Endpoint, FdReadiness, Readiness, busy
from aiotun.endpoint.busy import BULK, REST, BusyPoll
from aiotun.endpoint.moderation import ModeratedReadiness
from aiotun.testing import (
    kernel_tap,
    kernel_tun,
    memory_channel,
    soft_tap,
    soft_tun,
    tcp_channel,
    tls_channel,
    udp_channel,
    udp_peer,
    unix_channel,
)
from aiotun.testing.expect import parked, turns
from aiotun.testing.rig import Rig

from .fakes import FakePort

on_asyncio = pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop does not let one see what it asks epoll

every_loop = pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop])


class Clock:
    """A clock that stands still until it is set, and counts who looks at it: a loop that is kept awake does."""

    def __init__(self) -> None:
        self.now = 4096.0
        self.looks = 0
        self._awaited: tuple[int, asyncio.Future[None]] | None = None

    def __call__(self) -> float:
        self.looks += 1
        if self._awaited is not None and self.looks >= self._awaited[0]:
            self._awaited[1].set_result(None)
            self._awaited = None
        return self.now

    async def looked_at(self, times: int = 10) -> None:
        """Wait until it was looked at so many times more. Nothing of the waiting keeps the loop awake."""
        future = asyncio.get_running_loop().create_future()
        self._awaited = self.looks + times, future
        async with asyncio.timeout(10):
            await future

    async def looks_in_turns(self, count: int = 10) -> int:
        """Return how often it is looked at in so many turns of the loop."""
        before = self.looks
        await turns(count)
        return self.looks - before


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(busy, "time", SimpleNamespace(monotonic=clock))
    return clock


def polling(seconds: float = 1) -> BusyPoll:
    """Return what was told of an arrival just now."""
    poll = BusyPoll()
    poll.set(seconds)
    poll.arrived()
    return poll


# --- one descriptor's -----------------------------------------------------------------------------


async def test_the_loop_stays_awake(clock: Clock) -> None:
    """After an arrival the loop comes around again and again while every task waits."""
    poll = polling()
    await clock.looked_at()
    poll.end()


@on_asyncio
async def test_the_loop_does_not_sleep(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is kept awake the loop asks what is ready without any time to wait for it."""
    timeouts: list[float | None] = []
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    select = selector.select

    def asked(timeout: float | None) -> Any:
        timeouts.append(timeout)
        return select(timeout)

    monkeypatch.setattr(selector, "select", asked)
    poll = polling()
    await clock.looked_at()
    poll.end()
    assert len(timeouts) >= 9 and set(timeouts) == {0}


async def test_it_ends_in_time(clock: Clock) -> None:
    """Once the seconds are over the loop is left alone."""
    poll = polling(5)
    clock.now += 5
    await turns(2)
    assert await clock.looks_in_turns() == 0
    poll.end()


async def test_the_next_arrival_moves_the_end(clock: Clock) -> None:
    """The seconds count from the last arrival."""
    poll = polling(5)
    clock.now += 4
    poll.arrived()
    clock.now += 4
    await clock.looked_at()
    poll.end()


async def test_an_arrival_after_the_end(clock: Clock) -> None:
    """An arrival after the seconds were over begins anew."""
    poll = polling(5)
    clock.now += 5
    await turns()
    poll.arrived()
    await clock.looked_at()
    poll.end()


async def test_end_is_at_once(clock: Clock) -> None:
    """After end() nothing of it is called any more."""
    poll = polling()
    poll.end()
    assert await clock.looks_in_turns() == 0


async def test_end_may_be_said_again(clock: Clock) -> None:
    """end() may be called twice, and before anything arrived."""
    BusyPoll().end()
    poll = polling()
    poll.end()
    poll.end()


async def test_other_seconds_count_from_the_next_arrival(clock: Clock) -> None:
    """Setting the seconds ends what was begun with those before."""
    poll = polling(100)
    poll.set(1)
    assert await clock.looks_in_turns() == 0


# --- several in one loop --------------------------------------------------------------------------


async def test_two_are_one(clock: Clock) -> None:
    """Two that keep a loop awake have it look at the clock once a turn."""
    polls = polling(), polling()
    assert await clock.looks_in_turns(10) <= 11
    for poll in polls:
        poll.end()


async def test_the_longest_counts(clock: Clock) -> None:
    """A shorter time beside a longer one does not end it."""
    polls = polling(5), polling(1)
    clock.now += 4
    await clock.looked_at()
    for poll in polls:
        poll.end()


async def test_the_end_of_one_leaves_the_other(clock: Clock) -> None:
    """When one ends, the loop stays awake for the other, as long as that wants."""
    polls = polling(5), polling(1)
    polls[0].end()
    await clock.looked_at()
    clock.now += 1
    await turns(2)
    assert await clock.looks_in_turns() == 0
    polls[1].end()


# --- streams --------------------------------------------------------------------------------------


async def test_a_stream_lets_it_sleep(clock: Clock) -> None:
    """After a sign of a stream the loop may sleep, though something arrives."""
    poll = polling()
    poll.rest()
    await turns(2)
    poll.seconds = 2
    before = clock.looks
    poll.arrived()
    await turns(10)
    assert clock.looks == before + 1  # the arrival's own
    poll.end()


async def test_it_is_awake_after_a_stream(clock: Clock) -> None:
    """When no sign of a stream came for a while, the loop is awake again for the rest of the time."""
    poll = polling()
    poll.rest()
    await turns(2)
    clock.now += REST
    await clock.looked_at()
    poll.end()


@pytest.mark.parametrize(("size", "rests"), [(BULK, False), (BULK + 1, True)])
async def test_what_is_a_sign_of_a_stream(size: int, rests: bool, clock: Clock) -> None:
    """A wake-up that brought more than some full packets is a sign of a stream, and another is none."""
    poll = polling()
    poll.brought(size)
    await turns(2)
    assert (await clock.looks_in_turns() == 0) is rests
    poll.end()


async def test_end_while_it_rests(clock: Clock) -> None:
    """What ends in a stream leaves no timer in the loop."""
    poll = polling()
    poll.rest()
    await turns(2)
    call = busy._vigil_of(asyncio.get_running_loop())._call
    poll.end()
    assert call is not None and call.cancelled()


async def test_a_stream_before_any_arrival(clock: Clock) -> None:
    """A sign of a stream where nothing keeps the loop awake is of no effect."""
    poll = BusyPoll()
    poll.rest()
    assert await clock.looks_in_turns() == 0


# --- loops ----------------------------------------------------------------------------------------

MakeLoop = Callable[[], asyncio.AbstractEventLoop]


@every_loop
def test_it_keeps_no_loop_running(make_loop: MakeLoop, clock: Clock) -> None:
    """A loop that is kept awake ends when its main task does, and can be closed."""
    poll = BusyPoll()
    poll.set(1)

    async def main() -> None:
        poll.arrived()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())
    poll.end()


@every_loop
def test_the_next_loop(make_loop: MakeLoop, clock: Clock) -> None:
    """In the next loop an arrival counts, whatever the loop before was closed with."""
    poll = BusyPoll()
    poll.set(1)

    async def main() -> None:
        poll.arrived()
        await clock.looked_at()

    for _ in range(2):
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(main())
    poll.end()


@every_loop
def test_a_loop_that_stands_still_is_left(make_loop: MakeLoop, clock: Clock) -> None:
    """An arrival in another loop ends what was begun in the one before."""
    poll = BusyPoll()
    poll.set(1)

    async def main() -> None:
        poll.arrived()

    async def looks() -> int:
        return await clock.looks_in_turns()

    with asyncio.Runner(loop_factory=make_loop) as first, asyncio.Runner(loop_factory=make_loop) as second:
        first.run(main())
        second.run(main())
        assert first.run(looks()) == 0
    poll.end()


@every_loop
@pytest.mark.parametrize("rests", [False, True])
def test_a_closed_loop_is_forgotten(rests: bool, make_loop: MakeLoop, clock: Clock) -> None:
    """Nothing of a loop that was closed while it was kept awake is left once its descriptors are forgotten."""

    async def main() -> weakref.ref[Any]:
        poll = polling()
        if rests:
            poll.rest()
        await turns(2)
        return weakref.ref(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=make_loop) as runner:
        loop = runner.run(main())
    del runner
    gc.collect()
    assert loop() is None


# --- what tells of arrivals -----------------------------------------------------------------------


async def woken(readable: FdReadiness, pipe: tuple[int, int]) -> None:
    """Wait for something that comes."""
    task = await parked(readable.wait())
    os.write(pipe[1], b"x")
    await task
    os.read(pipe[0], 1)


async def test_a_descriptor_that_is_ready(clock: Clock, pipe: tuple[int, int]) -> None:
    """A descriptor that has something keeps the loop awake."""
    readable = FdReadiness("receiving", pipe[0])
    readable.busy.set(1)
    await woken(readable, pipe)
    await clock.looked_at()
    readable.disarm()


async def test_off_unless_asked_for(clock: Clock, pipe: tuple[int, int]) -> None:
    """Without seconds nobody looks at the clock."""
    readable = FdReadiness("receiving", pipe[0])
    await woken(readable, pipe)
    await turns()
    assert clock.looks == 0
    readable.disarm()


async def test_disarm_ends_it(clock: Clock, pipe: tuple[int, int]) -> None:
    """After disarm() nothing of it is in the loop."""
    readable = FdReadiness("receiving", pipe[0])
    readable.busy.set(1)
    await woken(readable, pipe)
    readable.disarm()
    assert await clock.looks_in_turns() == 0


async def test_a_pause_is_one(clock: Clock, pipe: tuple[int, int]) -> None:
    """While the wait is a pause for a stream, the loop sleeps."""
    readable = ModeratedReadiness("receiving", pipe[0])
    readable.busy.set(1)
    await woken(readable, pipe)
    readable.emptied(10**15)  # at whatever rate
    task = await parked(readable.wait())
    await turns(2)
    assert await clock.looks_in_turns() == 0
    task.cancel()
    readable.disarm()


async def test_a_level_that_is_told(clock: Clock) -> None:
    """A level that a driver tells, in process, keeps no loop awake."""
    level = Readiness("receiving")
    level.set()
    await level.wait()
    assert (level.busy, clock.looks) == (None, 0)


# --- the property ---------------------------------------------------------------------------------

MakeRig = Callable[[], AbstractAsyncContextManager[Rig]]

OF_THE_SYSTEM: list[Any] = [udp_channel, udp_peer, tcp_channel, unix_channel, tls_channel]
OF_THE_SYSTEM += [pytest.param(make, marks=pytest.mark.kernel) for make in (kernel_tun, kernel_tap)]
IN_PROCESS = [soft_tun, soft_tap, memory_channel]


@pytest.mark.parametrize("make", OF_THE_SYSTEM)
async def test_an_endpoint_of_the_system(make: MakeRig, clock: Clock) -> None:
    """An endpoint with a descriptor keeps the loop awake after a packet came, and not before."""
    async with make() as rig:
        rig.endpoint.busy_poll = 1
        task = await parked(rig.endpoint.recv())
        assert clock.looks == 0
        rig.output([rig.packet(0)])
        await task
        await clock.looked_at()
        assert rig.endpoint.busy_poll == 1.0


@pytest.mark.parametrize("make", OF_THE_SYSTEM)
async def test_closing_ends_it(make: MakeRig, clock: Clock) -> None:
    """When an endpoint is closed, nothing keeps the loop awake for it, and the property is 0."""
    async with make() as rig:
        rig.endpoint.busy_poll = 1
        task = await parked(rig.endpoint.recv())
        rig.output([rig.packet(0)])
        await task
        await rig.endpoint.aclose()
        if make is not udp_peer:  # there the server lives on
            assert await clock.looks_in_turns() == 0
        assert rig.endpoint.busy_poll == 0


@pytest.mark.parametrize("make", IN_PROCESS)
async def test_an_endpoint_in_process(make: MakeRig, clock: Clock) -> None:
    """An endpoint in process keeps no loop awake, whatever it is told, and says so."""
    async with make() as rig:
        rig.endpoint.busy_poll = 1
        task = await parked(rig.endpoint.recv())
        rig.output([rig.packet(0)])
        await task
        await turns()
        assert (rig.endpoint.busy_poll, clock.looks) == (0, 0)


async def test_it_is_off(clock: Clock) -> None:
    """Nothing keeps the loop awake until it is set."""
    async with udp_channel() as rig:
        assert rig.endpoint.busy_poll == 0


@pytest.mark.parametrize("seconds", [-1, -1e-9, math.nan, math.inf, -math.inf, 10**400])
async def test_numbers_that_are_no_time(seconds: float) -> None:
    """What is negative, or not finite, is refused."""
    async with Endpoint(FakePort()) as endpoint:
        with pytest.raises(ValueError, match="fake0: busy_poll is a finite number of seconds, 0 or more, not"):
            endpoint.busy_poll = seconds


@pytest.mark.parametrize("seconds", ["1", None, True, 1j])
async def test_no_numbers(seconds: Any) -> None:
    """What is no number is refused; True would be a whole second."""
    async with Endpoint(FakePort()) as endpoint:
        with pytest.raises(TypeError, match="fake0: busy_poll is a number of seconds, not"):
            endpoint.busy_poll = seconds


async def test_a_closed_endpoint_is_not_set() -> None:
    """To set it on a closed endpoint raises DeviceClosed."""
    endpoint = Endpoint(FakePort())
    await endpoint.aclose()
    with pytest.raises(DeviceClosed):
        endpoint.busy_poll = 1
