"""Pausing while packets stream in."""

from __future__ import annotations

import asyncio
import os

import pytest

from aiotun.endpoint import moderation, turn
from aiotun.endpoint.moderation import ModeratedReadiness
from aiotun.testing import watched_fds


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("aiotun.endpoint.moderation.time.perf_counter", clock)
    return clock


async def turns() -> None:
    """Let uvloop tell epoll what it is to watch, which it does only before it waits."""
    for _ in range(4):
        await turn()


def read_empty(readiness: ModeratedReadiness, clock: Clock, packets: int, *, after: float) -> None:
    """Let the device be read empty, *after* seconds, with so many packets."""
    clock.now += after
    readiness.emptied(packets)


async def test_a_stream_is_paused_for(clock: Clock, pipe: tuple[int, int]) -> None:
    """After several packets in little time the wait ends by the pause, without the device being ready."""
    readiness = ModeratedReadiness("receiving", pipe[0])
    read_empty(readiness, clock, 5, after=49e-6)
    await readiness.wait()
    readiness.disarm()


async def test_the_device_is_not_watched_in_a_pause(clock: Clock, pipe: tuple[int, int]) -> None:
    """During a pause the loop does not watch the device, which would fire at every turn."""
    readiness = ModeratedReadiness("receiving", pipe[0])
    os.write(pipe[1], b"x")
    await readiness.wait()
    read_empty(readiness, clock, 5, after=49e-6)
    task = asyncio.create_task(readiness.wait())
    await turns()
    assert not watched_fds()[pipe[0]]
    await task
    readiness.disarm()


@pytest.mark.parametrize(("packets", "after"), [(1, 1e-6), (5, 51e-6), (0, 1e-6)])
async def test_anything_less_than_a_stream_waits_for_the_device(
    clock: Clock, pipe: tuple[int, int], packets: int, after: float
) -> None:
    """A lone packet, or several that took their time, leave the wait to the device."""
    readiness = ModeratedReadiness("receiving", pipe[0])
    read_empty(readiness, clock, packets, after=after)
    task = asyncio.create_task(readiness.wait())
    await turns()
    assert watched_fds()[pipe[0]]
    os.write(pipe[1], b"x")
    await task
    readiness.disarm()


@pytest.mark.parametrize(
    ("batch", "packets"),
    [([bytes(52)] * 20, 0), ([bytes(1400), bytes(1400)], 2), ([bytes(65535)], 46)],
    ids=["acknowledgments", "full packets", "a super-packet"],
)
def test_full_packets_are_counted_by_their_bytes(batch: list[bytes], packets: int) -> None:
    """A super-packet counts as the packets it stands for, and what acknowledges a stream is none itself."""
    assert moderation.full_packets(batch) == packets


async def test_one_lone_packet_ends_it(clock: Clock, pipe: tuple[int, int]) -> None:
    """The first pause that brings one packet or none is the last."""
    readiness = ModeratedReadiness("receiving", pipe[0])
    read_empty(readiness, clock, 5, after=49e-6)
    await readiness.wait()
    read_empty(readiness, clock, 1, after=1e-6)
    os.write(pipe[1], b"x")
    await readiness.wait()
    assert watched_fds()[pipe[0]]
    readiness.disarm()


async def test_a_task_cancelled_in_its_pause_leaves_the_next_to_the_device(clock: Clock, pipe: tuple[int, int]) -> None:
    """One pause a read: whoever waits after a cancel is not kept from packets that are there."""
    readiness = ModeratedReadiness("receiving", pipe[0])
    read_empty(readiness, clock, 5, after=49e-6)
    task = asyncio.create_task(readiness.wait())
    await turn()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    task = asyncio.create_task(readiness.wait())
    await turns()
    assert watched_fds()[pipe[0]]
    os.write(pipe[1], b"x")
    await task
    readiness.disarm()


def test_a_pause_in_a_second_loop_ends(clock: Clock, pipe: tuple[int, int]) -> None:
    """The timer follows the endpoint into another event loop, when the first is closed."""
    readiness = ModeratedReadiness("receiving", pipe[0])

    async def pause() -> None:
        read_empty(readiness, clock, 5, after=49e-6)
        async with asyncio.timeout(5):
            await readiness.wait()

    asyncio.run(pause())
    asyncio.run(pause())
    readiness.disarm()


@pytest.mark.parametrize("pause", [100_000, 250_000])
async def test_a_pause_is_as_long_as_was_asked_for(
    clock: Clock, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, pause: int
) -> None:
    """Where one read gives many packets, the pause may be longer."""
    started: list[int] = []
    start = moderation.Timer.start

    def note(timer: moderation.Timer, nanoseconds: int) -> None:
        started.append(nanoseconds)
        start(timer, nanoseconds)

    monkeypatch.setattr(moderation.Timer, "start", note)
    readiness = ModeratedReadiness("receiving", pipe[0], pause=pause)
    read_empty(readiness, clock, 5, after=49e-6)
    await readiness.wait()
    assert started == [pause]
    readiness.disarm()


async def test_a_timer_started_anew_does_not_fire_early(pipe: tuple[int, int]) -> None:
    """A start between expiry and callback takes the expiry back, without an error in the loop."""
    fired: list[bool] = []
    timer = moderation.Timer(asyncio.get_running_loop(), lambda: fired.append(True))
    timer.start(10**9)
    timer._expired()
    assert not fired
    timer.close()


async def test_an_expired_timer_is_quiet_afterwards(pipe: tuple[int, int]) -> None:
    """A timer fires once a start, not at every turn of the loop from then on."""
    fired: list[bool] = []
    timer = moderation.Timer(asyncio.get_running_loop(), lambda: fired.append(True))
    timer.start(1)
    while not fired:
        await turn()
    for _ in range(20):
        await turn()
    timer.close()
    assert len(fired) == 1


async def test_disarm_leaves_nothing(clock: Clock, pipe: tuple[int, int]) -> None:
    """After disarm() the loop watches neither device nor timer, and the timer's descriptor is closed."""
    await turns()
    before = watched_fds()
    open_before = len(os.listdir("/proc/self/fd"))
    readiness = ModeratedReadiness("receiving", pipe[0])
    read_empty(readiness, clock, 5, after=49e-6)
    await readiness.wait()
    readiness.disarm()
    await turns()
    assert watched_fds() == before
    assert len(os.listdir("/proc/self/fd")) == open_before


async def test_a_timer_that_cannot_be_had_is_done_without(
    clock: Clock, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a descriptor for the timer the wait is for the device, as ever."""

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(moderation, "Timer", refuse)
    readiness = ModeratedReadiness("receiving", pipe[0])
    read_empty(readiness, clock, 5, after=49e-6)
    os.write(pipe[1], b"x")
    await readiness.wait()
    assert watched_fds()[pipe[0]]
    readiness.disarm()
