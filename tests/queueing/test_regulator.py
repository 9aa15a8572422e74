"""The token bucket: exact rates and bursts on a simulated clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiotun.queueing import CoDel, Discipline, FairQueue, Fifo, Priority, QueueStatistics, TokenBucket
from aiotun.queueing.regulator import _nanoseconds, _seconds

from .packets import LINK, datagram, flow_of, run

MBIT = 1_000_000
PACKET = bytes(100)


def bucket(*sizes: int, rate: int = 800, burst: int = 100, queue: Discipline | None = None) -> TokenBucket:
    """A bucket, by default of 100 bytes a second, with packets of these sizes."""
    made = TokenBucket(rate, burst, queue)
    made.enqueue_many([bytes(size) for size in sizes], 0.0)
    return made


def sizes(batch: list[bytes]) -> list[int]:
    return [len(packet) for packet in batch]


def drain(queue: TokenBucket, until: float, start: float = 0.0) -> list[tuple[float, int]]:
    """Take what is ready whenever it is, with packets always waiting; return the times and the bytes."""
    left: list[tuple[float, int]] = []
    packet = bytes(16000)
    now = start
    while now <= until:
        queue.enqueue_many([packet] * queue.room(), now)
        batch = queue.dequeue_many(64, now)
        assert batch  # what ready_at() said holds
        left.append((now, sum(map(len, batch))))
        ready = queue.ready_at(now)
        assert ready is not None and ready > now
        now = ready
    return left


@pytest.mark.parametrize("start", [0.0, 12345.678901234, 3e8], ids=["boot", "hours", "ten years"])
@pytest.mark.parametrize("rate", [10 * MBIT, 100 * MBIT, 1000 * MBIT])
def test_the_rate_is_exact(rate: int, start: float) -> None:
    """Over ten seconds, all that leaves is the burst and the rate's bytes, less at most a packet."""
    burst = 32000
    left = drain(TokenBucket(rate, burst, Fifo(64)), start + 10.0, start)
    assert left[0][1] == burst
    total = sum(nbytes for _, nbytes in left)
    assert 0 <= burst + rate * 10 // 8 - total < 16000 + 1


@pytest.mark.parametrize("rate", [10 * MBIT, 100 * MBIT, 1000 * MBIT])
def test_never_more_than_the_burst_and_the_rate(rate: int) -> None:
    """From the start to any time, no more leaves than the burst and the rate's bytes."""
    left = drain(TokenBucket(rate, 48000, Fifo(64)), 2.0)
    total = 0
    for now, nbytes in left:
        total += nbytes
        assert total * 8 * 10**9 <= 48000 * 8 * 10**9 + round(now * 10**9) * rate


def test_the_burst_is_exact() -> None:
    """At the start, the burst's bytes leave and not one more."""
    assert sizes(bucket(60, 40, 1).dequeue_many(64, 0.0)) == [60, 40]


def test_one_byte_more_than_the_burst_waits() -> None:
    """A packet that needs one byte more than is left waits, with all behind it."""
    assert sizes(bucket(60, 41, 1).dequeue_many(64, 0.0)) == [60]


def test_a_pause_earns_a_burst() -> None:
    """After a long pause there is one burst, no more."""
    queue = bucket(100, 100, 100)
    queue.dequeue_many(64, 0.0)
    assert sizes(queue.dequeue_many(64, 1000.0)) == [100]


def test_tokens_come_with_time() -> None:
    """A packet leaves once its tokens are there, and not a nanosecond before."""
    queue = bucket(100, 50)
    queue.dequeue_many(64, 0.0)
    assert queue.dequeue_many(64, 0.499999999) == []
    assert sizes(queue.dequeue_many(64, 0.5)) == [50]


def test_ready_when_the_tokens_are() -> None:
    """ready_at() is the time at which the head's tokens are there."""
    queue = bucket(100, 50)
    queue.dequeue_many(64, 0.0)
    assert [queue.ready_at(0.0), queue.ready_at(0.25), queue.ready_at(0.5), queue.ready_at(2.0)] == [0.5, 0.5, 0.5, 2.0]


def test_ready_is_not_too_early() -> None:
    """Where the time is no whole number of nanoseconds, ready_at() is the next one."""
    queue = bucket(100, 1, rate=7)
    queue.dequeue_many(64, 0.0)
    assert queue.ready_at(0.0) == 1.142857143
    assert queue.dequeue_many(64, 1.142857142) == []
    assert sizes(queue.dequeue_many(64, 1.142857143)) == [1]


def test_ready_now_is_now() -> None:
    """With exactly the tokens that are needed, ready_at() is no later than now, though now is between nanoseconds."""
    assert bucket(100).ready_at(200.27273793999998) == 200.27273793999998


def test_the_last_token_counts() -> None:
    """A packet that lacks one of its tokens waits for it."""
    queue = bucket(1, 1, rate=7_999_999_999, burst=1)
    queue.dequeue_many(1, 0.0)
    assert queue.dequeue_many(1, 1e-9) == []
    assert queue.ready_at(1e-9) == 2e-9


def test_nothing_is_never_ready() -> None:
    """An empty bucket's queue has no head and no time."""
    assert (bucket().ready_at(1.0), bucket().head(1.0)) == (None, None)


def test_looking_costs_nothing() -> None:
    """head() and ready_at() take no tokens and no packets."""
    queue = bucket(100)
    for _ in range(3):
        assert queue.head(0.0) == PACKET and queue.ready_at(0.0) == 0.0
    assert sizes(queue.dequeue_many(64, 0.0)) == [100]


def test_a_packet_longer_than_the_burst() -> None:
    """A packet longer than the burst leaves when the bucket is full, and what it had too much is owed."""
    queue = bucket(300, 50)
    assert sizes(queue.dequeue_many(64, 0.0)) == [300]
    assert queue.ready_at(0.0) == 2.5


def test_a_long_packet_waits_for_a_full_bucket() -> None:
    """A packet longer than the burst waits until the bucket is full."""
    queue = bucket(50, 300)
    assert sizes(queue.dequeue_many(64, 0.0)) == [50]
    assert queue.ready_at(0.0) == 0.5
    assert queue.dequeue_many(64, 0.499999999) == []
    assert sizes(queue.dequeue_many(64, 0.5)) == [300]


def test_a_batch_has_a_limit() -> None:
    """dequeue_many() takes at most the limit, and tokens for no more."""
    queue = bucket(10, 10, 80, 1)
    assert sizes(queue.dequeue_many(2, 0.0)) == [10, 10]
    assert sizes(queue.dequeue_many(64, 0.0)) == [80]


def test_a_clock_may_start_anywhere() -> None:
    """The bucket is full at the first time it is told, whichever that is."""
    queue = bucket(100, 1)
    assert sizes(queue.dequeue_many(64, -5.0)) == [100]
    assert queue.ready_at(-5.0) == -4.99


def test_the_smallest_bucket() -> None:
    """One bit a second and one byte of burst let a byte out every eight seconds."""
    queue = bucket(1, 1, rate=1, burst=1)
    queue.dequeue_many(64, 0.0)
    assert queue.ready_at(0.0) == 8.0


@pytest.mark.parametrize("rate", [0, -1])
def test_no_rate(rate: int) -> None:
    """A rate below one bit a second is refused."""
    with pytest.raises(ValueError, match=f"^a token bucket lets at least 1 bit per second out, not {rate}$"):
        TokenBucket(rate, 1)


@pytest.mark.parametrize("burst", [0, -1])
def test_no_burst(burst: int) -> None:
    """A burst below one byte is refused."""
    with pytest.raises(ValueError, match=f"^a token bucket holds at least 1 byte, not {burst}$"):
        TokenBucket(1, burst)


def test_the_usual_queue() -> None:
    """Without a discipline inside, packets wait in a Fifo of its usual bound."""
    assert (TokenBucket(1, 1).max_packets, TokenBucket(1, 1).room()) == (50, 50)


def test_an_empty_discipline_is_one() -> None:
    """A discipline inside is used, though it is empty at first."""
    inside = Fifo(7)
    assert bucket(1, 1, queue=inside).max_packets == 7 and len(inside) == 2


def test_it_shows_what_is_inside() -> None:
    """Length, bytes, room and counters are those of the discipline inside."""
    queue = bucket(60, 60, 1, queue=Fifo(2))
    queue.dequeue_many(64, 0.0)
    assert (len(queue), queue.nbytes, queue.room()) == (1, 60, 1)
    assert queue.statistics() == QueueStatistics(
        offered=3, taken=1, queued=1, queued_bytes=60, dropped={"queue_full": 1}
    )


def test_what_was_accepted() -> None:
    """enqueue_many() returns what the discipline inside accepted."""
    assert TokenBucket(1, 1, Fifo(1)).enqueue_many([b"a", b"b"], 0.0) == [b"a"]


def test_purge() -> None:
    """purge() empties the discipline inside, under the reason given, or the usual one."""
    queue = bucket(1, 2)
    assert sizes(queue.purge("closed")) == [1, 2]
    queue.enqueue_many([b"x"], 0.0)
    queue.purge()
    assert queue.statistics().dropped == {"closed": 2, "purged": 1}


def test_classes_inside() -> None:
    """Marks and the offset are for the discipline inside."""
    inside = Priority([Fifo(), Fifo()], flow_of)
    queue = TokenBucket(800, 1000, inside)
    queue.offset = 14
    assert (queue.offset, inside.offset) == (14, 14)
    queue.enqueue_many([LINK + datagram(1), *queue.classify([datagram(0)])], 0.0)
    assert queue.dequeue_many(64, 0.0) == [datagram(0), LINK + datagram(1)]


def test_a_later_packet_of_a_higher_class() -> None:
    """While the head waits for tokens, a packet of a higher class may take its place."""
    queue = TokenBucket(800, 100, Priority([Fifo(), Fifo()], flow_of))
    queue.enqueue_many(run(2, flow=1), 0.0)
    queue.dequeue_many(64, 0.0)
    assert queue.ready_at(0.0) == 1.0
    queue.enqueue_many([datagram(0, size=50)], 0.5)
    assert queue.ready_at(0.5) == 0.5
    assert queue.dequeue_many(64, 0.5) == [datagram(0, size=50)]


def test_a_regulator_inside() -> None:
    """A regulator inside a faster one keeps its own time, and takes no tokens of the outer one while it waits."""
    queue = bucket(100, 100, 100, rate=1600, burst=200, queue=TokenBucket(800, 100))
    assert sizes(queue.dequeue_many(64, 0.0)) == [100]
    assert (queue.ready_at(0.0), queue.dequeue_many(64, 0.5)) == (1.0, [])
    assert sizes(queue.dequeue_many(64, 1.0)) == [100]


def test_a_slower_regulator_outside() -> None:
    """The later of two regulators' times counts."""
    queue = bucket(100, 100, rate=400, burst=100, queue=TokenBucket(800, 100))
    queue.dequeue_many(64, 0.0)
    assert queue.ready_at(0.0) == 2.0


def test_a_discipline_that_drops_inside() -> None:
    """The packet that was looked at is the one that leaves, though CoDel dropped before it."""
    queue = TokenBucket(800, 200, CoDel(target=1.0, interval=1.0, mtu=100))
    packets = run(5)
    queue.enqueue_many(packets, 0.0)
    assert queue.dequeue_many(1, 1.0) == packets[:1]
    assert queue.head(2.0) == packets[2]
    assert queue.dequeue_many(64, 2.0) == packets[2:4]
    assert queue.statistics().dropped == {"codel": 1}


def test_fairness_inside() -> None:
    """Flows of a fair queue inside share the rate."""
    queue = TokenBucket(8000, 100, FairQueue(quantum=100))
    queue.enqueue_many([*run(4, flow=1), *run(4, flow=2)], 0.0)
    now, order = 0.0, []
    while (ready := queue.ready_at(now)) is not None:
        now = ready
        order += [flow_of(packet) for packet in queue.dequeue_many(64, now)]
    assert order == [1, 2] * 4 and now == 0.7


@given(st.integers(0, 10**18))
@example(3 * 10**16 + 1)
@example(2**53 + 1)
def test_seconds_are_not_before_their_nanosecond(at: int) -> None:
    """The time of a nanosecond is the first float that is not before it."""
    now = _seconds(at)
    assert _nanoseconds(now) >= at
    assert at == 0 or _nanoseconds(math.nextafter(now, 0.0)) < at or now == at / 10**9


def test_fitting_is_the_discipline_s_inside() -> None:
    """As many packets fit as the discipline inside has room for."""
    queue = bucket(50, queue=Fifo(max_bytes=250))
    assert (queue.fitting([PACKET] * 3), queue.room()) == (2, 49)
