"""FQ-CoDel: flows in turns, new ones first, each under CoDel."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiotun.queueing import Classified, FQCoDel, QueueStatistics
from aiotun.queueing.flows import flow_key, hashed

from .packets import CE, ECT0, LINK, datagram, flow_of, flows, numbers, run


class ByFlow(FQCoDel):
    """Puts every flow into the queue of its number, so that a test says which flows meet."""

    __slots__ = ()

    def key(self, packet: bytes) -> int:
        return flow_of(packet)


def fair(*batches: list[bytes], packets: int = 1000, quantum: int = 100, ecn: bool = False) -> ByFlow:
    queue = ByFlow(packets, quantum=quantum, target=1.0, interval=16.0, mtu=100, ecn=ecn)
    for batch in batches:
        queue.enqueue_many(batch, 0.0)
    return queue


def order(queue: FQCoDel, count: int = 1000, now: float = 0.0) -> list[int]:
    """The flows of the next packets, as they leave."""
    return flows(queue.dequeue_many(count, now))


def test_flows_take_turns() -> None:
    """With packets of a quantum, each flow sends one packet a turn."""
    assert order(fair(run(3, flow=5), run(1, flow=3), run(2, flow=4))) == [5, 3, 4, 5, 4, 5]


def test_a_flow_keeps_its_order() -> None:
    """Packets of one flow leave in the order in which they came."""
    assert numbers(fair(run(4)).dequeue_many(64, 0.0)) == [0, 1, 2, 3]


def test_a_turn_ends_when_the_credit_is_spent() -> None:
    """A flow sends while it has credit, and what it sent too much is missing in its next turn."""
    # Of 100 a turn, packets of 60: two and 20 owed; then 80: two and 40 owed; then 60: one.
    assert order(fair(run(6, 60, flow=1), run(4, 100, flow=2))) == [1, 1, 2, 1, 1, 2, 1, 2, 1, 2]


def test_a_packet_longer_than_a_quantum() -> None:
    """A packet longer than the quantum leaves, and its flow misses turns for it."""
    assert order(fair(run(2, 250, flow=1), run(4, 100, flow=2))) == [1, 2, 2, 1, 2, 2]


def test_a_new_flow_goes_first() -> None:
    """A flow that was idle passes those that have used their first quantum."""
    queue = fair(run(5, flow=1), run(5, flow=2))
    assert order(queue, 3) == [1, 2, 1]
    queue.enqueue_many(run(2, flow=3), 0.0)
    assert order(queue, 4) == [3, 2, 3, 1]


def test_a_new_flow_goes_first_for_a_quantum() -> None:
    """A new flow has one quantum before the old ones, not two."""
    queue = fair(run(5, flow=1), run(5, flow=3))
    order(queue, 2)
    queue.enqueue_many(run(4, 50, flow=2), 0.0)
    assert order(queue, 6) == [2, 2, 1, 3, 2, 2]


def test_a_flow_cannot_stay_new() -> None:
    """A flow that ran empty passes through the old ones, so it cannot starve them by coming and going."""
    queue = fair(run(3, 100, flow=1), run(1, 40, flow=2))
    assert order(queue, 2) == [1, 2]
    assert order(queue, 1) == [1]  # here flow 2, empty, became old
    queue.enqueue_many(run(2, 40, flow=2), 0.0)
    assert order(queue, 3) == [2, 2, 1]


def test_an_idle_flow_becomes_new_again() -> None:
    """A flow that passed through the old ones empty is new with its next packet."""
    queue = fair(run(6, flow=1), run(6, flow=3), run(1, 90, flow=2))
    assert order(queue, 6) == [1, 3, 2, 1, 3, 1]
    queue.enqueue_many(run(3, 50, flow=2), 0.0)
    assert order(queue, 4) == [2, 2, 3, 2]


def test_all_start_anew() -> None:
    """When no packet is left, every flow is idle: the next packet of each has a quantum, and comes as new."""
    queue = fair(run(1, 100, flow=1), run(1, 50, flow=2))
    assert order(queue) == [1, 2]
    queue.enqueue_many([*run(2, 50, flow=2), *run(1, flow=1)], 0.0)
    assert order(queue) == [2, 2, 1]


@pytest.mark.parametrize("empty", [FQCoDel.purge, lambda queue: queue.dequeue_many(64, 0.0)], ids=["purge", "dequeue"])
def test_old_flows_start_anew(empty: Callable[[FQCoDel], object]) -> None:
    """A flow that was old when the last packet went comes as new, before one that comes after it."""
    queue = fair(run(3, flow=1))
    order(queue, 2)
    empty(queue)
    queue.enqueue_many([*run(1, flow=1), *run(1, flow=2)], 0.0)
    assert order(queue) == [1, 2]


def test_the_head_is_next() -> None:
    """head() is what dequeue_many() gives next, through all turns."""
    queue = fair(run(3, 60, flow=1), run(2, 100, flow=2))
    for _ in range(5):
        head = queue.head(0.0)
        assert queue.dequeue_many(1, 0.0) == [head]
    assert queue.head(0.0) is None


def test_a_new_flow_passes_the_head() -> None:
    """A flow that comes after head() was asked for may still go first."""
    queue = fair(run(5, flow=1))
    order(queue, 1)
    assert queue.head(0.0) == datagram(1, 1)
    queue.enqueue_many(run(1, flow=2), 0.0)
    assert order(queue, 2) == [2, 1]


def test_delay_is_controlled_by_flow() -> None:
    """A flow above target for an interval is dropped from; one that sends little loses nothing."""
    queue = fair(run(50, flow=1))
    queue.enqueue_many(run(1, flow=2), 0.0)
    assert order(queue, 2, 1.0) == [1, 2]
    queue.enqueue_many(run(1, flow=2, first=1), 16.5)
    assert numbers(queue.dequeue_many(3, 17.5)) == [2, 1, 3]
    assert numbers(queue.dequeue_many(1, 33.5)) == [5]
    assert queue.statistics() == QueueStatistics(
        offered=52, taken=6, queued=44, queued_bytes=4400, dropped={"codel": 2}
    )


def test_what_codel_knew_outlives_the_packets() -> None:
    """A flow that was idle has the state of CoDel it had before."""
    queue = fair(run(9, flow=1))
    order(queue, 1, 1.0)
    order(queue, 1, 17.0)
    state = queue._flows[1]
    queue.dequeue_many(64, 17.0)
    queue.enqueue_many(run(1, flow=1), 18.0)
    assert queue._flows[1] is state


def test_marks() -> None:
    """With ecn, packets behind the link header are marked and counted, not dropped."""
    queue = FQCoDel(target=1.0, interval=16.0, mtu=114, ecn=True)
    queue.offset = 14
    queue.enqueue_many([LINK + packet for packet in run(9, tos=ECT0)], 0.0)
    queue.dequeue_many(1, 1.0)
    assert [packet[15] for packet in queue.dequeue_many(2, 17.0)] == [CE, ECT0]
    assert (queue.statistics().marked, queue.statistics().dropped) == (1, {})


def test_the_fattest_flow_pays() -> None:
    """A full queue drops half the bytes of its fattest flow from the front, and takes the new packet."""
    queue = fair(run(5, 100, flow=1), run(3, 200, flow=2), run(2, 100, flow=3), packets=10)
    batch = run(1, flow=3, first=2)
    assert queue.enqueue_many(batch, 0.0) is batch
    assert queue.statistics() == QueueStatistics(
        offered=11, taken=0, queued=9, queued_bytes=1000, dropped={"overlimit": 2}
    )
    left = queue.dequeue_many(64, 0.0)
    assert [number for flow, number in zip(flows(left), numbers(left), strict=True) if flow == 2] == [2]


def test_exactly_half_is_enough() -> None:
    """Of a flow of equal packets, half of them go."""
    queue = fair(run(8), packets=8)
    queue.enqueue_many(run(1, first=8), 0.0)
    assert numbers(queue.dequeue_many(64, 0.0)) == [4, 5, 6, 7, 8]


def test_at_most_64_at_once() -> None:
    """However long the fattest flow is, 64 packets are dropped at once."""
    queue = fair(run(200), packets=200)
    queue.enqueue_many(run(1, first=200), 0.0)
    assert queue.statistics().dropped == {"overlimit": 64}
    assert numbers(queue.dequeue_many(1, 0.0)) == [64]


def test_the_bound_is_exact() -> None:
    """As many packets as the bound fit without a drop."""
    assert fair(run(8), packets=8).statistics().dropped == {}


def test_the_fattest_may_be_old() -> None:
    """A flow among the old ones can be the fattest."""
    queue = fair(run(6, flow=1), packets=6)
    order(queue, 2)
    queue.enqueue_many(run(3, flow=2), 0.0)
    assert order(queue) == [2, 2, 1, 2, 1]


def test_packets_without_bytes() -> None:
    """Packets of 0 bytes are bounded and dropped as others are."""
    queue = FQCoDel(2)
    queue.enqueue_many([b"", b"", b""], 0.0)
    assert (len(queue), queue.statistics().dropped) == (2, {"overlimit": 1})


def test_an_empty_flow_is_never_the_fattest() -> None:
    """Among flows of 0 bytes, one that has packets is dropped from."""
    queue = FQCoDel(2)
    queue.enqueue_many([Classified(b"", 1), Classified(b"", 2)], 0.0)
    queue.dequeue_many(1, 0.0)
    queue.enqueue_many([Classified(b"", 2), Classified(b"", 2)], 0.0)
    assert len(queue) == 2


def test_behind_a_link_header() -> None:
    """With an offset, flows are told apart behind the link header."""
    queue = FQCoDel(quantum=114, seed=1)
    queue.offset = 14
    queue.enqueue_many([LINK + packet for packet in [*run(2, flow=1), *run(1, flow=2)]], 0.0)
    assert [flow_of(packet[14:]) for packet in queue.dequeue_many(64, 0.0)] == [1, 2, 1]


def test_a_seed_repeats() -> None:
    """A flow's queue is its hash, by the seed in 8 bytes, within the number of queues."""
    expected = hashed(flow_key(datagram(7)), b"\0\0\0\0\0\0\x02\x01") % 16
    assert FQCoDel(flows=16, seed=0x201).key(datagram(7)) == expected


def test_no_seed_is_a_secret() -> None:
    """Without a seed, two disciplines put flows into different queues."""
    packets = [datagram(flow) for flow in range(16)]
    one, two = FQCoDel(), FQCoDel()
    assert [one.key(packet) for packet in packets] != [two.key(packet) for packet in packets]


def test_flows_meet() -> None:
    """With one queue, all flows share it and leave in order of arrival."""
    queue = FQCoDel(flows=1, quantum=100)
    queue.enqueue_many([*run(2, flow=1), *run(2, flow=2)], 0.0)
    assert order(queue) == [1, 1, 2, 2]


def test_purge() -> None:
    """purge() returns each flow's packets together, new flows first, and leaves nothing."""
    queue = fair(run(3, flow=1))
    order(queue, 2)
    queue.enqueue_many(run(2, flow=2), 0.0)
    assert flows(queue.purge("closed")) == [2, 2, 1]
    assert (len(queue), queue.nbytes, queue.statistics().dropped) == (0, 0, {"closed": 3})


def test_after_a_purge() -> None:
    """After a purge every flow is idle: it comes as new, with a quantum."""
    queue = fair(run(1, 40, flow=1), run(1, 40, flow=2))
    queue.head(0.0)
    queue.purge()
    queue.enqueue_many([*run(2, 50, flow=2), *run(1, flow=1)], 0.0)
    assert (order(queue), len(queue), queue.nbytes) == ([2, 2, 1], 0, 0)


def test_the_usual_options() -> None:
    """Unless told otherwise: 10240 packets, 1024 queues, a quantum of a full Ethernet frame, no marks."""
    queue = FQCoDel()
    assert (queue.max_packets, queue.max_flows, queue.quantum) == (10240, 1024, 1514)
    law = queue._law
    assert (law.target, law.interval, law.mtu, law.ecn) == (0.005, 0.1, 1514, False)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"flows": 0}, "a fair queue has at least 1 flow, not 0"),
        ({"quantum": 0}, "a quantum is at least 1 byte, not 0"),
        ({"packets": 0}, "a queue holds at least 1 packet, not 0"),
        ({"mtu": 0}, "codel: mtu must be more than 0, not 0"),
    ],
)
def test_bad_options(options: dict[str, int], text: str) -> None:
    """Options that make no queue are refused."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        FQCoDel(**options)  # type: ignore[arg-type]


def test_the_least_options() -> None:
    """One packet, one flow and a quantum of one byte make a queue that works."""
    queue = FQCoDel(1, flows=1, quantum=1)
    queue.enqueue_many(run(2), 0.0)
    assert numbers(queue.dequeue_many(64, 0.0)) == [1]
