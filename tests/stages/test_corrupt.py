"""Flipping bits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiotun.stages import corrupt


@given(st.binary(min_size=1, max_size=50), st.integers())
def test_one_bit(packet: bytes, seed: int) -> None:
    """Exactly one bit is another, and the length is the same."""
    (changed,) = corrupt(1.0, seed=seed)([packet])
    difference = int.from_bytes(packet, "big") ^ int.from_bytes(changed, "big")
    assert (len(changed), difference.bit_count()) == (len(packet), 1)


def test_any_bit() -> None:
    """Every bit of a packet may be the one."""
    stage = corrupt(1.0, seed=2)
    assert {bytes(packet) for packet in stage([bytes(2)] * 500)} == {(1 << n).to_bytes(2, "big") for n in range(16)}


def test_how_many() -> None:
    """The share that is changed is the probability, and is counted."""
    stage = corrupt(0.3, seed=2)
    changed = sum(packet != bytes(9) for packet in stage([bytes(9)] * 10000))
    assert 2800 < changed == stage.corrupted < 3200


def test_an_empty_packet() -> None:
    """An empty packet has no bits, and passes."""
    stage = corrupt(1.0)
    assert (list(stage([b""])), stage.corrupted) == ([b""], 0)


def test_superpackets_are_cut_in_front() -> None:
    """A super-packet's checksum is made later, and would be right again: it does not take them."""
    assert not corrupt(0.1).superpackets
