"""What every discipline promises, over all of them and over random uses of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiotun.queueing import CoDel, Discipline, FairQueue, Fifo, FQCoDel, Priority, TokenBucket, prepend

from .packets import LINK, datagram, flow_of, number_of, run

BOUND = 12
RATE = 8 * 1000  # a packet of 100 bytes takes a tenth of a second

Make = Callable[[], Discipline]

DISCIPLINES: dict[str, Make] = {
    "fifo": lambda: Fifo(BOUND),
    "fifo in bytes": lambda: Fifo(BOUND, max_bytes=700),
    "priority": lambda: Priority([Fifo(4), Fifo(4), Fifo(4)], flow_of),
    "token bucket": lambda: TokenBucket(RATE, 250, Fifo(BOUND)),
    "fair": lambda: FairQueue(BOUND, quantum=100),
    "fair, shared": lambda: FairQueue(BOUND, flows=2, quantum=150),
    "codel": lambda: CoDel(BOUND, target=0.125, interval=0.5, mtu=100),
    "codel, ecn": lambda: CoDel(BOUND, target=0.125, interval=0.5, mtu=100, ecn=True),
    "fq_codel": lambda: FQCoDel(BOUND, quantum=100, target=0.125, interval=0.5, mtu=100, seed=1),
    "fq_codel, hashed": lambda: FQCoDel(
        BOUND, flows=2, quantum=150, target=0.125, interval=0.5, mtu=100, ecn=True, seed=2
    ),
    "token bucket, codel": lambda: TokenBucket(RATE, 250, CoDel(BOUND, target=0.125, interval=0.5, mtu=100)),
    "token bucket, fq_codel": lambda: TokenBucket(
        RATE, 250, FQCoDel(BOUND, quantum=100, target=0.125, interval=0.5, mtu=100, seed=1)
    ),
    "token bucket, fair": lambda: TokenBucket(RATE, 250, FairQueue(BOUND, quantum=100)),
    "priority of all": lambda: Priority(
        [TokenBucket(RATE, 150, Fifo(4)), CoDel(4, target=0.125, interval=0.5, mtu=100), FairQueue(4)], flow_of
    ),
    "token bucket, priority": lambda: TokenBucket(RATE, 250, Priority([Fifo(4), Fifo(4), Fifo(4)], flow_of)),
}

each = pytest.mark.parametrize("make", DISCIPLINES.values(), ids=DISCIPLINES.keys())

Action = tuple[str, float, int, list[tuple[int, int]]]

actions = st.lists(
    st.tuples(
        st.sampled_from(["enqueue", "enqueue", "enqueue", "dequeue", "dequeue", "head", "ready", "purge"]),
        st.sampled_from([0.0, 0.0, 0.0625, 0.125, 0.5, 2.0]),
        st.integers(0, 6),
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from([40, 100, 300])), max_size=9),
    ),
    max_size=25,
)


class User:
    """Uses a discipline and checks after each step what always holds."""

    def __init__(self, queue: Discipline) -> None:
        self.queue = queue
        self.now = 100.0
        self.offered = self.taken = 0
        self.last = {flow: -1 for flow in range(4)}

    def offer(self, sizes: Sequence[tuple[int, int]], marked: bool) -> None:
        plain = [datagram(flow, self.offered + n, size, tos=2 * (flow % 2)) for n, (flow, size) in enumerate(sizes)]
        batch = self.queue.classify(plain) if marked else plain
        room, before = self.queue.room(), self.dropped()
        self.offered += len(batch)
        accepted = self.queue.enqueue_many(batch, self.now)
        if len(accepted) == len(batch):
            assert accepted is batch
        else:
            rest = iter(batch)
            assert all(any(packet is other for other in rest) for packet in accepted)  # some of them, in order
            assert self.dropped() - before >= len(batch) - len(accepted)
        if len(batch) <= room and not isinstance(self.queue, Fifo):
            assert accepted is batch and self.dropped() == before

    def take(self, limit: int) -> list[bytes]:
        batch = self.queue.dequeue_many(limit, self.now)
        assert len(batch) <= limit
        self.taken += len(batch)
        for packet in batch:
            assert type(packet) is bytes
            assert number_of(packet) > self.last[flow_of(packet)]
            self.last[flow_of(packet)] = number_of(packet)
        return batch

    def look(self) -> None:
        head = self.queue.head(self.now)
        assert (head is None) == (len(self.queue) == 0)
        ready = self.queue.ready_at(self.now)
        if ready is not None and ready <= self.now:
            assert self.take(1) == [head]

    def wait(self) -> None:
        ready = self.queue.ready_at(self.now)
        assert (ready is None) == (len(self.queue) == 0)
        if ready is None:
            assert self.take(1) == []
        elif ready > self.now:
            assert self.take(1) == []
            self.now = (self.now + ready) / 2
            assert self.take(1) == []
            self.now = ready
        if ready is not None:
            assert len(self.take(1)) == 1

    def purge(self) -> None:
        queued, nbytes = len(self.queue), self.queue.nbytes
        before = self.queue.statistics().dropped.get("closed", 0)
        packets = self.queue.purge("closed")
        assert (len(packets), sum(map(len, packets))) == (queued, nbytes)
        assert all(type(packet) is bytes for packet in packets)
        assert (len(self.queue), self.queue.nbytes) == (0, 0)
        assert self.queue.statistics().dropped.get("closed", 0) == before + queued

    def dropped(self) -> int:
        return sum(self.queue.statistics().dropped.values())

    def check(self) -> None:
        queue, counted = self.queue, self.queue.statistics()
        assert (counted.offered, counted.taken) == (self.offered, self.taken)
        assert (counted.queued, counted.queued_bytes) == (len(queue), queue.nbytes)
        assert counted.offered == counted.taken + counted.queued + sum(counted.dropped.values())
        assert len(queue) <= queue.max_packets == BOUND
        assert 0 <= queue.room() <= BOUND - len(queue)

    def act(self, action: Action) -> None:
        name, pause, number, sizes = action
        self.now += pause
        match name:
            case "enqueue":
                self.offer(sizes, number % 2 == 1)
            case "dequeue":
                self.take(number)
            case "head":
                self.look()
            case "ready":
                self.wait()
            case _:
                self.purge()
        self.check()


@each
@given(actions=actions)
@settings(deadline=None, max_examples=40)
def test_the_promises(make: Make, actions: list[Action]) -> None:
    """Through any use: bounded, conserved, in order for each flow, honest about what is next and when."""
    user = User(make())
    for action in actions:
        user.act(action)
    user.purge()
    user.check()


@each
def test_everything_leaves_in_its_time(make: Make) -> None:
    """Going from each ready_at() to the next, all packets leave, in at most as many steps as packets."""
    queue = make()
    queue.enqueue_many([packet for flow in range(3) for packet in run(2, flow=flow)], 0.0)
    now, taken = 0.0, 0
    for _ in range(6):
        ready = queue.ready_at(now)
        if ready is None:
            break
        now = max(now, ready)
        taken += len(queue.dequeue_many(64, now))
    assert (taken, len(queue), queue.ready_at(now)) == (6, 0, None)


@each
def test_an_empty_batch(make: Make) -> None:
    """Nothing may be offered, and nothing asked for."""
    queue = make()
    assert list(queue.enqueue_many(queue.classify([]), 0.0)) == []
    assert (queue.dequeue_many(0, 0.0), queue.dequeue_many(64, 0.0)) == ([], [])


@each
def test_bytes_that_are_no_packet(make: Make) -> None:
    """Any bytes are queued, and any bytes leave, behind a link header too."""
    for offset in (0, 14):
        queue = make()
        queue.offset = offset
        assert queue.offset == offset
        batch = [b"", b"\x45", LINK + b"\x60", bytes(60)]
        assert list(queue.enqueue_many(batch, 0.0)) == batch
        now, found = 0.0, list[bytes]()
        while (ready := queue.ready_at(now)) is not None:
            now = max(now, ready)
            found += queue.dequeue_many(64, now)
        assert sorted(found) == sorted(batch)


@each
def test_marked_before_the_link_header(make: Make) -> None:
    """A packet marked, then put behind a link header, goes where it goes when looked into there."""
    plain, marked = make(), make()
    plain.offset = marked.offset = 14
    batch = [datagram(flow, number) for number in range(2) for flow in (2, 0, 1)]
    plain.enqueue_many([LINK + packet for packet in batch], 0.0)
    marked.enqueue_many([prepend(LINK, packet) for packet in marked.classify(batch)], 0.0)
    assert plain.dequeue_many(64, 0.0) == marked.dequeue_many(64, 0.0)
    assert all(type(packet) is bytes for packet in marked.purge())
