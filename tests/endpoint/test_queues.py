"""Several queues as one thing: a sequence, a sum, and a close that reaches all."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

from aiotun import DeviceClosed, Endpoint, EventKind, InterfaceCounters, Queues
from aiotun.endpoint import Event, Opening

from .fakes import BrokenPort, FakePort, SlowPort, packets


def queues(*ports: FakePort) -> Queues[Endpoint]:
    return Queues([Endpoint(port) for port in ports])


def counters(opackets: int) -> InterfaceCounters:
    return InterfaceCounters(ipackets=1, ibytes=40, opackets=opackets, obytes=40 * opackets)


async def test_a_sequence() -> None:
    """Queues have a length, indices, slices, an order and membership."""
    async with queues(FakePort(), FakePort(), FakePort()) as three:
        first, second, third = three
        assert len(three) == 3
        assert (three[0], three[-1], three[1:]) == (first, third, (second, third))
        assert (second in three, three.index(second)) == (True, 1)
        with pytest.raises(IndexError):
            three[3]


def test_there_is_at_least_one() -> None:
    """No queues at all are refused."""
    with pytest.raises(ValueError, match="at least 1 queue, not 0"):
        Queues([])


async def test_what_it_is_called() -> None:
    """Name and mtu are the interface's as it is now, and the repr says how many queues there are."""
    ports = FakePort(), FakePort()
    async with queues(*ports) as two:
        ports[0].next_name, ports[0].next_mtu = "other0", 1400
        assert (two.name, two.mtu) == ("other0", 1400)
        assert repr(two) == "<Queues 2 of <Endpoint other0>>"


async def test_after_the_first_is_closed() -> None:
    """With its first queue closed the interface is asked through the next, and events come from there."""
    ports = FakePort(), FakePort()
    async with queues(*ports) as two:
        await two[0].aclose()
        ports[1].next_mtu = 1400
        assert (two.mtu, two.closed) == (1400, False)
        stream = two.events()
        assert ports[1].tell is not None
        ports[1].tell(Event(EventKind.DOWN))
        assert (await anext(stream)).kind is EventKind.DOWN


async def test_the_sum() -> None:
    """Statistics are summed over the queues, drops by reason; the interface's own counters are there once."""
    ports = FakePort(read=[packets(3)]), FakePort(read=[packets(5)])
    ports[0].interface, ports[1].interface = counters(8), counters(8)
    async with queues(*ports) as two:
        two[0].recv_many_nowait()
        await two[1].recv()
        await two[1].send_many(packets(2))
        await two[0].send(packets(1)[0])
        two[0]._drop("odd", 1)
        two[1]._drop("odd", 2)
        total = two.statistics()
    assert (total.taken_packets, total.taken_bytes) == (8, 320)
    assert (total.received_packets, total.held_packets) == (4, 4)
    assert (total.sent_packets, total.sent_bytes) == (3, 120)
    assert total.dropped == {"odd": 3}
    assert total.interface == counters(8)


async def test_the_sum_after_close() -> None:
    """Once all are closed the interface's last word is the newest that a queue heard."""
    ports = FakePort(), FakePort()
    two = queues(*ports)
    for port, count in zip(ports, (7, 9), strict=True):
        port.interface = counters(count)
    await two.aclose()
    assert two.statistics().interface == counters(9)


async def test_nobody_counts() -> None:
    """Where no interface can be asked there are no counters."""
    async with queues(FakePort()) as one:
        assert one.statistics().interface is None


async def test_close_reaches_all() -> None:
    """Closing frees every port, once, and twice is fine."""
    ports = FakePort(), FakePort()
    two = queues(*ports)
    assert not two.closed
    await two.aclose()
    await two.aclose()
    assert two.closed
    assert [port.closes for port in ports] == [1, 1]
    with pytest.raises(DeviceClosed):
        two[0].recv_nowait()


async def test_a_failure_to_close_stops_no_other() -> None:
    """When a queue in the middle fails to close the others are closed, and the failure is raised."""
    ports = FakePort(), BrokenPort(), FakePort()
    with pytest.raises(OSError, match="cannot close"):
        await queues(*ports).aclose()
    assert [port.freed for port in ports] == [True, False, True]


async def test_a_cancelled_close_frees_all() -> None:
    """A cancel in the middle of the close is raised once every queue is free."""
    ports = FakePort(), SlowPort(), FakePort()
    closing = asyncio.ensure_future(queues(*ports).aclose())
    await ports[1].closing.wait()
    closing.cancel()
    ports[1].done.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert [port.freed for port in ports] == [True, True, True]


async def test_entered_by_an_opening() -> None:
    """An opening of queues is entered and left like one of an endpoint."""
    ports = FakePort(), FakePort()

    async def open() -> Queues[Endpoint]:
        return queues(*ports)

    async with Opening(open) as two:
        assert len(two) == 2
    assert [port.freed for port in ports] == [True, True]


async def test_forgotten() -> None:
    """Queues that nobody closed are freed, each with a warning."""
    ports = FakePort(), FakePort()
    forgotten = queues(*ports)
    with pytest.warns(ResourceWarning, match="never closed") as told:
        del forgotten
        gc.collect()
    assert len(told) == 2
    assert [port.freed for port in ports] == [True, True]


async def test_no_device() -> None:
    """An endpoint that no kernel stands behind has no device to control, and says so."""
    from aiotun import DeviceError, Tun

    async with contextlib.AsyncExitStack() as stack:
        tun = await stack.enter_async_context(Tun(FakePort()))
        with pytest.raises(DeviceError, match="fake0: has no device of the kernel behind it to control"):
            _ = tun.device
    with pytest.raises(DeviceClosed):
        _ = tun.device
