"""What is decided for each packet by its seed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiotun.stages import corrupt, duplicate, lose, reorder
from aiotun.stages.chance import Chance

PACKETS = [n.to_bytes(4, "big") for n in range(1000)]

every = pytest.mark.parametrize("make", [corrupt, duplicate, lose, reorder])


@every
def test_the_same_seed(make: Callable[..., Chance]) -> None:
    """The same seed decides the same, another one something else."""
    first, again, other = (list(make(0.3, seed=seed)(PACKETS)) for seed in (1, 1, 2))
    assert first == again != other


@every
def test_without_a_seed(make: Callable[..., Chance]) -> None:
    """Without a seed no two are alike."""
    assert list(make(0.3)(PACKETS)) != list(make(0.3)(PACKETS))


@every
@pytest.mark.parametrize("probability", [-0.01, 1.01])
def test_no_probability(make: Callable[..., Chance], probability: float) -> None:
    """What is no probability is refused, under the stage's name."""
    with pytest.raises(ValueError, match=f"{make.__name__}: a probability is 0 to 1, not {probability}"):
        make(probability)
