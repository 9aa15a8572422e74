"""Checks: what iteration promises."""

from __future__ import annotations

import asyncio

from ..errors import ConcurrencyError
from .expect import expect, expect_error, numbers, parked
from .rig import MakeRig, Rig

__all__ = ["CHECKS"]


async def _take(rig: Rig, count: int) -> list[int]:
    """Iterate over *count* packets and return their numbers."""
    taken: list[int] = []
    async for packet in rig.endpoint:
        taken.append(rig.number(packet))
        if len(taken) == count:
            break
    return taken


async def iteration_yields_packets_in_order(make: MakeRig) -> None:
    """``async for`` yields every packet once, in order, beyond the size of a batch."""
    async with make() as rig:
        rig.output([rig.packet(number) for number in range(300)])
        taken = await _take(rig, 300)
        expect(taken == list(range(300)), f"took {taken}")


async def a_break_loses_nothing(make: MakeRig) -> None:
    """After a break in the middle of a batch, a new iteration goes on with the next packet."""
    async with make() as rig:
        rig.output([rig.packet(number) for number in range(30)])
        taken = await _take(rig, 7) + await _take(rig, 1) + await _take(rig, 22)
        expect(taken == list(range(30)), f"took {taken}")


async def an_iterator_survives_a_cancel(make: MakeRig) -> None:
    """The same iterator goes on after the task that waited in it was cancelled."""
    async with make() as rig:
        iterator = aiter(rig.endpoint)
        waiting = await parked(iterator.__anext__())
        waiting.cancel()
        with expect_error(asyncio.CancelledError):
            await waiting
        rig.output([rig.packet(4)])
        expect(rig.number(await anext(iterator)) == 4, "another packet came")


async def batches_yield_everything_in_order(make: MakeRig) -> None:
    """``batches(limit)`` yields lists of 1 to *limit* packets, every packet once, in order."""
    async with make() as rig:
        rig.output([rig.packet(number) for number in range(100)])
        taken: list[int] = []
        async for batch in rig.endpoint.batches(32):
            expect(1 <= len(batch) <= 32, f"a batch of {len(batch)}")
            taken += numbers(rig, batch)
            if len(taken) == 100:
                break
        expect(taken == list(range(100)), f"took {taken}")


async def a_second_iteration_is_refused(make: MakeRig) -> None:
    """A task that iterates while another waits in an iteration gets ConcurrencyError."""
    async with make() as rig:
        first = await parked(_take(rig, 1))
        with expect_error(ConcurrencyError, rig.endpoint.name):
            await _take(rig, 1)
        rig.output([rig.packet(0)])
        expect(await first == [0], "the first iteration lost its packet")


CHECKS = (
    iteration_yields_packets_in_order,
    a_break_loses_nothing,
    an_iterator_survives_a_cancel,
    batches_yield_everything_in_order,
    a_second_iteration_is_refused,
)
