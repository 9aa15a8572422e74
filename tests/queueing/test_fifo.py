"""The first-in first-out queue, against a list that does the same naively."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aiotun.queueing import Fifo, QueueStatistics


def filled(*sizes: int, packets: int = 50, max_bytes: int | None = None) -> Fifo:
    """A queue that was offered one packet of each size, numbered from 0."""
    queue = Fifo(packets, max_bytes=max_bytes)
    queue.enqueue_many([packet(number, size) for number, size in enumerate(sizes)])
    return queue


def packet(number: int, size: int = 1) -> bytes:
    return bytes([number]) * size


def numbers(batch: list[bytes]) -> list[int]:
    return [packet[0] for packet in batch]


def test_first_in_first_out() -> None:
    """Packets leave in the order in which they came."""
    assert numbers(filled(1, 1, 1).dequeue_many(3)) == [0, 1, 2]


def test_nothing_to_dequeue() -> None:
    """dequeue_many() of an empty queue is an empty batch."""
    assert Fifo().dequeue_many(64) == []


def test_a_batch_has_a_limit() -> None:
    """dequeue_many() takes at most the limit and leaves the rest in order."""
    queue = filled(1, 1, 1)
    assert numbers(queue.dequeue_many(2)) == [0, 1]
    assert queue.head() == packet(2)


def test_the_limit_may_be_more_than_there_is() -> None:
    """dequeue_many() takes all there is when the limit is higher."""
    assert numbers(filled(1, 1).dequeue_many(64)) == [0, 1]


def test_a_batch_is_the_callers() -> None:
    """What dequeue_many() returned does not change with the queue."""
    queue = filled(1)
    batch = queue.dequeue_many(64)
    queue.enqueue_many([packet(1)])
    assert numbers(batch) == [0]


def test_an_offered_batch_is_the_callers() -> None:
    """A batch that was enqueued may change later."""
    batch = [packet(0)]
    queue = Fifo()
    queue.enqueue_many(batch)
    batch.clear()
    assert len(queue) == 1


def test_the_head_stays() -> None:
    """head() shows the oldest packet and leaves it queued."""
    queue = filled(1, 1)
    assert queue.head() == packet(0) and len(queue) == 2


def test_no_head() -> None:
    """An empty queue has no head."""
    assert Fifo().head() is None


def test_ready_when_there_is_something() -> None:
    """A queue that is not empty is ready now, an empty one is not at any time."""
    assert filled(1).ready_at(7.5) == 7.5
    assert Fifo().ready_at(7.5) is None


def test_time_may_be_left_out() -> None:
    """Without a time, a queue that is not empty is ready at 0."""
    assert filled(1).ready_at() == 0.0


def test_the_default_bound() -> None:
    """A queue holds 50 packets unless told otherwise, as ifqmaxlen says."""
    assert Fifo().max_packets == 50


def test_the_bound_in_packets() -> None:
    """A queue holds as many packets as its bound and no more."""
    assert len(filled(1, 1, 1, 1, packets=3)) == 3


def test_the_bound_in_bytes() -> None:
    """Packets that together have as many bytes as the bound fit, and one byte more does not."""
    queue = filled(60, 40, max_bytes=100)
    assert queue.nbytes == 100 and queue.enqueue_many([b"x"]) == []


def test_both_bounds() -> None:
    """With both bounds, the one met first counts."""
    assert len(filled(1, 1, 1, packets=2, max_bytes=100)) == 2
    assert len(filled(60, 60, 1, packets=2, max_bytes=100)) == 1


def test_a_full_queue_takes_nothing_under_a_bound_in_bytes() -> None:
    """A queue full of packets takes none, though there are bytes left."""
    assert filled(1, 1, packets=2, max_bytes=100).enqueue_many([packet(2)]) == []


def test_the_front_of_a_batch_fits() -> None:
    """enqueue_many() appends the front of a batch, up to the first packet that does not fit, and returns it."""
    queue = Fifo(max_bytes=100)
    assert numbers(list(queue.enqueue_many([packet(0, 50), packet(1, 60), packet(2, 10)]))) == [0]


def test_the_rest_of_a_batch_is_dropped() -> None:
    """What does not fit is counted as queue_full."""
    assert filled(50, 60, 10, max_bytes=100).statistics().dropped == {"queue_full": 2}


def test_room_in_packets() -> None:
    """room() is what is left of the bound in packets."""
    assert filled(1, 1, packets=5).room() == 3


def test_room_in_bytes() -> None:
    """There is no room once every byte is taken, and there is before."""
    assert filled(99, packets=5, max_bytes=100).room() == 4
    assert filled(100, packets=5, max_bytes=100).room() == 0


def test_a_bound_that_shrinks() -> None:
    """A bound below what is queued leaves no room, takes nothing, and drops nothing that is in."""
    queue = filled(1, 1, 1)
    queue.max_packets = 1
    assert (queue.room(), queue.enqueue_many([b"x", b"y"]), len(queue)) == (0, [], 3)


def test_purge_empties() -> None:
    """purge() leaves nothing and returns what it dropped, in order."""
    queue = filled(1, 2, 3)
    assert numbers(queue.purge()) == [0, 1, 2]
    assert (len(queue), queue.nbytes) == (0, 0)


def test_statistics() -> None:
    """statistics() says what was offered, taken, queued and dropped."""
    queue = filled(1, 2, 3, 4, packets=3)
    queue.dequeue_many(1)
    assert queue.statistics() == QueueStatistics(
        offered=4, taken=1, queued=2, queued_bytes=5, dropped={"queue_full": 1}
    )


def test_the_smallest_queue() -> None:
    """A queue for one packet of one byte holds it."""
    assert len(filled(1, 1, packets=1, max_bytes=1)) == 1


@pytest.mark.parametrize("size", [0, -1])
def test_a_queue_without_room_for_bytes(size: int) -> None:
    """A queue for less than one byte is refused."""
    with pytest.raises(ValueError, match=f"a queue holds at least 1 byte, not {size}$"):
        Fifo(max_bytes=size)


def test_an_idle_queue_is_small() -> None:
    """An empty queue takes less than 250 bytes, so that thousands of interfaces may have one each."""
    queue = Fifo()
    assert sys.getsizeof(queue) + sys.getsizeof(queue._packets) < 250


class NaiveFifo(RuleBasedStateMachine):
    """A queue that is a list and counts everything one packet at a time, beside the real one."""

    @initialize(packets=st.integers(1, 6), max_bytes=st.none() | st.integers(1, 40))
    def make(self, packets: int, max_bytes: int | None) -> None:
        self.packets, self.max_bytes = packets, max_bytes
        self.queue = Fifo(packets, max_bytes=max_bytes)
        self.naive: list[bytes] = []
        self.offered = self.taken = 0
        self.dropped: dict[str, int] = {}

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def fits(self, packet: bytes) -> bool:
        together = sum(map(len, [*self.naive, packet]))
        return len(self.naive) < self.packets and (self.max_bytes is None or together <= self.max_bytes)

    @rule(batch=st.lists(st.binary(max_size=20), max_size=8))
    def enqueue_many(self, batch: list[bytes]) -> None:
        accepted = 0
        full = False
        for packet in batch:
            self.offered += 1
            full = full or not self.fits(packet)
            if full:
                self.drop("queue_full")
            else:
                self.naive.append(packet)
                accepted += 1
        assert self.queue.enqueue_many(batch) == batch[:accepted]

    @rule(limit=st.integers(0, 8))
    def dequeue_many(self, limit: int) -> None:
        expected, self.naive = self.naive[:limit], self.naive[limit:]
        self.taken += len(expected)
        assert self.queue.dequeue_many(limit) == expected

    @rule(reason=st.sampled_from(["closed", "gone"]))
    def purge(self, reason: str) -> None:
        for _ in self.naive:
            self.drop(reason)
        expected, self.naive = self.naive, []
        assert self.queue.purge(reason) == expected

    @invariant()
    def the_same(self) -> None:
        assert self.queue.statistics() == QueueStatistics(
            offered=self.offered,
            taken=self.taken,
            queued=len(self.naive),
            queued_bytes=sum(map(len, self.naive)),
            dropped=self.dropped,
        )

    @invariant()
    def the_head(self) -> None:
        assert self.queue.head() == (self.naive[0] if self.naive else None)


TestNaiveFifo = NaiveFifo.TestCase
TestNaiveFifo.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)


@pytest.mark.parametrize(
    ("sizes", "fit"), [((), 0), ((60,), 1), ((60, 10), 2), ((60, 11), 1), ((71,), 0), ((1,) * 5, 4)]
)
def test_fitting(sizes: tuple[int, ...], fit: int) -> None:
    """fitting() counts the packets from the front that fit both bounds, and queues none."""
    queue = filled(30, packets=5, max_bytes=100)
    assert (queue.fitting([packet(0, size) for size in sizes]), len(queue)) == (fit, 1)


def test_fitting_without_a_bound_in_bytes() -> None:
    """Without a bound in bytes as many fit as there is room for."""
    queue = filled(1, packets=3)
    assert [queue.fitting([b"x"] * count) for count in (1, 2, 3)] == [1, 2, 2]
