"""The endpoint over a scripted port: closing, giving the descriptor away, being forgotten."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from aiotun.endpoint import Endpoint, InterfaceCounters
from aiotun.errors import DeviceClosed
from aiotun.testing.expect import parked, turns

from .fakes import BrokenPort, FakePort, PipePort, SlowPort, numbers, packets

WAITING: list[Callable[[Endpoint], Any]] = [
    Endpoint.recv,
    Endpoint.recv_many,
    Endpoint.readable,
    Endpoint.writable,
    lambda endpoint: endpoint.send_many(packets(1)),
]
REFUSED: list[Callable[[Endpoint], Any]] = [
    Endpoint.recv_nowait,
    Endpoint.recv_many_nowait,
    Endpoint.detach_fd,
    lambda endpoint: endpoint.send_nowait(packets(1)[0]),
    lambda endpoint: endpoint.send_many_nowait(packets(1)),
]


async def test_closing_frees_the_port() -> None:
    """When aclose() returns, the port was closed, once."""
    port = FakePort()
    await Endpoint(port).aclose()
    assert port.freed and port.closes == 1


async def test_closing_leaves_the_loop() -> None:
    """aclose() takes the port out of the event loop."""
    port = FakePort()
    await Endpoint(port).aclose()
    assert port.disarms == 1


async def test_leaving_the_block_closes() -> None:
    """Leaving ``async with`` closes the endpoint."""
    port = FakePort()
    async with Endpoint(port):
        assert not port.freed
    assert port.freed


async def test_closing_is_idempotent() -> None:
    """A second aclose() does nothing."""
    port = FakePort()
    endpoint = Endpoint(port)
    await endpoint.aclose()
    await endpoint.aclose()
    assert port.closes == 1


async def test_closed_is_told() -> None:
    """closed says whether close has begun."""
    port = SlowPort()
    endpoint = Endpoint(port)
    assert not endpoint.closed
    task = await parked(endpoint.aclose())
    assert endpoint.closed
    port.done.set()
    await task


@pytest.mark.parametrize("operation", WAITING)
async def test_closing_ends_waiting(operation: Callable[[Endpoint], Any]) -> None:
    """A task that waits when the endpoint is closed gets DeviceClosed."""
    endpoint = Endpoint(FakePort(write=[0]))
    task = await parked(operation(endpoint))
    await endpoint.aclose()
    with pytest.raises(DeviceClosed, match="fake0: the endpoint is closed"):
        await task


@pytest.mark.parametrize("operation", WAITING)
async def test_after_closing_nothing_waits(operation: Callable[[Endpoint], Any]) -> None:
    """Once closed, every waiting operation raises DeviceClosed."""
    async with Endpoint(FakePort()) as endpoint:
        pass
    with pytest.raises(DeviceClosed):
        await operation(endpoint)


@pytest.mark.parametrize("operation", REFUSED)
async def test_after_closing_everything_is_refused(operation: Callable[[Endpoint], Any]) -> None:
    """Once closed, every operation that does not wait raises DeviceClosed."""
    async with Endpoint(FakePort()) as endpoint:
        pass
    with pytest.raises(DeviceClosed):
        operation(endpoint)


async def test_after_closing_with_when_down_raise() -> None:
    """Once closed, an endpoint opened with when_down="raise" says closed, not down."""
    async with Endpoint(FakePort(), when_down="raise") as endpoint:
        pass
    with pytest.raises(DeviceClosed):
        await endpoint.recv()


async def test_after_closing_what_it_was_is_known() -> None:
    """Once closed, an endpoint still says its name, mtu, capabilities and counters, the interface's included."""
    port = FakePort(read=[packets(1)])
    port.interface = InterfaceCounters(ipackets=1, ibytes=2, opackets=3, obytes=4)
    async with Endpoint(port) as endpoint:
        await endpoint.recv()
    assert (endpoint.name, endpoint.mtu, endpoint.fileno()) == ("fake0", 1500, -1)
    assert endpoint.capabilities is port.capabilities
    assert endpoint.statistics().taken_packets == 1
    assert endpoint.statistics().interface is port.interface


async def test_packets_read_ahead_are_counted_at_close() -> None:
    """Packets still held when the endpoint is closed are dropped as closed."""
    async with Endpoint(FakePort(read=[packets(5)])) as endpoint:
        await endpoint.recv()
    counted = endpoint.statistics()
    assert (counted.dropped, counted.held_packets, counted.received_packets) == ({"closed": 4}, 0, 1)


async def test_a_cancelled_close_frees() -> None:
    """An aclose() cancelled in the middle ends as cancelled only once the port is free."""
    port = SlowPort()
    task = await parked(Endpoint(port).aclose())
    task.cancel()
    await turns()
    assert not task.done()
    port.done.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert port.freed


async def test_closing_again_waits_for_the_first() -> None:
    """A second aclose() returns only once the first has freed the port."""
    port = SlowPort()
    endpoint = Endpoint(port)
    first = await parked(endpoint.aclose())
    second = await parked(endpoint.aclose())
    port.done.set()
    await asyncio.gather(first, second)
    assert port.closes == 1


async def test_closing_after_a_cancelled_close() -> None:
    """An aclose() beside one that was cancelled returns once the port is free."""
    port = SlowPort()
    endpoint = Endpoint(port)
    first = await parked(endpoint.aclose())
    second = await parked(endpoint.aclose())
    first.cancel()
    await turns()
    port.done.set()
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError)
    await second
    assert port.freed


async def test_a_cancelled_second_close_disturbs_nobody() -> None:
    """Cancelling a second aclose() leaves the first to finish."""
    port = SlowPort()
    endpoint = Endpoint(port)
    first = await parked(endpoint.aclose())
    second = await parked(endpoint.aclose())
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    port.done.set()
    await first
    assert port.freed


async def test_a_failed_close_is_told_once() -> None:
    """An error of the port at close reaches who closed; others find the endpoint closed."""
    endpoint = Endpoint(BrokenPort())
    with pytest.raises(OSError, match="cannot close"):
        await endpoint.aclose()
    await endpoint.aclose()


# --- giving the descriptor away -------------------------------------------------------------------


async def test_detach_gives_the_descriptor() -> None:
    """detach_fd() gives the device's descriptor to the caller, open."""
    port = PipePort()
    fd = port.fd
    endpoint = Endpoint(port)
    assert endpoint.detach_fd() == fd
    os.close(fd)


async def test_detach_closes_the_endpoint() -> None:
    """After detach_fd() the endpoint is closed, without closing the device."""
    port = PipePort()
    endpoint = Endpoint(port)
    os.close(endpoint.detach_fd())
    assert endpoint.closed and port.closes == 0


async def test_detach_keeps_packets_read_ahead() -> None:
    """Packets read ahead can be taken after detach_fd(), and then the endpoint says closed."""
    endpoint = Endpoint(PipePort(read=[packets(3)]))
    await endpoint.recv()
    os.close(endpoint.detach_fd())
    assert numbers([endpoint.recv_nowait(), await endpoint.recv()]) == [1, 2]
    with pytest.raises(DeviceClosed):
        endpoint.recv_nowait()


async def test_detach_ends_waiting() -> None:
    """A task that waits when the descriptor is given away gets DeviceClosed."""
    endpoint = Endpoint(PipePort())
    task = await parked(endpoint.recv())
    os.close(endpoint.detach_fd())
    with pytest.raises(DeviceClosed):
        await task


async def test_closing_after_detach() -> None:
    """aclose() after detach_fd() returns and closes nothing."""
    port = PipePort()
    async with Endpoint(port) as endpoint:
        os.close(endpoint.detach_fd())
    assert port.closes == 0


async def test_detach_ends_events() -> None:
    """A stream of events ends when the descriptor is given away."""
    endpoint = Endpoint(PipePort())
    events = endpoint.events()
    os.close(endpoint.detach_fd())
    assert [event async for event in events] == []


# --- being forgotten ------------------------------------------------------------------------------


def test_a_forgotten_endpoint_warns() -> None:
    """An endpoint that nobody closed says so when it is collected."""
    endpoint = Endpoint(FakePort())
    with pytest.warns(ResourceWarning, match="<Endpoint fake0> was never closed"):
        del endpoint
        gc.collect()


def test_a_forgotten_endpoint_frees_its_port() -> None:
    """An endpoint that nobody closed frees its port when it is collected."""
    port = FakePort()
    endpoint = Endpoint(port)
    with pytest.warns(ResourceWarning):
        del endpoint
        gc.collect()
    assert port.freed


def test_a_forgotten_endpoint_frees_its_port_where_warnings_are_errors() -> None:
    """Under ``-W error`` a forgotten endpoint frees its port all the same."""
    port = FakePort()
    endpoint = Endpoint(port)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with pytest.raises(ResourceWarning):
            endpoint.__del__()
    assert port.freed
    asyncio.run(endpoint.aclose())


async def test_a_closed_endpoint_is_silent() -> None:
    """A closed endpoint is collected without a word."""
    port = FakePort()
    endpoint = Endpoint(port)
    await endpoint.aclose()
    del endpoint
    gc.collect()
    assert port.closes == 1


def test_a_half_made_endpoint_is_silent() -> None:
    """An endpoint whose making failed is collected without a word."""
    Endpoint.__new__(Endpoint).__del__()
