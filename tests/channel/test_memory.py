"""A link in memory: in time, with back-pressure, and an end that lets arrive what is under way."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest
from loops import loop_in_a_thread

from aiotun import DeviceDown, DeviceError, DeviceGone, Event, EventKind, WouldBlock
from aiotun.channel import Impairment, MemoryChannel, memory_pair
from aiotun.testing.expect import drain, parked, turns

PACKETS = [number.to_bytes(4, "big") for number in range(2000)]


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = selectors.DefaultSelector()
        select = selector.select

        def jump(timeout: float | None = None) -> Any:
            self._now += timeout or 0.0
            return select(0 if timeout is not None else None)

        selector.select = jump  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self._now


def jump(program: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(program)


async def receive(channel: MemoryChannel, count: int) -> list[bytes]:
    packets: list[bytes] = []
    while len(packets) < count:
        packets += await channel.recv_many()
    return packets


async def test_packets_go_both_ways() -> None:
    """What one end sends the other receives."""
    one, other = memory_pair()
    async with one, other:
        await one.send(b"1")
        await other.send(b"2")
        assert (await other.recv(), await one.recv()) == (b"1", b"2")
        assert (one.name, other.name) == ("memory a", "memory b")


def test_hours_take_no_time() -> None:
    """A receiver on a loop with a jumping clock gets a packet that takes an hour, an hour later."""

    async def program() -> None:
        one, other = memory_pair(Impairment(delay=3600.0), Impairment(delay=0.5))
        loop = asyncio.get_running_loop()
        async with one, other:
            await one.send(b"1")
            assert await other.recv() == b"1"
            there = loop.time()
            await other.send(b"2")
            assert await one.recv() == b"2"
            assert there == pytest.approx(3600)
            assert loop.time() - there == pytest.approx(0.5)

    jump(program())


def test_a_rate_limits_who_waits() -> None:
    """2000 packets of 4 bytes at 64 kb/s take a second, though their sender waits for a queue of 10."""

    async def program() -> None:
        one, other = memory_pair(Impairment(rate=64_000, queue_length=10))
        async with one, other:
            sender = asyncio.create_task(one.send_many(PACKETS))
            assert await receive(other, 2000) == PACKETS
            await sender
            assert asyncio.get_running_loop().time() == pytest.approx(1.0)

    jump(program())


def test_one_timer_a_direction() -> None:
    """However many packets are under way, the loop has one timer for them."""

    async def program() -> None:
        one, other = memory_pair(Impairment(delay=(1.0, 2.0), reorder=0.5))
        async with one, other:
            for packet in PACKETS[:500]:
                one.send_nowait(packet)
                await turns(1)
            loop: Any = asyncio.get_running_loop()
            assert sum(not handle._cancelled for handle in loop._scheduled) == 1

    jump(program())


async def test_a_timer_of_this_loop() -> None:
    """On a real clock a delayed packet arrives, and wakes its receiver."""
    one, other = memory_pair(Impairment(delay=(0.001, 0.003)))
    async with one, other:
        await one.send_many(PACKETS[:100])
        assert await receive(other, 100) == PACKETS[:100]


async def test_a_full_direction_lets_its_sender_wait() -> None:
    """send() waits while a direction holds its limit, and goes on as the receiver takes (F2)."""
    one, other = memory_pair(limit=100)
    async with one, other:
        sender = await parked(one.send_many(PACKETS))
        assert one.outgoing().queued == 100
        with pytest.raises(WouldBlock):
            one.send_nowait(b"1")
        assert await receive(other, 2000) == PACKETS
        await sender


async def test_a_full_direction_may_drop() -> None:
    """With when_full="drop" the sender does not wait, and what is beyond the limit is counted."""
    one, other = memory_pair(limit=100, when_full="drop")
    async with one, other:
        await one.send_many(PACKETS)
        assert drain(other) == PACKETS[:100]
        counts = one.outgoing()
        assert (counts.sent, counts.delivered, dict(counts.dropped)) == (2000, 100, {"queue_full": 1900})


def test_the_same_seed_is_the_same_fate() -> None:
    """The same packets with the same seed arrive the same, and otherwise with another; each direction for itself."""
    fates = []
    for seed in (1, 1, 2):
        one, other = memory_pair(Impairment(loss=0.3, duplicate=0.1, corrupt=0.1), seed=seed, limit=5000)
        one.send_many_nowait(PACKETS)
        other.send_many_nowait(PACKETS)
        fates.append((drain(other), drain(one)))
        asyncio.run(close(one, other))
    assert fates[0] == fates[1] != fates[2]
    assert fates[0][0] != fates[0][1]


async def close(*channels: MemoryChannel) -> None:
    for channel in channels:
        await channel.aclose()


async def test_an_impairment_may_change() -> None:
    """impair() holds from the next packet on, for this end's direction."""
    one, other = memory_pair()
    async with one, other:
        await one.send(b"1")
        one.impair(Impairment(loss=1.0))
        await one.send(b"2")
        one.impair(Impairment())
        await one.send(b"3")
        await other.send(b"4")
        assert (drain(other), drain(one)) == ([b"1", b"3"], [b"4"])


def test_closing_lets_arrive_what_is_under_way() -> None:
    """When the other end was closed, its packets still arrive; then receiving raises, and events() tell the end."""

    async def program() -> None:
        one, other = memory_pair(Impairment(delay=5.0))
        async with one, other:
            events = other.events()
            await one.send(b"1")
            await one.aclose()
            with pytest.raises(DeviceGone, match="^memory b: the other end was closed$"):
                await other.send(b"2")
            assert await other.recv() == b"1"
            with pytest.raises(DeviceGone, match="^memory b: the other end was closed$"):
                await other.recv()
            with pytest.raises(DeviceGone, match="^memory b: the other end was closed$"):
                await other.readable()
            assert asyncio.get_running_loop().time() == pytest.approx(5.0)
            assert [event.kind async for event in events] == [EventKind.GONE]

    jump(program())


async def test_closing_counts_what_nobody_received() -> None:
    """Packets towards an end that was closed are counted: those that had arrived by it, those under way by the link."""
    one, other = memory_pair(Impairment(delay=100.0))
    async with one, other:
        await one.send_many(PACKETS[:3])
        await other.aclose()
        counts = one.outgoing()
        assert (counts.sent, counts.queued, dict(counts.dropped)) == (3, 0, {"closed": 3})


async def test_a_link_flap() -> None:
    """A link that is down refuses, drops what is under way, and is told at both ends; it works again once it is up."""
    one, other = memory_pair(Impairment(delay=100.0), Impairment())
    async with one, other:
        events = [end.events() for end in (one, other)]
        await one.send_many(PACKETS[:3])
        await other.send(b"kept")
        one.set_link(False)
        one.set_link(False)
        for end in (one, other):
            with pytest.raises(DeviceDown, match=f"^{end.name}: the link is down$"):
                await end.send(b"1")
        waiting = await parked(other.writable())
        other.set_link(True)
        await waiting
        assert (drain(one), dict(one.outgoing().dropped)) == ([b"kept"], {"link_down": 3})
        for stream in events:
            assert [await anext(stream), await anext(stream)] == [Event(EventKind.DOWN), Event(EventKind.UP)]


async def test_it_has_no_descriptor_to_give_away() -> None:
    """detach_fd() is refused, and the channel stays open."""
    one, other = memory_pair()
    async with one, other:
        with pytest.raises(DeviceError, match="^memory a: a link in memory has no file descriptor to give away$"):
            one.detach_fd()
        await one.send(b"1")


async def test_both_ends_are_of_one_loop() -> None:
    """An end in another thread's loop is refused, before anything of it is touched (E11)."""
    one, other = memory_pair()
    async with one, other:
        with loop_in_a_thread() as loop:
            waiting = asyncio.run_coroutine_threadsafe(other.recv(), loop)
            while other._port.readable.loop is not loop or not other._port.readable.waiting:
                await turns(1)
            with pytest.raises(RuntimeError, match="^memory a: the other end is used in another thread's event loop$"):
                one.send_nowait(b"1")
            waiting.cancel()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"when_full": "later"}, 'when_full is "wait" or "drop", not \'later\''),
        ({"limit": 0}, "mtu, limit and limit_bytes are at least 1, not 65535, 0, 16777216"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], text: str) -> None:
    """An option out of its range is refused, with what was given."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        memory_pair(**options)


async def test_what_is_under_way_is_counted_after_the_close() -> None:
    """outgoing() of an end that was closed still tells what becomes of the packets it sent."""
    one, other = memory_pair(Impairment(delay=0.01))
    async with other:
        async with one:
            await one.send_many([b"1", b"2"])
        assert one.outgoing().queued == 2
        await other.recv_many(2)
        assert (one.outgoing().sent, one.outgoing().delivered) == (2, 2)


def test_a_number_for_an_impairment() -> None:
    """A way is an Impairment; a bare number says nothing."""
    with pytest.raises(TypeError, match=r"^memory_pair: a way is an Impairment, such as .*, not 0\.1$"):
        memory_pair(0.1)  # type: ignore[arg-type]
