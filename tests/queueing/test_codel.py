"""CoDel as a discipline: its bound, its options, its counters."""

from __future__ import annotations

import pytest

from aiotun.queueing import CoDel, QueueStatistics

from .packets import CE, ECT0, LINK, number_of, numbers, run


def codel(count: int, packets: int = 100, *, ecn: bool = False, tos: int = 0) -> CoDel:
    queue = CoDel(packets, target=1.0, interval=16.0, mtu=100, ecn=ecn)
    queue.enqueue_many(run(count, tos=tos), 0.0)
    return queue


def test_first_in_first_out() -> None:
    """Packets leave in the order in which they came."""
    assert numbers(codel(4).dequeue_many(3, 0.5)) == [0, 1, 2]


def test_the_usual_options() -> None:
    """Unless told otherwise, the first drop is after 100 ms above 5 ms, with more than 1514 bytes behind it."""
    queue = CoDel()
    queue.enqueue_many(run(100, 757), 0.0)
    assert queue.max_packets == 1000
    times = (0.004999, 0.104999, 0.204998, 0.204999)
    assert [numbers(queue.dequeue_many(1, time)) for time in times] == [[0], [1], [2], [4]]


def test_the_usual_mtu() -> None:
    """Unless told otherwise, 1514 bytes behind the head are none too many, one more is, and nothing is marked."""
    for last, left in ((757, [1]), (758, [2])):
        queue = CoDel()
        queue.enqueue_many([*run(3, 757, tos=ECT0), *run(1, last, first=3, tos=ECT0)], 0.0)
        assert numbers(queue.dequeue_many(1, 0.005)) == [0]
        assert numbers(queue.dequeue_many(1, 0.2)) == left


def test_what_does_not_fit() -> None:
    """The front of a batch that fits is accepted, the rest is dropped and counted."""
    queue = codel(2, packets=3)
    batch = run(3, first=2)
    assert queue.enqueue_many(batch, 0.0) == batch[:1]
    assert queue.statistics().dropped == {"queue_full": 2}


def test_what_fits() -> None:
    """A batch that just fits is accepted as it is."""
    batch = run(3)
    assert codel(0, packets=3).enqueue_many(batch, 0.0) is batch


def test_drops_are_counted() -> None:
    """Drops for delay are counted as codel, and the other packets as taken."""
    queue = codel(10)
    queue.dequeue_many(1, 1.0)
    queue.dequeue_many(3, 17.0)
    assert queue.statistics() == QueueStatistics(offered=10, taken=4, queued=5, queued_bytes=500, dropped={"codel": 1})


def test_the_head_decides() -> None:
    """head() drops what is due, counts it, and shows the packet that leaves next."""
    queue = codel(10)
    queue.dequeue_many(1, 1.0)
    head = queue.head(17.0)
    assert head is not None and number_of(head) == 2
    assert queue.statistics().dropped == {"codel": 1}
    assert queue.dequeue_many(1, 90.0) == [head]


def test_no_head() -> None:
    """An empty queue has no head and is not ready."""
    assert (codel(0).head(0.0), codel(0).ready_at(0.0)) == (None, None)


def test_ready() -> None:
    """A queue with packets is ready now."""
    assert codel(1).ready_at(3.0) == 3.0


def test_marks() -> None:
    """With ecn, packets behind the link header are marked and counted, not dropped."""
    queue = CoDel(target=1.0, interval=16.0, mtu=114, ecn=True)
    queue.offset = 14
    queue.enqueue_many([LINK + packet for packet in run(9, tos=ECT0)], 0.0)
    queue.dequeue_many(1, 1.0)
    assert [packet[15] for packet in queue.dequeue_many(2, 17.0)] == [CE, ECT0]
    head = queue.head(33.0)
    assert head is not None and head[15] == CE
    assert (queue.statistics().marked, queue.statistics().dropped) == (2, {})


def test_purge() -> None:
    """purge() returns what was queued, in order, and leaves nothing."""
    queue = codel(3)
    assert numbers(queue.purge("closed")) == [0, 1, 2]
    assert (len(queue), queue.nbytes, queue.statistics().dropped) == (0, 0, {"closed": 3})


@pytest.mark.parametrize("name", ["target", "interval", "mtu"])
def test_bad_options(name: str) -> None:
    """A target, an interval or an mtu that is not above 0 is refused."""
    with pytest.raises(ValueError, match=f"^codel: {name} must be more than 0, not -1$"):
        CoDel(**{name: -1})  # type: ignore[arg-type]
