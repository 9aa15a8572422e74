"""Doubling packets."""

from __future__ import annotations

from aiotun.stages import duplicate

PACKETS = [n.to_bytes(4, "big") for n in range(10000)]


def test_all() -> None:
    """At 1 every packet comes twice, the copy right behind."""
    stage = duplicate(1.0)
    assert (list(stage([b"a", b"b"])), stage.created) == ([b"a", b"a", b"b", b"b"], 2)


def test_none() -> None:
    """At 0 nothing changes."""
    assert list(duplicate(0.0)(PACKETS)) == PACKETS


def test_how_many() -> None:
    """The share that is doubled is the probability, and the first of each keep their order."""
    stage = duplicate(0.2, seed=5)
    sent = list(stage(PACKETS))
    assert 1800 < stage.created == len(sent) - 10000 < 2200
    assert list(dict.fromkeys(sent)) == PACKETS
