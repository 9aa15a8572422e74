"""Checks: close is complete."""

from __future__ import annotations

import asyncio
import gc
import warnings

from ..endpoint import Endpoint
from ..errors import DeviceClosed
from .expect import expect, expect_error, parked, turns
from .ledger import Ledger
from .rig import MakeRig

__all__ = ["CHECKS", "open_and_close"]

CYCLES = 20
"""Openings in one check; open_and_close() takes more."""


async def _iterate(endpoint: Endpoint) -> str:
    async for _ in endpoint:
        pass
    return "ended"


async def close_ends_a_waiting_recv(make: MakeRig) -> None:
    """A recv() that waits when the endpoint is closed raises DeviceClosed."""
    async with make() as rig:
        task = await parked(rig.endpoint.recv())
        await rig.endpoint.aclose()
        with expect_error(DeviceClosed, rig.endpoint.name):
            await task


async def close_ends_a_waiting_readable(make: MakeRig) -> None:
    """A readable() that waits when the endpoint is closed raises DeviceClosed."""
    async with make() as rig:
        task = await parked(rig.endpoint.readable())
        await rig.endpoint.aclose()
        with expect_error(DeviceClosed, rig.endpoint.name):
            await task


async def close_ends_iteration_quietly(make: MakeRig) -> None:
    """An ``async for`` that waits when the endpoint is closed ends as if it were done."""
    async with make() as rig:
        task = await parked(_iterate(rig.endpoint))
        await rig.endpoint.aclose()
        expect(await task == "ended", "the iteration did not end")


async def close_ends_events(make: MakeRig) -> None:
    """A stream of events ends when the endpoint is closed."""
    async with make() as rig:
        events = rig.endpoint.events()
        await rig.endpoint.aclose()
        expect([event async for event in events] == [], "there was an event")


async def after_close_everything_is_refused(make: MakeRig) -> None:
    """After close every operation raises DeviceClosed, and fileno() is -1."""
    async with make() as rig:
        endpoint = rig.endpoint
        packet = rig.packet(0)
        await endpoint.aclose()
        expect(endpoint.fileno() == -1, f"fileno() is {endpoint.fileno()}")
        for refused in (endpoint.recv_nowait, endpoint.recv_many_nowait, endpoint.detach_fd):
            with expect_error(DeviceClosed, endpoint.name):
                refused()
        with expect_error(DeviceClosed):
            endpoint.send_nowait(packet)
        for waiting in (endpoint.recv(), endpoint.send(packet), endpoint.readable(), endpoint.writable()):
            with expect_error(DeviceClosed, endpoint.name):
                await waiting


async def close_counts_what_is_queued(make: MakeRig) -> None:
    """Packets that nobody received before close are counted as ``closed``, wherever they waited."""
    async with make() as rig:
        for number in range(5):  # one by one: of a batch a stack may make a super-packet, which counts as one
            rig.output([rig.packet(number)])
        await rig.endpoint.recv()
        for number in range(5, 10):
            rig.output([rig.packet(number)])
        await rig.endpoint.aclose()
        dropped = rig.endpoint.statistics().dropped
        expect(dropped == {"closed": 9}, f"dropped: {dropped}")


async def close_is_idempotent(make: MakeRig) -> None:
    """aclose() may be called again, and by several tasks at once."""
    async with make() as rig:
        await asyncio.gather(rig.endpoint.aclose(), rig.endpoint.aclose(), rig.endpoint.aclose())
        await rig.endpoint.aclose()


async def close_works_after_deletion(make: MakeRig) -> None:
    """An endpoint whose interface was deleted can be closed."""
    async with make() as rig:
        rig.delete()
        await rig.endpoint.aclose()


async def the_name_is_free_at_once(make: MakeRig) -> None:
    """When aclose() returns, an endpoint of the same name can be opened."""
    async with make() as rig:
        await rig.endpoint.aclose()
        await (await rig.reopen()).aclose()


async def a_cancelled_close_frees_the_device(make: MakeRig) -> None:
    """When aclose() is cancelled at any of its turns, the device is free once it ends."""
    for ticks in range(4):
        async with make() as rig:
            task = asyncio.create_task(rig.endpoint.aclose())
            await turns(ticks)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if ticks:  # cancelled before it began, it did not happen
                await (await rig.reopen()).aclose()


async def open_and_close(make: MakeRig, cycles: int) -> None:
    """Open the same name and close it *cycles* times, a receiver waiting every time; fail if anything is left."""
    async with make() as rig:
        await rig.endpoint.aclose()  # what the first opening loads stays,
        await turns()  # and so does what uvloop watches from its first turns on
        gc.collect()
        before = Ledger.take()
        for _ in range(cycles):
            endpoint = await rig.reopen()
            task = await parked(_iterate(endpoint))
            await endpoint.aclose()
            await task
        gc.collect()
        after = Ledger.take()
    expect(after == before, f"before: {before}, after {cycles} cycles: {after}")


async def closing_leaves_nothing(make: MakeRig) -> None:
    """Opened and closed again and again, with a task waiting in it, an endpoint leaves nothing behind."""
    await open_and_close(make, CYCLES)


async def a_forgotten_endpoint_warns(make: MakeRig) -> None:
    """An endpoint that nobody closed frees its device when it is collected, and says so."""
    async with make() as rig:
        await rig.endpoint.aclose()
        forgotten = await rig.reopen()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            forgotten.__del__()
        expect([warning.category for warning in caught] == [ResourceWarning], f"warned {caught}")
        await forgotten.aclose()


CHECKS = (
    close_ends_a_waiting_recv,
    close_ends_a_waiting_readable,
    close_ends_iteration_quietly,
    close_ends_events,
    after_close_everything_is_refused,
    close_counts_what_is_queued,
    close_is_idempotent,
    close_works_after_deletion,
    the_name_is_free_at_once,
    a_cancelled_close_frees_the_device,
    closing_leaves_nothing,
    a_forgotten_endpoint_warns,
)
