"""What runs once: awaited, in a block or as a task, and how others hear of its end."""

from __future__ import annotations

import asyncio

import pytest
from endpoint.fakes import packets

import aiotun
from aiotun.channel import open_stream_pair
from aiotun.errors import DeviceGone
from aiotun.pipeline import Batch, Router

from .pump_ends import Medium, ends, turns, until


def break_down(batch: Batch) -> Batch:
    raise RuntimeError("a fault in the program")


async def test_waiting_in_the_block() -> None:
    """wait_ended() returns inside the block when an endpoint is closed."""
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
        waiting = asyncio.create_task(pump.wait_ended())
        await turns()
        assert not waiting.done()
        await b.aclose()
        await pump.wait_ended()
        await waiting
        assert not pump.running


async def test_waiting_for_a_router() -> None:
    """A router is waited for in the same way."""
    tun = Medium("tun")
    async with ends(tun) as (a,), Router(a) as router:
        await turns()
        await a.aclose()
        await router.wait_ended()


async def test_waiting_for_an_error() -> None:
    """An error cancels the wait in the block, and comes out of the block; a wait in another task returns."""
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b):
        pump = aiotun.pump(a, b, outbound=[break_down])
        elsewhere = asyncio.create_task(pump.wait_ended())
        with pytest.raises(RuntimeError, match="a fault in the program"):
            async with pump:
                one.output(packets(1))
                await pump.wait_ended()
        await elsewhere


async def test_as_a_task() -> None:
    """run() is a coroutine, for create_task(); a cancel of the task ends the pump."""
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b):
        pump = aiotun.pump(a, b)
        task = asyncio.create_task(pump.run())
        one.output(packets(3))
        await until(lambda: len(other.written) == 3)
        task.cancel()
        await asyncio.wait([task])
        await pump.wait_ended()
        assert (task.cancelled(), pump.running) == (True, False)


async def test_a_second_start() -> None:
    """Starting it again is refused, and does not disturb what runs."""
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
        with pytest.raises(RuntimeError, match="the pump between one and other runs once; make another one"):
            await pump.run()
        assert pump.running
        one.output(packets(1))
        await until(lambda: len(other.written) == 1)


async def test_both_ways_see_one_end() -> None:
    """A device that is deleted under both ways at once is one DeviceGone, and no group."""
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b):
        one.output(packets(1))
        other.output(DeviceGone("other: the peer left"))
        other.write_script.append(DeviceGone("other: the peer left"))
        with pytest.raises(DeviceGone, match="other: the peer left") as raised:
            await aiotun.pump(a, b)
    assert raised.value.__notes__ == ["other: the peer left"]


async def test_two_faults_are_a_group() -> None:
    """Two errors that are not both the end of a device come out together."""
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b):
        one.output(packets(1))
        other.output(DeviceGone("other: the peer left"))
        with pytest.raises(ExceptionGroup) as raised:
            await aiotun.pump(a, b, outbound=[break_down])
    assert {type(error) for error in raised.value.exceptions} == {RuntimeError, DeviceGone}


async def test_a_start_that_fails() -> None:
    """A block that cannot be entered leaves no task, and what it took into use is free again."""
    path = aiotun.Path("mine")
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b):
        before = asyncio.all_tasks()
        with pytest.raises(ValueError, match="the path mine is in use already; make one for each way"):
            async with aiotun.pump(a, b, outbound=path, inbound=path):
                pass
        assert asyncio.all_tasks() == before
        async with aiotun.pump(a, b, outbound=path):
            one.output(packets(1))
            await until(lambda: len(other.written) == 1)


async def test_a_failure_leaves_nothing_of_its_cancel() -> None:
    """After a pump that failed the task that awaited it is not being cancelled: a timeout around it still is one."""
    one, other = open_stream_pair()
    near, far = open_stream_pair()
    await other.aclose()
    async with one, near, far:
        with pytest.raises(DeviceGone):
            await aiotun.pump(one, near)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
