"""Segmenting batch after batch, a few packets at a time."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiotun.offload import Segmenter, segment
from aiotun.packet import SuperPacket

from . import packets as p
from .oracle import random_packet

BIG = p.super_packet(p.tcp(4, bytes(1000)), 100)


def test_a_mixed_batch() -> None:
    """Plain packets come out as the same objects, super-packets in segments, all in order."""
    plain, other = p.udp(4), p.tcp(6)
    segmenter = Segmenter()
    segmenter.put([plain, BIG, other])
    taken = segmenter.take()
    assert taken == [plain, *segment(BIG), other]
    assert taken[0] is plain and taken[-1] is other
    assert not segmenter.take()


@pytest.mark.parametrize("limit", [1, 3, 4, 9, 10, 11, 12, 13])
def test_no_more_than_asked_for(limit: int) -> None:
    """Each take has *limit* packets, until the last; together they are everything, once."""
    segmenter = Segmenter()
    segmenter.put([b"a", BIG, b"b", BIG, b"c"])
    chunks = []
    while chunk := segmenter.take(limit):
        chunks.append(chunk)
    assert [len(chunk) for chunk in chunks[:-1]] == [limit] * (len(chunks) - 1)
    assert [part for chunk in chunks for part in chunk] == [b"a", *segment(BIG), b"b", *segment(BIG), b"c"]


def test_the_default_limit() -> None:
    """A take without a limit has up to 64 packets."""
    segmenter = Segmenter()
    segmenter.put([b"x"] * 65)
    assert (len(segmenter.take()), len(segmenter.take())) == (64, 1)


def test_none_asked_for() -> None:
    """A limit of 0 takes nothing and loses nothing."""
    segmenter = Segmenter()
    segmenter.put([BIG])
    assert segmenter.take(0) == []
    assert segmenter.take(100) == segment(BIG)


def test_how_much_waits() -> None:
    """Its length is the number of packets not taken in full."""
    segmenter = Segmenter()
    assert len(segmenter) == 0
    segmenter.put([BIG, b"a"])
    segmenter.put(iter([b"b"]))
    assert len(segmenter) == 3
    segmenter.take(5)
    assert len(segmenter) == 3
    segmenter.take(6)
    assert len(segmenter) == 1
    segmenter.take(6)
    assert len(segmenter) == 0


def test_what_cannot_be_cut_is_counted() -> None:
    """A super-packet that cannot be cut is dropped under its reason; those around it come through."""
    bad, worse = p.with_fields(BIG, gso_type=3), p.with_fields(BIG, csum_start=0)
    segmenter = Segmenter()
    segmenter.put([bad, b"a", worse, BIG, bad])
    assert segmenter.take() == [b"a", *segment(BIG)]
    assert segmenter.dropped == {"bad_gso_type": 2, "bad_csum_off": 1}
    assert len(segmenter) == 0


def test_a_frame_is_cut_as_a_frame() -> None:
    """A segmenter of a tap finds the headers behind the Ethernet header."""
    frame = p.super_packet(p.tcp(6, bytes(500)), 100, link=p.link_header(6, 18))
    segmenter = Segmenter(ethernet=True)
    segmenter.put([frame])
    assert segmenter.take() == segment(frame, True)
    assert not segmenter.dropped


@given(st.integers(0, 1 << 32), st.integers(1, 100))
@settings(deadline=None)
def test_chunks_are_the_whole(seed: int, limit: int) -> None:
    """Whatever went in, all chunks together are the segments of all."""
    rng = random.Random(seed)
    batch = [random_packet(rng, False) for _ in range(3)]
    segmenter, together = Segmenter(), []
    segmenter.put(batch)
    while chunk := segmenter.take(limit):
        assert len(chunk) <= limit
        together += chunk
    assert together == p.cut(batch)


def test_X16_C26_memory_is_bounded() -> None:
    """X16, C26: a million segments of one byte never take more memory than their super-packets and one chunk."""
    one = p.super_packet(p.tcp(4, bytes(60000)), 1)
    batch: list[bytes] = [SuperPacket(one, **vars(one)) for _ in range(17)]
    segmenter = Segmenter()
    segmenter.put(batch)
    count = 0
    tracemalloc.start()
    for _ in range(40):  # a part of them is enough to see it, and all of them take their time
        count += len(segmenter.take(512))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 40 * 512
    assert peak < 300_000


@pytest.mark.parametrize("limit", [1, 2, 5, 10])
def test_what_is_taken_to_the_end_does_not_wait(limit: int) -> None:
    """A chunk that ends with the last segment leaves nothing: it is not to be asked for another, empty one."""
    segmenter = Segmenter()
    segmenter.put([BIG])
    lengths = []
    while segmenter:
        segmenter.take(limit)
        lengths.append(len(segmenter))
    assert lengths == [1] * (10 // limit - 1) + [0]
