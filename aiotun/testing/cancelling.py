"""Checks: cancelled means it did not happen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from ..endpoint import Endpoint
from .expect import drain, expect, expect_error, numbers, parked, turns
from .rig import MakeRig, Rig

__all__ = ["CHECKS", "cancel_receiving", "cancel_sending"]

TRIALS = 300
"""Cancels in one check; the functions take more."""

Receive = Callable[[Endpoint], Coroutine[Any, Any, list[bytes]]]


async def _recv(endpoint: Endpoint) -> list[bytes]:
    return [await endpoint.recv()]


async def _recv_many(endpoint: Endpoint) -> list[bytes]:
    return await endpoint.recv_many(4)


async def _iterate(endpoint: Endpoint) -> list[bytes]:
    async for packet in endpoint:
        return [packet]
    return []


async def _iterate_batches(endpoint: Endpoint) -> list[bytes]:
    async for batch in endpoint.batches(4):
        return batch
    return []


RECEIVE: dict[str, Receive] = {
    "recv": _recv,
    "recv_many": _recv_many,
    "async for": _iterate,
    "batches": _iterate_batches,
}


async def cancel_receiving(rig: Rig, how: str, trials: int, *, seed: int = 1) -> None:
    """
    Cancel a receiver *trials* times, at random turns of the loop around a packet's arrival.

    Fails if a packet is lost, doubled or out of order, or if a cancel is swallowed. *how* is a key of RECEIVE.
    """
    chance = random.Random(seed)
    received: list[bytes] = []
    for number in range(trials):
        task = asyncio.create_task(RECEIVE[how](rig.endpoint))
        await turns(chance.randrange(4))
        rig.output([rig.packet(number)])
        await turns(chance.randrange(4))
        cancelled = task.cancel()
        try:
            received += await task
        except asyncio.CancelledError:
            continue
        expect(not cancelled, f"{how}: a cancel was swallowed")
    received += drain(rig.endpoint)
    expect(numbers(rig, received) == list(range(trials)), f"{how}: packets were lost, doubled or reordered")


async def cancel_sending(rig: Rig, trials: int, *, seed: int = 1) -> None:
    """Cancel a sender *trials* times at random turns; each packet was sent once, or its send was cancelled."""
    chance = random.Random(seed)
    for number in range(trials):
        task = asyncio.create_task(rig.endpoint.send(rig.packet(number)))
        await turns(chance.randrange(3))
        cancelled = task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            continue
        expect(not cancelled, "send: a cancel was swallowed")
        entered = numbers(rig, await rig.input(1))
        expect(entered == [number], f"send: sent {number}, next to enter was {entered}")
    await rig.endpoint.send(rig.packet(trials))
    expect(numbers(rig, await rig.input(1)) == [trials], "send: a cancelled packet was sent after all")


async def a_cancelled_recv_takes_nothing(make: MakeRig) -> None:
    """However recv() is cancelled around the arrival of a packet, no packet is lost."""
    async with make() as rig:
        await cancel_receiving(rig, "recv", TRIALS)


async def a_cancelled_recv_many_takes_nothing(make: MakeRig) -> None:
    """However recv_many() is cancelled around the arrival of a packet, no packet is lost."""
    async with make() as rig:
        await cancel_receiving(rig, "recv_many", TRIALS)


async def a_cancelled_iteration_takes_nothing(make: MakeRig) -> None:
    """However ``async for`` is cancelled around the arrival of a packet, no packet is lost."""
    async with make() as rig:
        await cancel_receiving(rig, "async for", TRIALS)


async def a_cancelled_iteration_of_batches_takes_nothing(make: MakeRig) -> None:
    """However ``batches()`` is cancelled around the arrival of a packet, no packet is lost."""
    async with make() as rig:
        await cancel_receiving(rig, "batches", TRIALS)


async def a_cancelled_send_sent_once_or_not_at_all(make: MakeRig) -> None:
    """However send() is cancelled, the packet was sent once if it returned, and not at all otherwise."""
    async with make() as rig:
        await cancel_sending(rig, TRIALS)


async def a_cancel_after_the_wakeup_takes_nothing(make: MakeRig) -> None:
    """A receiver cancelled after it was woken and before it ran leaves the packet to the next one."""
    async with make() as rig:
        task = await parked(rig.endpoint.recv())
        rig.output([rig.packet(8)])
        task.cancel()
        with expect_error(asyncio.CancelledError):
            await task
        expect(rig.number(await rig.endpoint.recv()) == 8, "the packet was lost")


CHECKS = (
    a_cancel_after_the_wakeup_takes_nothing,
    a_cancelled_recv_takes_nothing,
    a_cancelled_recv_many_takes_nothing,
    a_cancelled_iteration_takes_nothing,
    a_cancelled_iteration_of_batches_takes_nothing,
    a_cancelled_send_sent_once_or_not_at_all,
)
