"""What all queues inherit: the bound, the counters, the repr."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from aiotun.queueing import CoDel, FairQueue, Fifo, FQCoDel, Priority, TokenBucket


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


WRONG: list[tuple[Callable[[Any], object], str]] = [
    (Fifo, "packets is a whole number"),
    (CoDel, "packets is a whole number"),
    (lambda value: Fifo(max_bytes=value), "max_bytes is a whole number"),
    (lambda value: FairQueue(flows=value), "flows is a whole number"),
    (lambda value: FairQueue(quantum=value), "quantum is a whole number of bytes"),
    (lambda value: FQCoDel(flows=value), "flows is a whole number"),
    (lambda value: FQCoDel(quantum=value), "quantum is a whole number of bytes"),
    (lambda value: TokenBucket(value, 1500), "rate is a whole number of bits per second"),
    (lambda value: TokenBucket(10**6, value), "burst is a whole number of bytes"),
    (lambda value: TokenBucket(10**6, 1500, value), "the queue of a token bucket is a discipline such as Fifo(50)"),
    (lambda value: Priority([Fifo(), value], len), "a class of a priority is a discipline such as Fifo(50)"),
]


@pytest.mark.parametrize(("make", "text"), WRONG)
@pytest.mark.parametrize("value", ["10mbit", 1500.5, math.inf, math.nan, b"1", []])
def test_wrong_types(make: Callable[[Any], object], text: str, value: object) -> None:
    """A number that is none, and a discipline that is none, are refused with a sentence that names them."""
    with pytest.raises(TypeError, match=f"^{re.escape(f'{text}, not {value!r}')}$"):
        make(value)


def test_a_float_that_is_whole() -> None:
    """A float without a fraction counts as the whole number that it is."""
    made = TokenBucket(1e6, 1500.0, Fifo(5.0, max_bytes=100.0))  # type: ignore[arg-type]
    numbers = [made.rate, made.burst, made.max_packets, made._queue.max_bytes]  # type: ignore[attr-defined]
    assert [(type(number), number) for number in numbers] == [(int, 10**6), (int, 1500), (int, 5), (int, 100)]


def test_nobody_s_discipline() -> None:
    """A new discipline belongs to nobody, and one that belongs to nobody has dropped nothing for anyone."""
    queue = Fifo(1)
    queue.enqueue_many([b"x", b"y"])
    queue.detach(lambda reason, count: pytest.fail("there is nobody"))
    assert (queue.owner, queue.dropped(None)) == (None, {})
