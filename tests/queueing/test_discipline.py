"""What all queues inherit: the bound, the counters, the repr."""

from __future__ import annotations

import pytest

from aiotun.queueing import Fifo


def test_repr() -> None:
    """The repr says how full a discipline is."""
    queue = Fifo()
    queue.enqueue_many([b"four", b"fives"])
    assert repr(queue) == "<Fifo 2/50 packets, 9 bytes>"


@pytest.mark.parametrize("packets", [0, -1])
def test_a_queue_without_room_for_packets(packets: int) -> None:
    """A queue for less than one packet is refused."""
    with pytest.raises(ValueError, match=f"^a queue holds at least 1 packet, not {packets}$"):
        Fifo(packets)


def test_no_link_header_at_first() -> None:
    """A new discipline looks at the start of a packet."""
    assert Fifo().offset == 0


def test_without_classes() -> None:
    """classify() of a discipline without classes returns the batch itself."""
    batch = [b"x"]
    assert Fifo().classify(batch) is batch


def test_purge_counts() -> None:
    """What was purged is counted under its reason, and again under the same one."""
    queue = Fifo()
    for _ in range(2):
        queue.enqueue_many([b"x", b"y"])
        queue.purge("closed")
    assert queue.statistics().dropped == {"closed": 4}


def test_the_usual_reason() -> None:
    """A purge without a reason is counted as purged."""
    queue = Fifo()
    queue.enqueue_many([b"x"])
    queue.purge()
    assert queue.statistics().dropped == {"purged": 1}


def test_purging_nothing_counts_nothing() -> None:
    """Purging an empty queue makes no counter."""
    queue = Fifo()
    queue.purge("closed")
    assert queue.statistics().dropped == {}


def test_statistics_are_a_snapshot() -> None:
    """A statistics value stays as it was."""
    queue = Fifo(1)
    queue.enqueue_many([b"x", b"y"])
    before = queue.statistics()
    queue.enqueue_many([b"z"])
    assert before.dropped == {"queue_full": 1}


def test_nothing_is_marked() -> None:
    """A queue that marks nothing counts no marks."""
    assert Fifo().statistics().marked == 0
