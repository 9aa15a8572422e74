"""Cutting what was merged gives back what there was: on random trains, and on anything."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiotun.offload import coalesce, segment
from aiotun.packet import SuperPacket

from . import packets as p
from .trains import check, random_batch

many = settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SAMPLES = [
    *p.stream(4, [10, 10, 5]),
    *p.stream(6, [10, 10, 5]),
    *p.datagrams(4, [10, 10, 5]),
    *p.datagrams(6, [10, 10, 5]),
    *(p.framed(packet, 18) for packet in p.stream(4, [10, 10])),
    p.super_packet(p.tcp(4, bytes(30)), 10),
]


@many
@given(st.integers(0, 1 << 48), st.booleans())
def test_a_random_batch(seed: int, ethernet: bool) -> None:
    """All packets come back, byte for byte, each flow in its order; the kernel would take every super-packet."""
    check(random_batch(random.Random(seed), ethernet), ethernet)


@many
@given(st.integers(0, 1 << 48), st.integers(1, 6), st.integers(100, 700))
def test_limits_hold(seed: int, max_segments: int, max_size: int) -> None:
    """The same within any limits, and the limits are kept."""
    check(random_batch(random.Random(seed), False), False, max_segments=max_segments, max_size=max_size)


def test_much_is_merged() -> None:
    """The random batches are such that the law above is no empty one: half of the packets are merged away."""
    rng = random.Random(1)
    batches = [random_batch(rng, bool(number % 2)) for number in range(300)]
    saved = sum(check(batch, bool(number % 2)) for number, batch in enumerate(batches))
    assert saved > sum(map(len, batches)) // 3


@given(
    st.lists(st.one_of(st.binary(max_size=80), st.sampled_from(SAMPLES)), max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 70), st.integers(0, 255)), max_size=5),
    st.booleans(),
)
@settings(deadline=None)
def test_anything_comes_through(batch: list[bytes], damage: list[tuple[int, int, int]], ethernet: bool) -> None:
    """Whatever bytes go in, none raise and none are lost: each comes out as it is, or in a super-packet."""
    for number, at, octet in damage:
        if number < len(batch) and at < len(batch[number]) and type(batch[number]) is bytes:
            batch[number] = p.patched(batch[number], at, bytes((octet,)))
    parts: list[bytes] = []
    given_ones = set(map(id, batch))
    for packet in coalesce(batch, ethernet):
        if id(packet) in given_ones:
            parts.append(packet)
        else:
            assert type(packet) is SuperPacket
            parts += segment(packet, ethernet)
    assert Counter(parts) == Counter(batch)
