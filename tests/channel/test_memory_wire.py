"""One direction of a link: bounded, counted, and the same for a seed however packets are batched."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.channel import Impairment
from aiotun.channel.memory_wire import Wire

PACKETS = [number.to_bytes(4, "big") * 25 for number in range(1000)]  # of 100 bytes


def wire(
    impairment: Impairment | None = None,
    *,
    limit: int = 10_000,
    limit_bytes: int = 1 << 30,
    drops: bool = False,
    seed: int = 1,
) -> Wire:
    chance = random.Random(seed)
    return Wire(impairment or Impairment(), chance, limit=limit, limit_bytes=limit_bytes, drops=drops)


def arrivals(of: Wire, until: float = 1e9) -> list[tuple[float, bytes]]:
    """Take every packet at the moment it arrives."""
    taken: list[tuple[float, bytes]] = []
    while (when := of.next_event()) is not None and when <= until:
        taken += [(round(when, 6), packet) for packet in of.take(1000, when)]
    return taken


def conserved(of: Wire) -> bool:
    counts = of.statistics()
    return counts.sent + counts.created == counts.delivered + counts.queued + sum(counts.dropped.values())


def test_an_unimpaired_wire_passes_packets_on() -> None:
    """Without impairment packets arrive at once, in order, and nothing is to be waited for."""
    one = wire()
    assert (one.offer(PACKETS[:3], 0.0), one.next_event()) == (3, None)
    assert (one.take(2, 0.0), one.take(2, 0.0)) == (PACKETS[:2], PACKETS[2:3])


def test_delay() -> None:
    """A packet arrives the delay after it was sent, to the microsecond."""
    one = wire(Impairment(delay=0.25))
    one.offer(PACKETS[:1], 1.0)
    one.offer(PACKETS[1:2], 1.1)
    assert one.take(9, 1.249999) == []
    assert arrivals(one) == [(1.25, PACKETS[0]), (1.35, PACKETS[1])]


def test_jitter_overtakes_nobody() -> None:
    """With a range of delays packets keep their order, and none is earlier or later than the range."""
    one = wire(Impairment(delay=(0.1, 0.3)))
    times: list[tuple[float, bytes]] = []
    for index, packet in enumerate(PACKETS):
        times += arrivals(one, until=index * 0.01)
        one.offer([packet], index * 0.01)
    times += arrivals(one)
    assert [packet for _, packet in times] == PACKETS
    delays = [when - index * 0.01 for index, (when, _) in enumerate(times)]
    assert 0.0999 <= min(delays) < 0.15 and 0.25 < max(delays) <= 0.3001


def test_rate() -> None:
    """Packets leave one after the other, each for its bits over the rate; an idle line is free at once."""
    one = wire(Impairment(rate=8000, delay=1.0))  # 100 bytes in 0.1 s
    one.offer(PACKETS[:3], 0.0)
    times = arrivals(one)
    one.offer(PACKETS[3:4], 5.0)
    times += arrivals(one)
    assert [when for when, _ in times] == [1.1, 1.2, 1.3, 6.1]


def test_a_queue_in_front_of_the_rate_drops_its_tail() -> None:
    """Packets beyond the queue's length are dropped as queue_full; those that have left make room."""
    one = wire(Impairment(rate=8000, queue_length=2), drops=True)
    assert one.offer(PACKETS[:5], 0.0) == 5
    assert one.offer(PACKETS[5:6], 0.1) == 1
    assert [packet for _, packet in arrivals(one)] == [PACKETS[0], PACKETS[1], PACKETS[5]]
    assert one.statistics().dropped == {"queue_full": 3}


def test_a_queue_that_does_not_drop_refuses() -> None:
    """Where the sender is to wait, it is told how many fitted, and when to look again."""
    one = wire(Impairment(rate=8000, queue_length=2))
    assert (one.offer(PACKETS[:5], 0.0), one.refused) == (2, True)
    assert one.next_event() == pytest.approx(0.1)
    one.advance(0.11)
    assert one.has_room()


@pytest.mark.parametrize(("limit", "limit_bytes"), [(3, 1 << 30), (1000, 350)])
def test_a_direction_is_bounded_in_packets_and_bytes(limit: int, limit_bytes: int) -> None:
    """What is under way or arrived is never more than the limits, and taking makes room (F2)."""
    one = wire(Impairment(delay=1.0), limit=limit, limit_bytes=limit_bytes)
    assert one.offer(PACKETS, 0.0) == 3
    assert one.offer(PACKETS, 2.0) == 0
    assert one.take(1, 2.0) == PACKETS[:1]
    assert one.offer(PACKETS, 2.0) == 1


def test_a_packet_longer_than_the_limit_passes_alone() -> None:
    """A packet of more bytes than the limit is taken when nothing else is there, or its sender would wait for ever."""
    one = wire(limit_bytes=50)
    assert (one.offer(PACKETS[:2], 0.0), one.take(9, 0.0)) == (1, PACKETS[:1])


def test_reordered_packets_are_overtaken() -> None:
    """A reordered packet takes longer by the reorder delay, and only it."""
    one = wire(Impairment(delay=1.0, reorder=0.1, reorder_delay=0.5))
    for index, packet in enumerate(PACKETS):  # all of them sent before the first arrives
        one.offer([packet], index * 0.001)
    late = 0
    for when, packet in arrivals(one):
        extra = when - 1.0 - int.from_bytes(packet[:4], "big") * 0.001
        late += extra > 0.1
        assert extra == pytest.approx(0.5 if extra > 0.1 else 0.0, abs=1e-5)
    assert 60 < late < 140


def test_corruption_changes_one_bit() -> None:
    """A corrupted packet differs in one bit, and is counted."""
    one = wire(Impairment(corrupt=0.5))
    one.offer(PACKETS, 0.0)
    changed = [
        bin(int.from_bytes(sent, "big") ^ int.from_bytes(packet, "big")).count("1")
        for sent, packet in zip(PACKETS, one.take(1000, 0.0), strict=True)
    ]
    assert set(changed) == {0, 1}
    assert sum(changed) == one.statistics().corrupted


def test_cutting_drops_what_is_under_way() -> None:
    """A cut counts what was under way, and leaves what has arrived."""
    one = wire(Impairment(delay=1.0))
    one.offer(PACKETS[:2], 0.0)
    one.offer(PACKETS[2:5], 0.5)
    one.advance(1.0)
    one.cut("link_down")
    assert (one.take(9, 9.0), one.statistics().dropped) == (PACKETS[:2], {"link_down": 3})
    assert conserved(one)


IMPAIRMENTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "loss": st.sampled_from([0.0, 0.3]),
        "duplicate": st.sampled_from([0.0, 0.3]),
        "corrupt": st.sampled_from([0.0, 0.3]),
        "reorder": st.sampled_from([0.0, 0.3]),
        "delay": st.sampled_from([0.0, 0.2, (0.1, 0.4)]),
        "rate": st.sampled_from([None, 1e5]),
        "queue_length": st.sampled_from([None, 20]),
    }
)


@given(values=IMPAIRMENTS, cuts=st.lists(st.integers(1, 50), max_size=20), seed=st.integers(0, 1000))
def test_chance_does_not_see_batches(values: dict[str, Any], cuts: list[int], seed: int) -> None:
    """The same packets at the same time meet the same fate one by one as in batches of any size."""
    whole, pieces = (wire(Impairment(**values), drops=True, seed=seed) for _ in range(2))
    packets = PACKETS[:200]
    whole.offer(packets, 0.0)
    for cut in [*cuts, 200]:
        pieces.offer(packets[:cut], 0.0)
        packets = packets[cut:]
    assert whole.statistics() == pieces.statistics()
    assert (whole.take(500, 0.0), arrivals(whole)) == (pieces.take(500, 0.0), arrivals(pieces))


@given(
    values=IMPAIRMENTS,
    steps=st.lists(st.tuples(st.sampled_from(["offer", "take", "cut"]), st.integers(0, 30)), max_size=40),
    drops=st.booleans(),
)
def test_nothing_disappears(values: dict[str, Any], steps: list[tuple[str, int]], drops: bool) -> None:
    """Sent and created is delivered, queued and dropped, at any time; and no more is held than the limits."""
    one = wire(Impairment(**values), limit=50, limit_bytes=3000, drops=drops)
    now = 0.0
    for what, amount in steps:
        if what == "offer":
            one.offer(PACKETS[:amount], now)
        elif what == "take":
            one.take(amount, now)
        else:
            one.cut("link_down")
        now += amount / 100
        assert conserved(one)
        assert one._bytes == sum(map(len, one.arrived)) + sum(len(packet) for *_, packet in one._flying)
        assert one._bytes <= 3000 + 100 * one.statistics().created
    one.close()
    assert conserved(one) and one.statistics().queued == 0
