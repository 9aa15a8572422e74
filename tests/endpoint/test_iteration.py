"""Iterating over packets and over batches."""

from __future__ import annotations

import asyncio

import pytest
from twins import forms

from aiotun.endpoint import Endpoint, PacketIterator, receiving
from aiotun.errors import DeviceClosed, DeviceError, DeviceGone
from aiotun.testing.expect import parked

from .fakes import Clock, FakePort, numbers, packets


@pytest.fixture(params=forms(PacketIterator), autouse=True)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with both forms of the iterator."""
    monkeypatch.setattr(receiving, "PacketIterator", request.param)


async def iterate(endpoint: Endpoint) -> list[bytes]:
    return [packet async for packet in endpoint]


async def iterate_batches(endpoint: Endpoint) -> list[list[bytes]]:
    return [batch async for batch in endpoint.batches()]


async def test_packets_one_by_one() -> None:
    """``async for`` gives every packet, in order."""
    port = FakePort(read=[packets(5)])
    async with Endpoint(port) as endpoint:
        task = await parked(iterate(endpoint))
    assert numbers(await task) == [0, 1, 2, 3, 4]


async def test_packets_come_out_of_one_read(clock: Clock) -> None:
    """``async for`` reads a batch from the device at a time."""
    port = FakePort(read=[packets(64), packets(3, start=64)])
    async with Endpoint(port) as endpoint:
        task = await parked(iterate(endpoint))
        assert port.limits == [64, 128]
    assert len(await task) == 67


async def test_closing_ends_iteration() -> None:
    """``async for`` ends without an error when the endpoint is closed."""
    endpoint = Endpoint(FakePort())
    task = await parked(iterate(endpoint))
    await endpoint.aclose()
    assert await task == []


async def test_closing_ends_iteration_over_batches() -> None:
    """``async for`` over batches() ends without an error when the endpoint is closed."""
    endpoint = Endpoint(FakePort(read=[packets(2)]))
    task = await parked(iterate_batches(endpoint))
    await endpoint.aclose()
    assert await task == [packets(2)]


@pytest.mark.parametrize("error", [DeviceGone("fake0: deleted"), DeviceError("fake0: hiccup")])
async def test_an_error_ends_iteration_loudly(error: DeviceError) -> None:
    """``async for`` raises what the device raises."""
    async with Endpoint(FakePort(read=[packets(1), error])) as endpoint:
        iterator = aiter(endpoint)
        await anext(iterator)
        endpoint._port.readable.set()
        with pytest.raises(type(error)):
            await anext(iterator)


async def test_a_break_loses_nothing() -> None:
    """What was read ahead when a loop was left is there for the next loop."""
    async with Endpoint(FakePort(read=[packets(3)])) as endpoint:
        async for packet in endpoint:
            assert numbers([packet]) == [0]
            break
        async for packet in endpoint:
            assert numbers([packet]) == [1]
            break


async def test_an_iterator_outlives_a_cancel() -> None:
    """The same iterator goes on after one of its steps was cancelled."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        iterator = aiter(endpoint)
        task = asyncio.ensure_future(anext(iterator))
        await asyncio.wait([task], timeout=0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        port.output(packets(1))
        port.readable.set()
        assert numbers([await anext(iterator)]) == [0]


async def test_an_iterator_is_its_own() -> None:
    """An iterator can be iterated over: it is itself."""
    async with Endpoint(FakePort()) as endpoint:
        packets, batches = aiter(endpoint), endpoint.batches()
        assert aiter(packets) is packets
        assert aiter(batches) is batches


async def test_batches_have_the_limit() -> None:
    """batches(limit) gives batches of at most that many packets."""
    async with Endpoint(FakePort(read=[packets(5)])) as endpoint:
        batches = endpoint.batches(3)
        assert [len(await anext(batches)), len(await anext(batches))] == [3, 2]


@pytest.mark.parametrize("limit", [0, -1])
async def test_batches_of_nothing(limit: int) -> None:
    """batches() with a limit below one packet is refused at once."""
    async with Endpoint(FakePort()) as endpoint:
        with pytest.raises(ValueError, match=f"a batch has at least 1 packet, not {limit}"):
            endpoint.batches(limit)


async def test_a_closed_endpoint_has_no_packets() -> None:
    """Iterating over a closed endpoint ends at once, in both forms."""
    async with Endpoint(FakePort(read=[packets(3)])) as endpoint:
        await endpoint.recv()
    assert (await iterate(endpoint), await iterate_batches(endpoint)) == ([], [])
    with pytest.raises(DeviceClosed):
        await endpoint.recv()
