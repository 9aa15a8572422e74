"""Injected faults: of any endpoint, chosen by number."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aiotun.channel import MemoryChannel, memory_pair
from aiotun.errors import DeviceDown, DeviceError, DeviceGone, QueueFull
from aiotun.host import SoftHost
from aiotun.packet import IPv4
from aiotun.testing import faulty

PACKETS = [bytes((number,)) for number in range(6)]


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[MemoryChannel, MemoryChannel]]:
    near, far = memory_pair()
    async with near, far:
        yield near, far


async def test_chosen_packets_are_refused() -> None:
    """Packets 1 and 3 get their errno, which says how many went before; the others go."""
    async with pair() as (near, far):
        with faulty(near, write={1: errno.ENOBUFS, 3: errno.EIO}):
            sent: list[tuple[int, int]] = []
            at = 0
            while at < len(PACKETS):
                try:
                    await near.send_many(PACKETS[at:])
                    break
                except DeviceError as error:
                    assert error.errno is not None
                    sent.append((error.sent, error.errno))
                    at += error.sent + 1
        assert sent == [(1, errno.ENOBUFS), (1, errno.EIO)]
        assert await far.recv_many() == [PACKETS[0], PACKETS[2], PACKETS[4], PACKETS[5]]


async def test_the_error_is_that_of_a_device() -> None:
    """ENOBUFS becomes QueueFull; the text has the endpoint's name and says that it was injected."""
    async with pair() as (near, _):
        with faulty(near, write={0: errno.ENOBUFS}), pytest.raises(QueueFull) as caught:
            await near.send(b"x")
        assert str(caught.value) == "memory a: No buffer space available (injected)"


async def test_receiving_fails_and_loses_nothing() -> None:
    """The error comes where it was to, between the packets, which are all received."""
    async with pair() as (near, far):
        await near.send_many(PACKETS)
        with faulty(far, read={2: errno.EPERM, 3: errno.EINVAL}):
            assert await far.recv_many() == PACKETS[:2]
            for number in (errno.EPERM, errno.EINVAL):
                with pytest.raises(DeviceError) as caught:
                    await far.recv_many()
                assert caught.value.errno == number
            assert await far.recv_many() == PACKETS[2:]


async def test_who_waits_is_woken_for_a_fault() -> None:
    """A recv() that waits when a fault is injected raises it."""
    async with pair() as (_, far):
        with faulty(far) as faults:
            waiting = asyncio.create_task(far.recv())
            await asyncio.sleep(0)
            faults.fail_receiving(errno.EPERM)
            with pytest.raises(DeviceError):
                await waiting


async def test_the_next_packets_may_fail() -> None:
    """fail_sending() is for the packets from now on."""
    async with pair() as (near, far):
        with faulty(near) as faults:
            await near.send(PACKETS[0])
            faults.fail_sending(errno.EIO, next=2)
            for packet in PACKETS[1:3]:
                with pytest.raises(DeviceError):
                    await near.send(packet)
            await near.send(PACKETS[3])
        assert await far.recv_many() == [PACKETS[0], PACKETS[3]]


async def test_a_device_that_is_gone_is_gone() -> None:
    """ENODEV is the end of a tun, as it is on the kernel."""
    async with SoftHost() as host, host.open_tun() as tun:
        with faulty(tun, read={0: errno.ENODEV}):
            with pytest.raises(DeviceGone):
                await tun.recv()
            with pytest.raises(DeviceGone):
                await tun.recv()


async def test_faults_are_told() -> None:
    """Whoever asked hears of each error before it is raised."""
    told: list[int | None] = []
    async with pair() as (near, _):
        with faulty(near, write={0: errno.EIO}, tell=lambda error: told.append(error.errno)):
            with pytest.raises(DeviceError):
                await near.send(b"x")
        assert told == [errno.EIO]


async def test_behind_the_block_all_is_as_it_was() -> None:
    """Faults end with their block, innermost first; what did not happen until then never does."""
    async with pair() as (near, far):
        before = dict(vars(near._port))
        with faulty(near, write={5: errno.EIO}):
            with faulty(near, write={0: errno.EIO}) as inner, pytest.raises(DeviceError):
                await near.send(b"x")
            inner.remove()
            await near.send(PACKETS[0])
        assert vars(near._port).keys() == before.keys()
        await near.send_many(PACKETS[1:])
        assert await far.recv_many() == PACKETS


@pytest.mark.parametrize("number", [0, -1, 99999, errno.EAGAIN, errno.EINTR])
async def test_what_is_no_fault_is_refused(number: int) -> None:
    """An errno that there is not, or that only says to try again, is a mistake of the test."""
    async with pair() as (near, _):
        with pytest.raises(ValueError, match="is no errno that a device fails with"):
            faulty(near, write={0: number})
        with faulty(near) as faults, pytest.raises(ValueError, match="is no errno"):
            faults.fail_receiving(number)


async def test_forwarding_drops_what_was_refused() -> None:
    """send_many(drop=True) counts the refused packet under its reason, and sends the others."""
    async with pair() as (near, far):
        with faulty(near, write={2: errno.ENOBUFS}):
            await near.send_many(PACKETS, drop=True)
        assert near.statistics().dropped == {"queue_full": 1}
        assert await far.recv_many() == [*PACKETS[:2], *PACKETS[3:]]


async def test_a_real_refusal_counts_as_one() -> None:
    """What the endpoint refuses by itself is counted like a packet: the next fault stands where it was to."""
    async with pair() as (near, far):
        with faulty(near, write={2: errno.EPERM}):
            await near.send(PACKETS[0])
            near.set_link(False)
            with pytest.raises(DeviceDown):
                await near.send(PACKETS[1])
            near.set_link(True)
            with pytest.raises(DeviceError) as caught:
                await near.send(PACKETS[2])
            assert caught.value.errno == errno.EPERM
            await near.send(PACKETS[3])
        assert await far.recv_many() == [PACKETS[0], PACKETS[3]]


async def test_super_packets_fail_as_well() -> None:
    """Receiving super-packets whole raises what was planned, and what is plain goes on."""
    async with SoftHost() as host, host.open_tun(offload=True) as tun:
        side = host.network_side(tun.name)
        packet = IPv4("10.0.0.1", "10.0.0.2", 253, b"hello").build()
        with faulty(tun, read={1: errno.EPERM}):
            await side.send_many([packet, packet])
            assert await tun.recv_many(superpackets=True) == [packet]
            with pytest.raises(DeviceError):
                await tun.recv_many(superpackets=True)
            assert await tun.recv_many(superpackets=True) == [packet]
