"""Losing packets: how many, how many in a row, and the same ones for the same seed."""

from __future__ import annotations

from itertools import groupby

import pytest

from aiotun.stages import lose

PACKETS = [n.to_bytes(4, "big") for n in range(20000)]


@pytest.mark.parametrize(("probability", "left"), [(0.0, 20000), (1.0, 0)])
@pytest.mark.parametrize("burst", [None, 4.0])
def test_all_or_none(probability: float, left: int, burst: float | None) -> None:
    """At 0 nothing is lost, at 1 everything."""
    assert len(lose(probability, burst=burst, seed=1)(PACKETS)) == left


@pytest.mark.parametrize("burst", [None, 1.0, 5.0])
def test_how_many(burst: float | None) -> None:
    """The share that is lost is the probability, in bursts or not."""
    stage = lose(0.1, burst=burst, seed=7)
    stage(PACKETS)
    assert 1700 < stage.dropped["lost"] < 2300


def test_how_many_in_a_row() -> None:
    """The bursts are as long as they should be, on average."""
    kept = set(lose(0.1, burst=5, seed=7)(PACKETS))
    runs = [len(list(run)) for lost, run in groupby(packet not in kept for packet in PACKETS) if lost]
    assert 4.5 < sum(runs) / len(runs) < 5.5


def test_one_by_one_is_no_burst() -> None:
    """With a burst of 1 no two in a row are lost."""
    kept = set(lose(0.2, burst=1, seed=3)(PACKETS))
    lost = [packet not in kept for packet in PACKETS]
    assert not any(a and b for a, b in zip(lost, lost[1:], strict=False))


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_no_probability(probability: float) -> None:
    """What is no probability is refused."""
    with pytest.raises(ValueError, match=f"lose: a probability is 0 to 1, not {probability}"):
        lose(probability)


@pytest.mark.parametrize(("probability", "burst"), [(0.5, 0.5), (0.9, 2)])
def test_no_burst(probability: float, burst: float) -> None:
    """Bursts that cannot make up the probability are refused."""
    with pytest.raises(ValueError, match=f"lose: a burst of {burst} packets on average is not to be had"):
        lose(probability, burst=burst)
