"""Overtaking, in bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.stages import reorder

PACKETS = [n.to_bytes(4, "big") for n in range(2000)]


def test_all() -> None:
    """With every packet held back, each comes out depth packets late, and so in order."""
    stage = reorder(1.0, depth=2)
    assert [list(stage([packet])) for packet in PACKETS[:4]] == [[], [], [PACKETS[0]], [PACKETS[1]]]
    assert (len(stage), stage.flush(), len(stage)) == (2, PACKETS[2:4], 0)


@given(st.floats(0, 1), st.integers(1, 9), st.integers())
def test_nobody_is_late(probability: float, depth: int, seed: int) -> None:
    """No packet is overtaken by more than depth others, no more are held than that, and none is lost."""
    stage = reorder(probability, depth=depth, seed=seed)
    sent: list[bytes] = []
    for packet in PACKETS[:200]:
        sent += stage([packet])
        assert len(stage) <= depth
    sent += stage.flush()
    assert sorted(sent) == PACKETS[:200]
    assert all(abs(sent.index(packet) - n) <= depth for n, packet in enumerate(PACKETS[:200]))


def test_by_default() -> None:
    """Unless said otherwise three packets come first."""
    stage = reorder(1.0)
    stage(PACKETS[:9])
    assert len(stage) == 3


def test_some_overtake() -> None:
    """At a tenth, some packets come out of order."""
    sent = list(reorder(0.1, seed=1)(PACKETS))
    assert sent != sorted(sent)


def test_depth_without_sense() -> None:
    """Nobody overtakes with a depth of 0."""
    with pytest.raises(ValueError, match="reorder: at least 1 packet overtakes, not 0"):
        reorder(0.1, depth=0)


def test_what_is_held_at_the_end() -> None:
    """close() drops what is held under the word it is given, once."""
    stage = reorder(1.0, depth=3)
    stage(PACKETS[:3])
    stage.close("cancelled")
    stage.close("closed")
    assert (len(stage), stage.dropped) == (0, {"cancelled": 3})
