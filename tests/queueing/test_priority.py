"""Strict priority between classes."""

from __future__ import annotations

import pytest

from aiotun.queueing import Classified, CoDel, Fifo, Priority, QueueStatistics, TokenBucket

from .packets import LINK, datagram, flow_of, flows, numbers, run


def priority(*bounds: int) -> Priority:
    """One Fifo for each bound; a packet's flow is its class."""
    return Priority([Fifo(bound) for bound in bounds or (5, 5, 5)], flow_of)


def test_the_first_class_goes_first() -> None:
    """All of a class leaves before any of the next, in order within each."""
    queue = priority()
    queue.enqueue_many([datagram(2), datagram(0, 0), datagram(1), datagram(0, 1)], 0.0)
    batch = queue.dequeue_many(64, 0.0)
    assert (flows(batch), numbers(batch)) == ([0, 0, 1, 2], [0, 1, 0, 0])


def test_a_batch_has_a_limit() -> None:
    """dequeue_many() takes at most the limit, over all classes."""
    queue = priority()
    queue.enqueue_many([datagram(1), datagram(0), datagram(2)], 0.0)
    assert flows(queue.dequeue_many(2, 0.0)) == [0, 1]
    assert len(queue) == 1


@pytest.mark.parametrize("number", [-1, 2, 3, 1000])
def test_no_such_class(number: int) -> None:
    """A number that is none of the classes' means the last class."""
    assert Priority([Fifo(), Fifo(), Fifo()], lambda packet: number).key(b"") == 2


@pytest.mark.parametrize("number", [0, 1])
def test_a_class(number: int) -> None:
    """The number of a class means that class."""
    assert Priority([Fifo(), Fifo(), Fifo()], lambda packet: number).key(b"") == number


def test_no_classes() -> None:
    """A priority without classes is refused."""
    with pytest.raises(ValueError, match="^priority: there must be at least 1 class, not 0$"):
        Priority([], flow_of)


def test_one_class_is_enough() -> None:
    """With one class, every packet belongs to it."""
    queue = priority(5)
    queue.enqueue_many([datagram(0), datagram(4)], 0.0)
    assert flows(queue.dequeue_many(64, 0.0)) == [0, 4]


def test_what_was_accepted_keeps_its_order() -> None:
    """The packets accepted are returned in the order of the batch, without those their class refused."""
    queue = priority(1, 2)
    batch = [datagram(1, 0), datagram(0, 0), datagram(1, 1), datagram(0, 1), datagram(1, 2)]
    assert queue.enqueue_many(batch, 0.0) == [batch[0], batch[1], batch[2]]


def test_what_was_accepted_keeps_its_marks() -> None:
    """The packets accepted are returned as they were offered, marks and all."""
    queue = priority(1, 1)
    batch = queue.classify([datagram(1, 0), datagram(1, 1), datagram(0, 0)])
    accepted = queue.enqueue_many(batch, 0.0)
    assert len(accepted) == 2 and accepted[0] is batch[0] and accepted[1] is batch[2]


def test_one_packet_offered_twice() -> None:
    """The same bytes twice are two packets, of which one may be refused."""
    packet = datagram(1)
    assert priority(1, 1).enqueue_many([packet, packet, datagram(0)], 0.0) == [packet, datagram(0)]


def test_everything_refused() -> None:
    """When every class is full, nothing is returned."""
    queue = priority(1)
    queue.enqueue_many([datagram()], 0.0)
    assert queue.enqueue_many([datagram()], 0.0) == []


def test_classify() -> None:
    """classify() marks a packet with its class."""
    (marked,) = priority().classify([datagram(1)])
    assert isinstance(marked, Classified) and marked.key == 1


def test_the_bound() -> None:
    """The bound of all classes together is the sum of theirs."""
    assert priority(3, 4, 5).max_packets == 12


def test_room_for_any_class() -> None:
    """There is room for as many packets as the fullest class takes."""
    queue = priority(5, 3)
    queue.enqueue_many([datagram(0)] * 4, 0.0)
    assert queue.room() == 1


def test_the_size() -> None:
    """Packets and bytes are those of all classes."""
    queue = priority()
    queue.enqueue_many([datagram(0, size=100), datagram(1, size=200)], 0.0)
    assert (len(queue), queue.nbytes) == (2, 300)


def test_the_offset_goes_to_every_class() -> None:
    """The classes look behind the same link header."""
    inner = priority()
    queue = Priority([inner, Fifo()], lambda packet: 0)
    queue.offset = 14
    assert [queue.offset, inner.offset, *(each.offset for each in queue.classes)] == [14, 14, 14, 14]
    queue.enqueue_many([LINK + datagram(1)], 0.0)
    assert [len(each) for each in inner.classes] == [0, 1, 0]


def test_the_head() -> None:
    """head() is the first packet of the first class that has one."""
    queue = priority()
    queue.enqueue_many([datagram(2), datagram(1)], 0.0)
    assert queue.head(0.0) == datagram(1)


def test_no_head() -> None:
    """Without packets there is no head, and no time for one."""
    assert priority().head(0.0) is None
    assert priority().ready_at(0.0) is None


def slow_first() -> Priority:
    """A class that gives 100 bytes a second, before one without a limit; the first has spent its burst."""
    queue = Priority([TokenBucket(800, 100), Fifo()], flow_of)
    queue.enqueue_many([*run(3, flow=0), datagram(1)], 0.0)
    queue.dequeue_many(1, 0.0)
    return queue


def test_a_class_that_is_not_ready() -> None:
    """A class that has to wait for its time lets the next go first."""
    queue = slow_first()
    assert queue.head(0.0) == datagram(1)
    assert queue.dequeue_many(64, 0.0) == [datagram(1)]


def test_ready_now() -> None:
    """A priority is ready when one of its classes is."""
    assert slow_first().ready_at(0.5) == 0.5


def test_ready_later() -> None:
    """When all classes wait, the first to be ready counts, for the time and for the head."""
    queue = Priority([TokenBucket(800, 100), TokenBucket(1600, 100)], flow_of)
    queue.enqueue_many([*run(2, flow=0), *run(2, flow=1)], 0.0)
    queue.dequeue_many(2, 0.0)
    assert (queue.ready_at(0.0), queue.head(0.0)) == (0.5, datagram(1, 1))


def test_of_two_ready_the_first() -> None:
    """A class that became ready later still goes first once it is ready."""
    queue = Priority([TokenBucket(800, 100), TokenBucket(1600, 100)], flow_of)
    queue.enqueue_many([*run(2, flow=0), *run(2, flow=1)], 0.0)
    queue.dequeue_many(2, 0.0)
    assert (queue.ready_at(2.0), queue.head(2.0)) == (2.0, datagram(0, 1))


def test_purge() -> None:
    """purge() empties every class, the first one first, under the reason given."""
    queue = priority()
    queue.enqueue_many([datagram(1), datagram(0)], 0.0)
    assert flows(queue.purge("closed")) == [0, 1]
    assert queue.statistics().dropped == {"closed": 2}


def test_the_usual_reason() -> None:
    """A purge without a reason is counted as purged."""
    queue = priority()
    queue.enqueue_many([datagram(0)], 0.0)
    queue.purge()
    assert queue.statistics().dropped == {"purged": 1}


def test_statistics() -> None:
    """The counters are the sums of the classes' counters."""
    queue = Priority([Fifo(2), CoDel(2, target=1.0, interval=1.0, mtu=1, ecn=True)], flow_of)
    queue.enqueue_many([*run(3, flow=0), *run(3, flow=1, tos=2)], 0.0)
    queue.classes[1].head(2.0)
    queue.dequeue_many(1, 2.0)
    queue.classes[1].dequeue_many(1, 2.0)
    queue.enqueue_many(run(2, flow=1, tos=2), 2.0)
    queue.classes[1].dequeue_many(1, 4.0)
    assert queue.statistics() == QueueStatistics(
        offered=8, taken=3, queued=2, queued_bytes=200, dropped={"queue_full": 3}, marked=1
    )


def test_fitting_whatever_the_class() -> None:
    """As many packets fit as any class has room for."""
    queue = Priority([Fifo(3), Fifo(9, max_bytes=250)], flow_of)
    assert [queue.fitting(run(count)) for count in (0, 1, 2, 3)] == [0, 1, 2, 2]
    queue.enqueue_many(run(2, flow=0), 0.0)
    assert queue.fitting(run(3, flow=1)) == 1


def test_fitting_a_class_of_its_own() -> None:
    """A packet that only its own class takes fits once all are empty; one that its own does not never does."""
    queue = Priority([Fifo(max_bytes=99), Fifo(max_bytes=100)], flow_of)
    assert (queue.fitting(run(2, flow=1)), queue.fitting(run(2, flow=0))) == (1, 0)
    queue.enqueue_many(run(1, 40, flow=0), 0.0)
    assert queue.fitting(run(1, flow=1)) == 0
