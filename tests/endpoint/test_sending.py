"""The endpoint over a scripted port: sending."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aiotun.endpoint import Endpoint
from aiotun.errors import (
    ConcurrencyError,
    DeviceClosed,
    DeviceDown,
    DeviceError,
    DeviceGone,
    PacketError,
    PacketTooBig,
    WouldBlock,
)
from aiotun.testing.expect import parked, turns

from .fakes import FakePort, numbers, packets


def down(sent: int = 0) -> DeviceDown:
    """What a device raises that went down after it took some packets."""
    error = DeviceDown("fake0: the interface is down")
    error.sent = sent
    return error


async def send(endpoint: Endpoint) -> None:
    await endpoint.send(packets(1)[0])


async def send_many(endpoint: Endpoint) -> None:
    await endpoint.send_many(packets(2))


async def test_a_batch_is_written_in_order() -> None:
    """send_many() writes the batch as it is."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        await endpoint.send_many(packets(200))
        assert port.written == packets(200)


async def test_a_batch_is_written_in_pieces_of_64() -> None:
    """A long batch goes to the device 64 packets at a time."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        await endpoint.send_many(packets(150))
        assert port.offered == [64, 64, 22]


async def test_a_device_may_take_more_at_a_time() -> None:
    """Where the device says so, the pieces are as long as it says, and the loop has as few turns."""
    port = FakePort()
    port.burst = 100
    async with Endpoint(port) as endpoint:
        await endpoint.send_many(packets(250))
        assert (endpoint.burst, port.offered) == (100, [100, 100, 50])


async def test_an_empty_batch_writes_nothing() -> None:
    """Sending no packets does not bother the device, waiting or not."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        await endpoint.send_many([])
        assert port.offered == []


@pytest.mark.parametrize(("count", "expected"), [(64, 0), (65, 1), (128, 1), (129, 2), (640, 9)])
async def test_the_loop_has_a_turn_every_64_packets(count: int, expected: int) -> None:
    """Sending gives the loop a turn for every 64 packets, whether one by one or in a batch."""
    for pieces in ([packets(count)], [[packet] for packet in packets(count)]):
        async with Endpoint(FakePort()) as endpoint:
            turns_taken = 0

            async def count_turns() -> None:
                nonlocal turns_taken
                while True:
                    await turns(1)
                    turns_taken += 1

            other = await parked(count_turns())
            before = turns_taken
            for batch in pieces:
                await endpoint.send_many(batch)
            assert turns_taken - before == expected
            other.cancel()


async def test_a_partly_accepted_batch_waits_for_room() -> None:
    """When the device has no room for all, the rest is written once it is writable."""
    port = FakePort(write=[2, 0])
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.send_many(packets(5)))
        assert numbers(port.written) == [0, 1]
        port.writable.set()
        await task
        assert numbers(port.written) == [0, 1, 2, 3, 4]


async def test_a_device_without_room_is_waited_for() -> None:
    """send() waits while the device has no room, and tries once for every wake-up."""
    port = FakePort(write=[0, 0, 0])
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.send(packets(1)[0]))
        for tries in (2, 3):
            port.writable.wake()
            await turns()
            assert len(port.offered) == tries
        port.writable.wake()
        await task


async def test_one_writer() -> None:
    """While one task waits for room, another that finds none is refused."""
    port = FakePort(write=[0, 0])
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.send_many(packets(1)))
        with pytest.raises(ConcurrencyError, match="another task is already sending to fake0"):
            await endpoint.send_many(packets(1))
        task.cancel()


async def test_a_cancelled_send_writes_no_more() -> None:
    """A send() cancelled while it waits for room writes nothing afterwards."""
    port = FakePort(write=[1, 0])
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.send_many(packets(2)))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        port.writable.set()
        await turns()
        assert numbers(port.written) == [0]


async def test_what_was_sent_is_counted() -> None:
    """Packets and bytes are counted as they are written, not as they are offered."""
    port = FakePort(write=[2, 0])
    async with Endpoint(port) as endpoint:
        (await parked(endpoint.send_many(packets(5)))).cancel()
        counted = endpoint.statistics()
        assert (counted.sent_packets, counted.sent_bytes) == (2, 80)


# --- without waiting ------------------------------------------------------------------------------


async def test_nowait_says_how_many() -> None:
    """send_many_nowait() returns how many packets the device took."""
    port = FakePort(write=[3])
    async with Endpoint(port) as endpoint:
        assert endpoint.send_many_nowait(packets(5)) == 3
        assert numbers(port.written) == [0, 1, 2]


async def test_nowait_without_room() -> None:
    """With no room even for the first packet the nowait forms raise WouldBlock, with EAGAIN and a sentence."""
    async with Endpoint(FakePort(write=[0, 0])) as endpoint:
        with pytest.raises(WouldBlock, match="fake0: no room to send") as caught:
            endpoint.send_nowait(packets(1)[0])
        assert caught.value.errno == errno.EAGAIN
        with pytest.raises(WouldBlock):
            endpoint.send_many_nowait(packets(2))


async def test_nowait_of_nothing() -> None:
    """send_many_nowait() of an empty batch sent 0 packets, and would not block."""
    async with Endpoint(FakePort(write=[0])) as endpoint:
        assert endpoint.send_many_nowait([]) == 0


async def test_nowait_writes_at_once() -> None:
    """send_nowait() has written when it returns."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        endpoint.send_nowait(packets(1)[0])
        assert numbers(port.written) == [0]


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [send, send_many])
async def test_a_refusal_reaches_the_sender(operation: Callable[[Endpoint], Any]) -> None:
    """What the device refuses with is raised as it is."""
    error = down()
    async with Endpoint(FakePort(write=[error])) as endpoint:
        with pytest.raises(DeviceError) as caught:
            await operation(endpoint)
        assert caught.value is error


async def test_sent_counts_earlier_pieces() -> None:
    """sent of an error counts from the front of the whole batch, not of the piece that failed."""
    async with Endpoint(FakePort(write=[64, 64, down(sent=2)])) as endpoint:
        with pytest.raises(DeviceDown) as caught:
            await endpoint.send_many(packets(150))
        assert caught.value.sent == 130


async def test_sent_counts_after_partial_writes() -> None:
    """sent of an error counts what was accepted in part, before and after waiting."""
    port = FakePort(write=[5, 0, down(sent=1)])
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.send_many(packets(10)))
        port.writable.set()
        with pytest.raises(DeviceDown) as caught:
            await task
        assert caught.value.sent == 6


async def test_sent_of_nowait() -> None:
    """sent of an error of send_many_nowait() says how many went before it."""
    async with Endpoint(FakePort(write=[down(sent=3)])) as endpoint:
        with pytest.raises(DeviceDown) as caught:
            endpoint.send_many_nowait(packets(5))
        assert caught.value.sent == 3


async def test_what_went_before_a_refusal_is_counted() -> None:
    """Packets written before a refusal are counted as sent."""
    async with Endpoint(FakePort(write=[64, down(sent=2)])) as endpoint:
        with pytest.raises(DeviceDown):
            await endpoint.send_many(packets(100))
        assert endpoint.statistics().sent_packets == 66


async def test_sending_goes_on_after_a_refusal() -> None:
    """After a refusal the next packet is sent."""
    port = FakePort(write=[down()])
    async with Endpoint(port) as endpoint:
        with pytest.raises(DeviceDown):
            await endpoint.send_many(packets(1))
        await endpoint.send_many(packets(1, start=1))
        assert numbers(port.written) == [1]


async def test_a_refusal_leaves_the_port_in_the_loop() -> None:
    """A refusal that is not the end does not unregister anything."""
    port = FakePort(write=[down()])
    async with Endpoint(port) as endpoint:
        with pytest.raises(DeviceDown):
            await endpoint.send_many(packets(1))
        assert port.disarms == 0


async def test_gone_leaves_the_loop() -> None:
    """Before DeviceGone reaches the sender, the port has left the loop."""
    port = FakePort(write=[DeviceGone("fake0: the interface was deleted")])
    async with Endpoint(port) as endpoint:
        with pytest.raises(DeviceGone):
            await endpoint.send_many(packets(1))
        assert port.disarms == 1


# --- forwarding -----------------------------------------------------------------------------------


class Picky(Endpoint):
    """An endpoint that knows before the device which packets are unfit: those over 40 bytes, and empty ones."""

    def _check(self, batch: Sequence[bytes]) -> None:
        if not all(batch):
            raise PacketError("fake0: packet is empty")
        if max(map(len, batch)) > 40:
            raise PacketTooBig("fake0: packet is too big")


BIG = bytes(41)


async def test_unfit_packets_are_dropped_on_request() -> None:
    """With drop=True unfit packets are left out, and the others are sent in order."""
    port = FakePort()
    first, second, third = packets(3)
    async with Picky(port) as endpoint:
        await endpoint.send_many([BIG, first, b"", second, BIG, third], drop=True)
    assert port.written == [first, second, third]


async def test_unfit_packets_are_counted() -> None:
    """With drop=True every unfit packet is counted under its reason."""
    async with Picky(FakePort()) as endpoint:
        await endpoint.send_many([BIG, *packets(1), b"", BIG], drop=True)
        assert endpoint.statistics().dropped == {"too_big": 2, "bad_packet": 1}


async def test_an_unfit_packet_keeps_its_batch_back_otherwise() -> None:
    """Without drop=True one unfit packet refuses its batch, and nothing is counted."""
    port = FakePort()
    async with Picky(port) as endpoint:
        with pytest.raises(PacketTooBig):
            await endpoint.send_many([*packets(1), BIG])
        assert (port.offered, endpoint.statistics().dropped) == ([], {})


async def test_refused_packets_are_dropped_on_request() -> None:
    """With drop=True a packet that the device refuses is left out, and what follows it is sent."""
    port = FakePort(write=[down(sent=2), down()])
    async with Endpoint(port) as endpoint:
        await endpoint.send_many(packets(6), drop=True)
        assert numbers(port.written) == [0, 1, 4, 5]
        assert endpoint.statistics().dropped == {"down": 2}


async def test_a_packet_refused_in_a_later_piece_is_dropped() -> None:
    """With drop=True the packet left out is the refused one, also behind pieces that were sent."""
    port = FakePort(write=[64, 64, down(sent=1)])
    async with Endpoint(port) as endpoint:
        await endpoint.send_many(packets(140), drop=True)
        assert numbers(port.written) == [number for number in range(140) if number != 129]


async def test_with_drop_everything_is_sent_or_dropped() -> None:
    """With drop=True what was given is what was sent and what was dropped."""
    port = FakePort(write=[5, 0, down(sent=1), 64, DeviceError("fake0: no")])
    async with Picky(port) as endpoint:
        task = await parked(endpoint.send_many([*packets(150), BIG], drop=True))
        port.writable.set()
        await task
        counted = endpoint.statistics()
        assert counted.dropped == {"too_big": 1, "down": 1, "refused": 1}
        assert counted.sent_packets == len(port.written) == 148


async def test_with_drop_the_end_is_raised() -> None:
    """With drop=True DeviceGone is raised all the same, and not counted as a drop."""
    async with Endpoint(FakePort(write=[DeviceGone("fake0: the interface was deleted")])) as endpoint:
        with pytest.raises(DeviceGone):
            await endpoint.send_many(packets(2), drop=True)
        assert endpoint.statistics().dropped == {}


async def test_with_drop_a_closed_endpoint_is_closed() -> None:
    """With drop=True sending on a closed endpoint raises DeviceClosed."""
    async with Endpoint(FakePort()) as endpoint:
        pass
    with pytest.raises(DeviceClosed):
        await endpoint.send_many(packets(1), drop=True)


# --- writable -------------------------------------------------------------------------------------


async def test_writable_waits() -> None:
    """writable() waits for readiness and writes nothing."""
    port = FakePort()
    async with Endpoint(port) as endpoint:
        task = await parked(endpoint.writable())
        port.writable.set()
        await task
        assert port.offered == []
