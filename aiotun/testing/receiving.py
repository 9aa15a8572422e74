"""Checks: what receiving promises."""

from __future__ import annotations

import asyncio
import select

from ..errors import ConcurrencyError, WouldBlock
from .expect import drain, expect, expect_error, numbers, parked, turns
from .rig import MakeRig

__all__ = ["CHECKS"]


async def packets_arrive_whole_and_in_order(make: MakeRig) -> None:
    """recv() returns every packet as the stack sent it, in order, from the smallest to the mtu."""
    async with make() as rig:
        sizes = [28, 29, 64, 576, 1280, 1499, 1500]
        sent = [rig.packet(number, size) for number, size in enumerate(sizes)]
        rig.output(sent)
        received = [await rig.endpoint.recv() for _ in sent]
        expect(received == sent, f"sent {numbers(rig, sent)}, received {numbers(rig, received)}")


async def recv_waits_for_a_packet(make: MakeRig) -> None:
    """recv() waits while nothing is queued, and returns the packet that comes."""
    async with make() as rig:
        task = await parked(rig.endpoint.recv())
        rig.output([rig.packet(7)])
        expect(rig.number(await task) == 7, "another packet came")


async def recv_many_returns_at_most_the_limit(make: MakeRig) -> None:
    """recv_many(limit) returns what is queued, up to the limit, and leaves the rest."""
    async with make() as rig:
        rig.output([rig.packet(number) for number in range(10)])
        first, second = await rig.endpoint.recv_many(6), await rig.endpoint.recv_many(6)
        expect(numbers(rig, first) == list(range(6)), f"first batch: {numbers(rig, first)}")
        expect(numbers(rig, second) == list(range(6, 10)), f"second batch: {numbers(rig, second)}")


async def recv_nowait_takes_or_refuses(make: MakeRig) -> None:
    """recv_nowait() returns a queued packet at once, and raises WouldBlock when there is none."""
    async with make() as rig:
        with expect_error(WouldBlock, rig.endpoint.name):
            rig.endpoint.recv_nowait()
        rig.output([rig.packet(1), rig.packet(2)])
        expect(rig.number(rig.endpoint.recv_nowait()) == 1, "not the first packet")
        expect(rig.number(rig.endpoint.recv_nowait()) == 2, "not the second packet")
        with expect_error(WouldBlock):
            rig.endpoint.recv_many_nowait()


async def mixed_forms_keep_the_order(make: MakeRig) -> None:
    """What one form of receiving read ahead, another returns first."""
    async with make() as rig:
        rig.output([rig.packet(number) for number in range(8)])
        received = [await rig.endpoint.recv(), rig.endpoint.recv_nowait(), *await rig.endpoint.recv_many(2)]
        received += rig.endpoint.recv_many_nowait(1)
        async for packet in rig.endpoint:
            received.append(packet)
            if len(received) == 8:
                break
        expect(numbers(rig, received) == list(range(8)), f"received {numbers(rig, received)}")


async def readable_wakes_and_takes_nothing(make: MakeRig) -> None:
    """readable() waits for a packet and leaves it where it is."""
    async with make() as rig:
        task = await parked(rig.endpoint.readable())
        rig.output([rig.packet(3)])
        await task
        expect(rig.number(rig.endpoint.recv_nowait()) == 3, "the packet is not there")


async def fileno_polls_readable(make: MakeRig) -> None:
    """poll() on fileno() reports the device readable exactly while packets are queued."""
    async with make() as rig:
        poll = select.poll()
        poll.register(rig.endpoint.fileno(), select.POLLIN)
        expect(not poll.poll(0), "readable with nothing queued")
        rig.output([rig.packet(1), rig.packet(2)])
        expect(poll.poll(0), "not readable with two packets queued")
        rig.endpoint.recv_nowait()
        expect(poll.poll(0), "not readable with one packet queued")
        rig.endpoint.recv_nowait()
        expect(not poll.poll(0), "readable after the last packet was taken")


async def a_second_receiver_is_refused(make: MakeRig) -> None:
    """A second task that receives while one waits gets ConcurrencyError; the first is undisturbed."""
    async with make() as rig:
        task = await parked(rig.endpoint.recv())
        with expect_error(ConcurrencyError, rig.endpoint.name):
            await rig.endpoint.recv()
        with expect_error(ConcurrencyError, rig.endpoint.name):
            await rig.endpoint.readable()
        rig.output([rig.packet(5)])
        expect(rig.number(await task) == 5, "the first receiver lost its packet")


async def a_full_queue_drops_and_counts(make: MakeRig) -> None:
    """Packets beyond the queue's length are dropped under a reason, and none disappears uncounted."""
    async with make(queue_length=20) as rig:
        before = rig.endpoint.statistics()
        rig.output([rig.packet(number) for number in range(50)])
        received = drain(rig.endpoint)
        after = rig.endpoint.statistics()
        expect(before.interface is not None and after.interface is not None, "the interface counts nothing")
        assert before.interface is not None and after.interface is not None  # for the type checker
        dropped = sum(after.interface.dropped.values()) - sum(before.interface.dropped.values())
        expect(dropped, "nothing was dropped")
        expect(len(received) + dropped == 50, f"50 sent, {len(received)} received, {dropped} dropped")
        expect(numbers(rig, received) == list(range(len(received))), "what was queued first was not kept")


async def a_timeout_loses_nothing(make: MakeRig) -> None:
    """A timeout that ends recv() leaves the packet that comes later to the next recv()."""
    async with make() as rig:
        with expect_error(TimeoutError):
            async with asyncio.timeout(0):
                await rig.endpoint.recv()
        rig.output([rig.packet(9)])
        expect(rig.number(await rig.endpoint.recv()) == 9, "another packet came")


async def a_flood_lets_others_run(make: MakeRig) -> None:
    """While packets come, 64 at a time, every other task gets its turn at least once per batch of them."""
    async with make() as rig:
        counted = 0

        async def count_turns() -> None:
            nonlocal counted
            while True:
                counted += 1
                await turns(1)

        other = asyncio.create_task(count_turns())
        await turns(1)
        start = counted
        for burst in range(10):
            rig.output([rig.packet(number) for number in range(64)])
            for _ in range(64):
                await rig.endpoint.recv()
            expect(counted - start > burst, f"{burst + 1} batches of 64, {counted - start} turns for another task")
        other.cancel()


CHECKS = (
    packets_arrive_whole_and_in_order,
    recv_waits_for_a_packet,
    recv_many_returns_at_most_the_limit,
    recv_nowait_takes_or_refuses,
    mixed_forms_keep_the_order,
    readable_wakes_and_takes_nothing,
    fileno_polls_readable,
    a_second_receiver_is_refused,
    a_full_queue_drops_and_counts,
    a_timeout_loses_nothing,
    a_flood_lets_others_run,
)
