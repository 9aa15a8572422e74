"""Finished packets out of a source of super-packets."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from offload import packets as p

from aiotun.driver.finished import Finished
from aiotun.offload import segment
from aiotun.queueing import Fifo

PLAIN, BIG = p.tcp(4), p.big(4)
BROKEN = p.with_fields(BIG, gso_size=0)
SEGMENTS = segment(BIG)


class Source:
    """A queue that is read, and what was dropped."""

    def __init__(self, *packets: bytes) -> None:
        self.queue = Fifo(1000)
        self.queue.enqueue_many(packets)
        self.dropped: Counter[str] = Counter()
        self.finished = Finished(self.queue.dequeue_many, self.drop, ethernet=False)

    def drop(self, reason: str, count: int) -> None:
        self.dropped[reason] += count


def test_plain_packets_pass() -> None:
    """Without super-packets a read is the source's, and nothing is kept."""
    source = Source(PLAIN, PLAIN, PLAIN)
    assert source.finished.read_many(2) == [PLAIN, PLAIN]
    assert (len(source.finished), len(source.queue)) == (0, 1)


def test_super_packets_are_cut_by_the_limit() -> None:
    """A read takes as many segments as it has room for; the next one goes on there."""
    source = Source(BIG, PLAIN)
    assert source.finished.read_many(3) == SEGMENTS[:3]
    assert source.finished.read_many(3) == [*SEGMENTS[3:], PLAIN]
    assert (source.finished.read_many(3), len(source.finished)) == ([], 0)


def test_taken_to_the_end_nothing_is_kept() -> None:
    """A read that ends with the last segment leaves nothing to be waited for."""
    source = Source(BIG)
    source.finished.read_many(len(SEGMENTS))
    assert len(source.finished) == 0


def test_whole() -> None:
    """read_whole() gives the super-packet itself."""
    assert Source(BIG).finished.read_whole(3)[0] is BIG


def test_whole_behind_what_was_read_ahead() -> None:
    """read_whole() first gives the packets that read_many() read ahead, finished, and then goes on whole."""
    source = Source(BIG, PLAIN, BIG)
    assert source.finished.read_many(2) == SEGMENTS[:2]
    assert source.finished.read_whole(64) == [*SEGMENTS[2:], PLAIN]
    assert source.finished.read_whole(64)[0] is BIG


def test_what_cannot_be_cut_is_dropped() -> None:
    """A super-packet with wrong fields is dropped under its reason, and reading goes on behind it."""
    source = Source(BROKEN, BROKEN, PLAIN)
    assert source.finished.read_many(1) == [PLAIN]
    assert source.dropped == {"bad_gso_size": 2}


def test_nothing_but_what_cannot_be_cut() -> None:
    """A read that finds only such gives nothing."""
    source = Source(BROKEN)
    assert source.finished.read_many(9) == []
    assert source.dropped == {"bad_gso_size": 1}


def test_dropping_the_rest() -> None:
    """drop() counts what is kept, one for each super-packet that was begun."""
    source = Source(BIG, PLAIN, BIG)
    source.finished.read_many(3)
    source.finished.drop("closed")
    assert (source.dropped, len(source.finished)) == ({"closed": 3}, 0)


@settings(deadline=None)
@given(st.lists(st.sampled_from([PLAIN, BIG, BROKEN]), max_size=9), st.lists(st.integers(1, 9), max_size=9))
def test_no_packet_is_lost(packets: list[bytes], limits: list[int]) -> None:
    """Whatever the limits, the reads give all that can be cut, in order, and the rest is counted."""
    source = Source(*packets)
    got = [packet for limit in limits for packet in source.finished.read_many(limit)]
    while batch := source.finished.read_many(64):
        got += batch
    assert got == [one for packet in packets if packet is not BROKEN for one in segment(packet)]
    assert source.dropped.total() == sum(packet is BROKEN for packet in packets)
