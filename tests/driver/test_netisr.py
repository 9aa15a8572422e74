"""Protocol queues: registering a family, and receiving its packets."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offload import packets as p

from aiotun.driver.families import Family
from aiotun.driver.netisr import Netisr, ProtocolQueue
from aiotun.errors import ConcurrencyError, DeviceBusy, DeviceClosed, UnsupportedFamily, WouldBlock
from aiotun.testing.expect import parked, turns


class Drops:
    """Counts what is dropped at the interface."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()

    def drop(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] += count


@pytest.fixture
def netisr() -> Netisr:
    return Netisr()


@pytest.fixture
def interface() -> Drops:
    return Drops()


@pytest.fixture
def queue(netisr: Netisr) -> ProtocolQueue:
    return netisr.register(socket.AF_INET)


def packets(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


# --- registering --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "family"),
    [(socket.AF_INET, Family.INET), (socket.AF_INET6, Family.INET6), (28, Family.INET6), (23, Family.IPX)],
)
def test_a_family_is_registered_by_number(netisr: Netisr, number: int, family: Family) -> None:
    """This machine's numbers and DragonFly's name the same protocol."""
    queue = netisr.register(number)
    assert queue.family is family
    assert dict(netisr.queues) == {family: queue}


def test_an_unknown_family(netisr: Netisr) -> None:
    """A number that is no family is refused."""
    with pytest.raises(UnsupportedFamily):
        netisr.register(77)


def test_a_second_registration(netisr: Netisr, queue: ProtocolQueue) -> None:
    """A family is registered once."""
    with pytest.raises(DeviceBusy, match=r"^INET: the protocol is registered already$") as caught:
        netisr.register(Family.INET)
    assert caught.value.errno == errno.EBUSY


def test_another_family_is_another_queue(netisr: Netisr, queue: ProtocolQueue, interface: Drops) -> None:
    """What is queued for one family is not seen by the other."""
    other = netisr.register(socket.AF_INET6)
    assert netisr.queue(socket.AF_INET6, [b"six"], interface) == 1
    assert other.recv_nowait() == b"six"
    with pytest.raises(WouldBlock):
        queue.recv_nowait()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing(netisr: Netisr, limit: int) -> None:
    """A queue without room is refused, and does not stay registered."""
    with pytest.raises(ValueError):
        netisr.register(Family.INET, limit)
    assert not netisr.queues


def test_close_unregisters(netisr: Netisr, queue: ProtocolQueue, interface: Drops) -> None:
    """After close the family is free, and its packets are nobody's."""
    queue.close()
    queue.close()
    assert netisr.queue(Family.INET, [b"late"], interface) == 0
    assert interface.dropped == {"no_protocol": 1}
    assert netisr.register(Family.INET) is not queue


def test_leaving_the_block_closes(netisr: Netisr) -> None:
    """The with block unregisters at its end."""
    with netisr.register(Family.INET) as queue:
        assert Family.INET in netisr.queues
    assert Family.INET not in netisr.queues
    with pytest.raises(DeviceClosed):
        queue.recv_nowait()


def test_an_old_queue_closed_again(netisr: Netisr, queue: ProtocolQueue) -> None:
    """Closing a queue twice does not unregister its successor."""
    queue.close()
    successor = netisr.register(Family.INET)
    queue.close()
    assert dict(netisr.queues) == {Family.INET: successor}


def test_closing_all(netisr: Netisr, queue: ProtocolQueue) -> None:
    """Closing the netisr closes every queue."""
    other = netisr.register(Family.IPX)
    netisr.close()
    assert not netisr.queues
    for closed in (queue, other):
        with pytest.raises(DeviceClosed):
            closed.recv_nowait()


def test_reprs(netisr: Netisr) -> None:
    """A repr says what is registered, and what waits."""
    assert repr(netisr) == "<Netisr without protocols>"
    queue = netisr.register(Family.INET)
    netisr.register(Family.IPX)
    queue.enqueue([b"one"])
    assert repr(netisr) == "<Netisr INET IPX>"
    assert repr(queue) == "<ProtocolQueue INET 1 packets>"
    queue.close()
    assert repr(queue) == "<ProtocolQueue INET 0 packets closed>"


# --- queueing -----------------------------------------------------------------------------------


def test_without_a_protocol(netisr: Netisr, interface: Drops) -> None:
    """Packets of a family that nobody registered are counted at the interface."""
    assert netisr.queue(Family.IPX, packets(3), interface) == 0
    assert interface.dropped == {"no_protocol": 3}


def test_a_full_queue(netisr: Netisr, interface: Drops) -> None:
    """What does not fit is counted, at the interface and in the queue; the first that came stay."""
    queue = netisr.register(Family.INET, 2)
    assert netisr.queue(Family.INET, packets(5), interface) == 2
    assert interface.dropped == {"input_queue_full": 3}
    assert queue.statistics().dropped == {"queue_full": 3}
    assert [queue.recv_nowait(), queue.recv_nowait()] == [b"0", b"1"]


def test_the_default_limit(netisr: Netisr, queue: ProtocolQueue, interface: Drops) -> None:
    """Without a word 50 packets may wait."""
    assert netisr.queue(Family.INET, packets(51), interface) == 50


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, 9), st.integers(-9, -1)), max_size=30))
def test_nothing_is_lost(steps: list[int]) -> None:
    """Offered is taken plus queued plus dropped, whatever comes and goes."""
    netisr, interface = Netisr(), Drops()
    queue = netisr.register(Family.INET, 7)
    queued = taken = 0
    for step in steps:
        if step >= 0:
            queued += netisr.queue(Family.INET, packets(step), interface)
        for _ in range(-step):
            try:
                queue.recv_nowait()
                taken += 1
            except WouldBlock:
                break
    counts = queue.statistics()
    assert (counts.taken, counts.queued) == (taken, queued - taken)
    assert counts.offered == counts.taken + counts.queued + sum(counts.dropped.values())
    assert counts.dropped.get("queue_full", 0) == interface.dropped["input_queue_full"]


def test_closing_drops_what_waits(netisr: Netisr, queue: ProtocolQueue, interface: Drops) -> None:
    """Packets nobody took are counted when the queue is closed."""
    netisr.queue(Family.INET, packets(3), interface)
    queue.close()
    assert queue.statistics().dropped == {"closed": 3}


# --- receiving ----------------------------------------------------------------------------------


def test_nothing_to_receive(queue: ProtocolQueue) -> None:
    """The nowait form says that it would have to wait."""
    with pytest.raises(WouldBlock, match="INET: no packet is queued") as caught:
        queue.recv_nowait()
    assert caught.value.errno == errno.EAGAIN


async def test_recv_waits(queue: ProtocolQueue) -> None:
    """A receiver waits until a packet comes."""
    task = await parked(queue.recv())
    queue.enqueue([b"one", b"two"])
    assert await task == b"one"
    assert await queue.recv() == b"two"


async def test_recv_waits_again(queue: ProtocolQueue) -> None:
    """Once the queue was emptied the next receiver waits, whoever emptied it."""
    queue.enqueue([b"one"])
    assert await queue.recv_many() == [b"one"]
    task = asyncio.create_task(queue.recv())
    await turns()
    queue.enqueue([b"two"])
    assert queue.recv_nowait() == b"two"
    await turns()
    assert not task.done()
    queue.enqueue([b"three"])
    assert await task == b"three"


async def test_recv_many(queue: ProtocolQueue) -> None:
    """A batch is what is queued, up to the limit, oldest first."""
    queue.enqueue(packets(5))
    assert await queue.recv_many(3) == [b"0", b"1", b"2"]
    assert await queue.recv_many(3) == [b"3", b"4"]


async def test_a_batch_of_nothing(queue: ProtocolQueue) -> None:
    """A batch has at least one packet."""
    with pytest.raises(ValueError, match="not 0"):
        await queue.recv_many(0)
    with pytest.raises(ValueError, match="not 0"):
        queue.batches(0)


async def test_the_default_batch(netisr: Netisr) -> None:
    """A batch is 64 packets at most, without a word."""
    queue = netisr.register(Family.INET, 100)
    queue.enqueue(packets(100))
    assert len(await queue.recv_many()) == 64
    assert len(await queue.batches().__anext__()) == 36


async def test_canceling_loses_nothing(queue: ProtocolQueue) -> None:
    """A receiver cancelled when its packet has come leaves the packet to the next."""
    task = await parked(queue.recv())
    queue.enqueue([b"one"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await queue.recv() == b"one"


async def test_one_reader(queue: ProtocolQueue) -> None:
    """A second receiver is refused while the first waits."""
    task = await parked(queue.recv())
    with pytest.raises(ConcurrencyError, match="another task is already receiving from the INET protocol queue"):
        await queue.recv()
    queue.enqueue([b"one"])
    assert await task == b"one"


async def test_iterating(queue: ProtocolQueue) -> None:
    """Iterating gives packets one by one, and ends when the queue is closed."""
    queue.enqueue(packets(3))
    seen = []
    async for packet in queue:
        seen.append(packet)
        if len(seen) == 2:
            break
    async for packet in queue:
        seen.append(packet)
        queue.close()
    assert seen == packets(3)


async def test_batches(queue: ProtocolQueue) -> None:
    """Iterating over batches ends when the queue is closed."""
    queue.enqueue(packets(5))
    seen = []
    async for batch in queue.batches(4):
        seen.append(batch)
        if len(seen) == 2:
            queue.close()
    assert seen == [[b"0", b"1", b"2", b"3"], [b"4"]]


@pytest.mark.parametrize("receive", [ProtocolQueue.recv, ProtocolQueue.recv_many])
async def test_closing_releases(queue: ProtocolQueue, receive: object) -> None:
    """Who waits when the queue is closed is told."""
    assert callable(receive)
    task = asyncio.create_task(receive(queue))
    await turns()
    queue.close()
    with pytest.raises(DeviceClosed, match="^INET: the protocol queue was closed$"):
        await task


async def test_receiving_after_close(queue: ProtocolQueue) -> None:
    """A closed queue says so, with packets in it or without."""
    queue.enqueue([b"one"])
    queue.close()
    with pytest.raises(DeviceClosed):
        await queue.recv()
    with pytest.raises(DeviceClosed):
        await queue.recv_many()


@pytest.mark.parametrize(("count", "expected"), [(64, 0), (65, 1)])
async def test_the_loop_gets_its_turn(netisr: Netisr, count: int, expected: int) -> None:
    """A reader that is never short of packets lets others run every 64."""
    queue = netisr.register(Family.INET, 200)
    queue.enqueue(packets(200))
    ran: list[int] = []
    asyncio.get_running_loop().call_soon(ran.append, 1)
    for _ in range(count):
        await queue.recv()
    assert len(ran) == expected


async def test_the_count_starts_anew(netisr: Netisr) -> None:
    """After its turn the loop waits for 64 packets again."""
    queue = netisr.register(Family.INET, 200)
    queue.enqueue(packets(200))
    for _ in range(65):
        await queue.recv()
    ran: list[int] = []
    asyncio.get_running_loop().call_soon(ran.append, 1)
    for _ in range(63):
        await queue.recv()
    assert not ran
    await queue.recv()
    assert ran


async def test_every_batch_gives_a_turn(netisr: Netisr) -> None:
    """A batch of one gives the loop a turn like any other."""
    queue = netisr.register(Family.INET)
    queue.enqueue(packets(2))
    ran: list[int] = []
    asyncio.get_running_loop().call_soon(ran.append, 1)
    await queue.recv_many(1)
    assert ran


def test_a_super_packet_that_cannot_be_cut(queue: ProtocolQueue) -> None:
    """One is never queued, so that whoever waits for a packet gets one."""
    assert queue.enqueue([p.with_fields(p.big(4), gso_size=0), p.tcp(4)]) == 1
    assert queue.recv_nowait() == p.tcp(4)
