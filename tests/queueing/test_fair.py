"""Deficit round robin between flows."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.queueing import FairQueue

from .packets import LINK, datagram, flow_of, flows, numbers, run


def fair(*batches: list[bytes], packets: int = 100, most: int = 10, quantum: int = 100) -> FairQueue:
    queue = FairQueue(packets, flows=most, quantum=quantum)
    for batch in batches:
        queue.enqueue_many(batch, 0.0)
    return queue


def order(queue: FairQueue) -> list[int]:
    """The flows of all packets, as they leave."""
    return flows(queue.dequeue_many(1000, 0.0))


def test_flows_take_turns() -> None:
    """With packets of a quantum, each flow sends one packet a round, in the order in which the flows came."""
    assert order(fair(run(3, flow=5), run(1, flow=3), run(2, flow=4))) == [5, 3, 4, 5, 4, 5]


def test_a_flow_keeps_its_order() -> None:
    """Packets of one flow leave in the order in which they came."""
    assert numbers(fair(run(4)).dequeue_many(64, 0.0)) == [0, 1, 2, 3]


def test_a_turn_is_a_quantum_of_bytes() -> None:
    """A flow of small packets sends as many bytes a round as one of large packets."""
    assert order(fair(run(6, 50, flow=1), run(3, 100, flow=2))) == [1, 1, 2] * 3


def test_what_is_left_of_a_quantum_is_kept() -> None:
    """A flow whose next packet is too long for the rest of its quantum has that rest in the next round."""
    # Of 100 a round, packets of 60: 40 left, then 140 for two, 20 left, then 120 for two.
    assert order(fair(run(5, 60, flow=1), run(3, 100, flow=2))) == [1, 2, 1, 1, 2, 1, 1, 2]


def test_a_packet_longer_than_a_quantum() -> None:
    """A packet longer than the quantum waits for as many rounds as it needs."""
    assert order(fair(run(1, 250, flow=1), run(4, 100, flow=2))) == [2, 2, 1, 2, 2]


def test_an_empty_flow_keeps_nothing() -> None:
    """A flow that ran empty starts anew with one quantum."""
    queue = fair(run(1, 30, flow=1))
    queue.dequeue_many(1, 0.0)
    queue.enqueue_many([*run(2, 60, flow=1), *run(1, 60, flow=2)], 0.0)
    assert order(queue) == [1, 2, 1]


def test_the_turn_stays_over_batches() -> None:
    """Where a batch ended in the middle of a turn, the next one goes on."""
    queue = fair(run(4, 50, flow=1), run(2, 100, flow=2))
    assert flows([packet for _ in range(6) for packet in queue.dequeue_many(1, 0.0)]) == [1, 1, 2, 1, 1, 2]


def test_the_head_is_next() -> None:
    """head() is what dequeue_many() gives next, through a whole round."""
    queue = fair(run(3, 60, flow=1), run(2, 100, flow=2))
    for _ in range(5):
        head = queue.head(0.0)
        assert queue.dequeue_many(1, 0.0) == [head]
    assert queue.head(0.0) is None


def test_the_longest_flow_pays() -> None:
    """A full queue drops the oldest packet of the flow with most bytes, and takes the new one."""
    queue = fair(run(2, 100, flow=1), run(1, 300, flow=2), run(1, 100, flow=3), packets=4)
    batch = run(1, flow=1, first=9)
    assert queue.enqueue_many(batch, 0.0) is batch
    assert queue.statistics().dropped == {"overlimit": 1}
    assert order(queue) == [1, 3, 1, 1]


def test_what_left_does_not_count() -> None:
    """The longest flow is the one with most bytes now, whatever it has sent before."""
    queue = fair(run(4, flow=1), run(1, flow=2), packets=5)
    queue.dequeue_many(4, 0.0)
    queue.enqueue_many([*run(4, flow=3), *run(1, flow=4)], 0.0)
    assert sorted(order(queue)) == [1, 3, 3, 3, 4]


def test_the_oldest_goes() -> None:
    """A flow that overfills the queue alone keeps its newest packets."""
    queue = fair(run(6), packets=4)
    assert numbers(queue.dequeue_many(64, 0.0)) == [2, 3, 4, 5]


def test_the_bound_is_exact() -> None:
    """As many packets as the bound fit without a drop."""
    assert fair(run(4), packets=4).statistics().dropped == {}


def test_a_full_queue_of_one() -> None:
    """A queue for one packet holds the newest."""
    assert numbers(fair(run(3), packets=1).dequeue_many(64, 0.0)) == [2]


def test_bytes_are_counted() -> None:
    """Bytes are those queued: after drops, after packets left, and after a purge."""
    queue = fair(run(3, 100, flow=1), run(1, 50, flow=2), packets=3)
    assert (len(queue), queue.nbytes) == (3, 250)
    queue.dequeue_many(1, 0.0)
    assert (len(queue), queue.nbytes, queue.statistics().taken) == (2, 150, 1)
    queue.purge()
    assert (len(queue), queue.nbytes) == (0, 0)


def test_purge_keeps_the_order_of_flows() -> None:
    """purge() returns each flow's packets together, oldest first."""
    queue = fair(run(2, flow=1), run(2, flow=2), run(1, flow=1, first=2))
    assert [(flow_of(packet), number) for packet, number in zip(*_purged(queue), strict=True)] == [
        (1, 0), (1, 1), (1, 2), (2, 0), (2, 1),
    ]  # fmt: skip


def _purged(queue: FairQueue) -> tuple[list[bytes], list[int]]:
    packets = queue.purge()
    return packets, numbers(packets)


def test_too_many_flows_share() -> None:
    """Flows beyond the bound share a queue, and have one turn together."""
    queue = fair(run(2, flow=1), run(2, flow=2), run(1, flow=3), run(1, flow=4), most=2)
    assert order(queue) == [1, 2, 3, 1, 2, 4]


def test_as_many_flows_as_there_may_be() -> None:
    """Flows up to the bound have a queue each."""
    assert order(fair(run(2, flow=1), run(2, flow=2), most=2)) == [1, 2, 1, 2]


def test_a_shared_queue_is_left_together() -> None:
    """While flows share a queue, none gets its own though there is one: its packets stay in order."""
    queue = fair(run(1, flow=1), run(2, flow=2), most=1)
    assert order_of(queue.dequeue_many(1, 0.0)) == [(1, 0)]
    queue.enqueue_many(run(1, flow=2, first=2) + run(1, flow=3), 0.0)
    assert order_of(queue.dequeue_many(64, 0.0)) == [(2, 0), (2, 1), (2, 2), (3, 0)]


def test_a_shared_queue_ends() -> None:
    """Once the shared queue is empty, flows have their own again."""
    queue = fair(run(1, flow=1), run(1, flow=2), run(1, flow=3), most=2)
    queue.dequeue_many(3, 0.0)
    queue.enqueue_many([*run(2, flow=3), *run(2, flow=4)], 0.0)
    assert order(queue) == [3, 4, 3, 4]


def order_of(batch: list[bytes]) -> list[tuple[int, int]]:
    return list(zip(flows(batch), numbers(batch), strict=True))


def test_packets_of_no_flow() -> None:
    """What cannot be parsed has turns beside the others, one flow for each kind."""
    junk = [b"\x00" + bytes(99), b"\x40" + bytes(99)]
    queue = fair(run(2), [junk[0], junk[0], junk[1]])
    assert [packet[0] >> 4 for packet in queue.dequeue_many(64, 0.0)] == [4, 0, 4, 4, 0]


def test_behind_a_link_header() -> None:
    """With an offset, flows are told apart behind the link header."""
    queue = FairQueue(quantum=114)
    queue.offset = 14
    queue.enqueue_many([LINK + packet for packet in [*run(2, flow=1), *run(1, flow=2)]], 0.0)
    assert [flow_of(packet[14:]) for packet in queue.dequeue_many(64, 0.0)] == [1, 2, 1]


def test_the_usual_options() -> None:
    """A fair queue holds 1000 packets of 1024 flows, and a turn is a full Ethernet frame."""
    queue = FairQueue()
    assert (queue.max_packets, queue.max_flows, queue.quantum) == (1000, 1024, 1514)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"flows": 0}, "a fair queue has at least 1 flow, not 0"),
        ({"quantum": 0}, "a quantum is at least 1 byte, not 0"),
        ({"packets": 0}, "a queue holds at least 1 packet, not 0"),
    ],
)
def test_bad_options(options: dict[str, int], text: str) -> None:
    """Bounds below one are refused."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        FairQueue(**options)


def test_the_least_options() -> None:
    """One packet, one flow and a quantum of one byte make a queue that works."""
    assert order(fair(run(1), packets=1, most=1, quantum=1)) == [0]


@given(st.lists(st.integers(40, 400), min_size=2, max_size=5), st.integers(50, 500))
def test_busy_flows_get_the_same(sizes: list[int], quantum: int) -> None:
    """Flows that are always busy never differ by more than a quantum and a largest packet."""
    queue = FairQueue(10000, quantum=quantum)
    for flow, size in enumerate(sizes):
        queue.enqueue_many(run(20000 // size, size, flow=flow), 0.0)
    sent: Counter[int] = Counter({flow: 0 for flow in range(len(sizes))})
    while sum(sent.values()) < 15000:
        (packet,) = queue.dequeue_many(1, 0.0)
        sent[flow_of(packet)] += len(packet)
        assert max(sent.values()) - min(sent.values()) <= quantum + max(sizes)


def test_a_datagram_is_what_it_says() -> None:
    """The test packets have the flow, the number and the size asked for."""
    packet = datagram(7, 9, 77)
    assert (flow_of(packet), numbers([packet]), len(packet)) == (7, [9], 77)


def test_many_short_packets_are_more_than_one_long_one() -> None:
    """A full queue drops from the flow with most bytes in all, not from the one with the longest packet."""
    queue = fair(run(1, 100, flow=1), run(3, 60, flow=2), run(1, 60, flow=3), packets=4)
    assert order(queue) == [1, 2, 3, 2]


def test_what_left_counts_no_more() -> None:
    """A flow that has sent most of its bytes is not the one to lose the next."""
    queue = fair(run(4, 90, flow=1), packets=4)
    queue.dequeue_many(3, 0.0)
    queue.enqueue_many([*run(2, 60, flow=2), *run(2, 60, flow=3)], 0.0)
    assert sorted(order(queue)) == [1, 2, 3, 3]
