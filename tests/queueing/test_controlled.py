"""The law of CoDel, by its times and against a second reading of RFC 8289."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiotun.queueing.controlled import ControlledQueue, Law

from .naive_codel import NaiveCoDel
from .packets import CE, ECT0, datagram, number_of, numbers, run

TARGET, INTERVAL, MTU = 1.0, 16.0, 100


def controlled(count: int, *, size: int = 100, ecn: bool = False, tos: int = 0, now: float = 0.0) -> ControlledQueue:
    """A queue with *count* packets that came at the same time."""
    queue = ControlledQueue(Law(TARGET, INTERVAL, MTU, ecn))
    queue.push(run(count, size, tos=tos), now)
    return queue


def pulled(queue: ControlledQueue, *times: float) -> list[int]:
    """The numbers of the packets that leave at these times."""
    return [number_of(queue.pull(time)) for time in times]


def dropping(count: int = 100, *, ecn: bool = False, tos: int = 0) -> ControlledQueue:
    """A queue that has just dropped, or marked, for the first time, at 17."""
    queue = controlled(count, ecn=ecn, tos=tos)
    pulled(queue, 1.0, 17.0)
    return queue


def test_the_first_drop() -> None:
    """The first drop is an interval after a packet was seen to have waited for target, and not before."""
    assert pulled(controlled(100), 1.0, 16.999, 17.0, 17.0) == [0, 1, 3, 4]


def test_below_target_nothing_starts() -> None:
    """A delay just below target does not start the interval."""
    assert pulled(controlled(100), 0.999, 17.0, 32.999, 33.0) == [0, 1, 2, 4]


def test_one_packet_below_target_ends_the_interval() -> None:
    """A packet that waited for less than target means that the delay was not above it for an interval."""
    queue = controlled(1)
    queue.push(run(1, first=1), 9.5)
    queue.push(run(50, first=2), 9.5)
    assert pulled(queue, 1.0, 10.0, 17.0, 32.999, 33.0) == [0, 1, 2, 3, 5]


def test_the_last_mtu_is_never_dropped() -> None:
    """With no more than an mtu behind the head, the delay does not count."""
    queue = controlled(3)
    assert pulled(queue, 1.0, 17.0, 34.0) == [0, 1, 2]


def test_one_byte_more_than_an_mtu_counts() -> None:
    """With one byte more than an mtu behind the head, the delay counts."""
    queue = ControlledQueue(Law(TARGET, INTERVAL, MTU, False))
    queue.push([*run(2), datagram(0, 2, 101)], 0.0)
    assert pulled(queue, 1.0, 17.0) == [0, 2]


def test_the_drops_come_faster() -> None:
    """In drop state the time between drops is the interval by the square root of their number."""
    queue = dropping()
    due = 17.0
    for count in range(1, 8):
        due += INTERVAL / sqrt(count)
        before = number_of(queue.pull(due - 0.001))
        assert pulled(queue, due) == [before + 2]


def test_several_drops_at_once() -> None:
    """After a pause, all drops that were due happen at once."""
    queue = dropping()
    dues = [17.0 + INTERVAL, 17.0 + INTERVAL + INTERVAL / sqrt(2)]
    assert pulled(queue, dues[1] + 0.001) == [5]


def test_leaving_drop_state() -> None:
    """A packet that waited for less than target ends drop state: the next drop is an interval away again."""
    queue = dropping(5)
    queue.push(run(50, first=5), 20.0)
    assert pulled(queue, 20.1, 20.1, 20.5, 33.0, 48.999, 49.0) == [3, 4, 5, 6, 7, 9]


def test_leaving_drop_state_by_dropping() -> None:
    """When a drop leaves no more than an mtu, drop state ends."""
    queue = dropping(6)
    assert pulled(queue, 33.0) == [4]
    queue.push(run(50, first=6), 33.0)
    assert pulled(queue, 34.0, 49.999, 50.0) == [5, 6, 8]


def again(pause: float) -> ControlledQueue:
    """A queue that dropped four times, was short for a moment, and drops again *pause* after it was due to."""
    queue = dropping(200)
    due = 17.0
    for count in range(1, 4):
        due += INTERVAL / sqrt(count)
        queue.pull(due)
    due += INTERVAL / sqrt(4)
    queue.clear()
    queue.push(run(1), due - 1.0)
    queue.pull(due - 1.0)
    queue.push(run(100), due + pause - 17.0)
    return queue


def start_of(pause: float) -> float:
    return 17.0 + INTERVAL + INTERVAL / sqrt(2) + INTERVAL / sqrt(3) + INTERVAL / sqrt(4) + pause


@pytest.mark.parametrize(("pause", "count"), [(17.0, 3), (255.99, 3), (256.01, 1)])
def test_the_count_is_remembered(pause: float, count: int) -> None:
    """Within 16 intervals, drop state starts at the rate that it had reached; later at the first."""
    queue, now = again(pause), start_of(pause)
    assert pulled(queue, now - 16.0, now) == [0, 2]
    due = now + INTERVAL / sqrt(count)
    assert pulled(queue, due - 0.001, due + 0.001) == [3, 5]


def test_a_packet_that_was_looked_at_is_the_one() -> None:
    """After settle(), pull() gives that packet, however much later."""
    queue = controlled(100)
    pulled(queue, 1.0)
    assert number_of(queue.settle(16.0)) == 1
    assert number_of(queue.settle(40.0)) == 1
    assert pulled(queue, 50.0, 50.0) == [1, 3]


def test_looking_drops_what_is_due() -> None:
    """settle() drops what pull() would, once."""
    queue = controlled(100)
    pulled(queue, 1.0)
    assert number_of(queue.settle(17.0)) == 2
    assert pulled(queue, 17.0) == [2]


def test_a_decision_goes_with_its_packet() -> None:
    """A packet that was looked at and then dropped from outside leaves the next one to be decided about."""
    queue = controlled(100)
    pulled(queue, 1.0)
    queue.settle(1.0)
    assert number_of(queue.drop_head()) == 1
    assert pulled(queue, 17.0) == [3]


def test_a_decision_ends_with_a_purge() -> None:
    """A decision taken before clear() is not for the packets that come after it."""
    queue = controlled(100)
    pulled(queue, 1.0)
    queue.settle(1.0)
    assert len(queue.clear()) == 99
    queue.push(run(10), 1.0)
    assert pulled(queue, 17.0) == [1]


def test_arrivals_end_with_a_purge() -> None:
    """Packets that come after clear() have waited since they came, not since those before them did."""
    queue = controlled(3)
    queue.clear()
    queue.push(run(100), 10.0)
    assert pulled(queue, 10.5, 26.6) == [0, 1]


def test_a_batch_below_target() -> None:
    """A batch below target leaves whole, up to the limit."""
    queue = controlled(5)
    assert numbers(queue.pull_many(3, 0.5)) == [0, 1, 2]
    assert (numbers(queue.pull_many(3, 0.5)), queue.nbytes) == ([3, 4], 0)


def test_a_batch_above_target() -> None:
    """A batch above target is decided about packet by packet, up to the limit."""
    queue = controlled(100)
    assert numbers(queue.pull_many(2, 1.0)) == [0, 1]
    assert numbers(queue.pull_many(2, 17.0)) == [3, 4]


def test_a_batch_of_nothing() -> None:
    """A limit of 0 takes nothing and changes nothing."""
    queue = controlled(100)
    pulled(queue, 1.0)
    queue.push(run(1, first=100), 1.0)
    assert queue.pull_many(0, 1.0) == []
    queue = controlled(3, now=0.5)
    queue._first_above = 17.0
    assert queue.pull_many(0, 1.0) == [] and queue._first_above == 17.0


def test_no_packets() -> None:
    """An empty queue gives an empty batch."""
    assert controlled(0).pull_many(64, 5.0) == []


def test_marks_instead_of_drops() -> None:
    """A packet that can take a mark is marked at the times at which it would be dropped."""
    queue = controlled(100, ecn=True, tos=ECT0)
    found = [queue.pull(time) for time in (1.0, 16.999, 17.0, 32.999, 33.0, 33.0)]
    assert numbers(found) == [0, 1, 2, 3, 4, 5]
    assert [packet[1] for packet in found] == [ECT0, ECT0, CE, ECT0, CE, ECT0]


def test_looking_marks() -> None:
    """settle() marks what pull() would, without a link header unless told of one."""
    queue = controlled(100, ecn=True, tos=ECT0)
    pulled(queue, 1.0)
    assert queue.settle(17.0)[1] == CE


def test_one_mark_a_packet() -> None:
    """After a pause, one packet takes one mark; the next takes the next that was due."""
    queue = dropping(ecn=True, tos=ECT0)
    found = queue.pull_many(3, 17.0 + INTERVAL + INTERVAL / sqrt(2) + 0.001)
    assert [packet[1] for packet in found] == [CE, CE, ECT0]


def test_marks_are_counted() -> None:
    """Each mark is counted once, for all queues under one law."""
    law = Law(TARGET, INTERVAL, MTU, True)
    for _ in range(2):
        queue = ControlledQueue(law)
        queue.push(run(9, tos=ECT0), 0.0)
        queue.pull_many(1, 1.0)
        queue.pull_many(2, 17.0)
    assert law.marked == 2


def test_drops_where_no_mark_is_possible() -> None:
    """A packet whose ends do not take marks is dropped, with ecn too."""
    queue = controlled(100, ecn=True)
    assert pulled(queue, 1.0, 17.0, 33.0) == [0, 2, 4]


def test_no_marks_without_ecn() -> None:
    """Without ecn, a packet that could take a mark is dropped."""
    assert pulled(controlled(100, tos=ECT0), 1.0, 17.0) == [0, 2]


def test_marks_behind_a_link_header() -> None:
    """The offset says where the IP header is."""
    queue = ControlledQueue(Law(TARGET, INTERVAL, MTU, True))
    queue.push([b"\0\0" + packet for packet in run(9, tos=ECT0)], 0.0)
    queue.pull_many(1, 1.0, 2)
    assert [packet[3] for packet in queue.pull_many(2, 17.0, 2)] == [CE, ECT0]
    assert queue.settle(33.0, 2)[3] == CE


@pytest.mark.parametrize("name", ["target", "interval", "mtu"])
def test_a_law_is_of_positive_numbers(name: str) -> None:
    """A target, an interval or an mtu that is not above 0 is refused."""
    options = {"target": 1.0, "interval": 1.0, "mtu": 1, "ecn": False} | {name: 0}
    with pytest.raises(ValueError, match=f"^codel: {name} must be more than 0, not 0$"):
        Law(**options)  # type: ignore[arg-type]


steps = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, 4.0, 16.0]), st.integers(0, 6), st.integers(0, 4)), max_size=60
)


@given(steps, st.booleans())
@settings(deadline=None)
def test_the_same_as_the_naive_one(steps: list[tuple[float, int, int]], looking: bool) -> None:
    """At any times, the packets that leave and those that are dropped are the naive one's."""
    queue, naive = controlled(0), NaiveCoDel(TARGET, INTERVAL, MTU)
    now, number = 1.0, 0
    for pause, arriving, leaving in steps:
        now += pause
        for packet in run(arriving, 60, first=number):
            queue.push([packet], now)
            naive.push(packet, now)
        number += arriving
        if looking and leaving and queue.packets:
            queue.settle(now)
        expected = [naive.pull(now) for _ in range(min(leaving, len(naive.queue)))]
        assert queue.pull_many(leaving, now) == [packet for packet in expected if packet is not None]
        assert list(queue.packets) == [packet for _, packet in naive.queue]
        assert queue.nbytes == sum(map(len, queue.packets))
