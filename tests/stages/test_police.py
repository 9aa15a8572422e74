"""Policing: what passes at which time."""

from __future__ import annotations

import pytest

from aiotun.stages import police

from .packets import Clock


def test_the_burst_and_the_rate() -> None:
    """A burst passes at once, then what the rate allows; the rest is dropped."""
    clock = Clock()
    stage = police(8000, 3000, clock=clock)
    packets = [bytes(1000)] * 5
    assert (len(stage(packets)), dict(stage.dropped)) == (3, {"policed": 2})
    clock.now += 2
    assert (len(stage(packets)), dict(stage.dropped)) == (2, {"policed": 5})


def test_a_shorter_one_may_pass() -> None:
    """A packet that does not conform takes no tokens: a shorter one behind it may."""
    stage = police(8, 100, clock=Clock())
    assert list(stage([bytes(101), bytes(100), b"x"])) == [bytes(100)]


@pytest.mark.parametrize(("burst", "whole"), [(65535, True), (65534, False)])
def test_superpackets(burst: int, whole: bool) -> None:
    """Super-packets pass whole where the burst has room for the longest there is."""
    assert police(1000, burst).superpackets is whole


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0)])
def test_without_sense(rate: int, burst: int) -> None:
    """A rate or a burst of nothing is refused."""
    with pytest.raises(ValueError, match="rate and burst are 1 or more"):
        police(rate, burst)
