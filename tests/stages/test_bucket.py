"""The token bucket that answers at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.stages.bucket import Bucket


def test_it_starts_full() -> None:
    """At first the whole burst may be taken, and no more."""
    bucket = Bucket(1, 3)
    bucket.fill(50.0)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_it_fills_by_the_clock() -> None:
    """After a time there are as many tokens as the rate says, at most the burst."""
    bucket = Bucket(10, 5)
    bucket.fill(0.0)
    assert bucket.take(5)
    bucket.fill(0.3)
    assert [bucket.take(4), bucket.take(3), bucket.take()] == [False, True, False]
    bucket.fill(100.0)
    assert [bucket.take(6), bucket.take(5)] == [False, True]


def test_a_clock_that_goes_back() -> None:
    """A clock that goes back gives no tokens, and takes none."""
    bucket = Bucket(1, 1)
    bucket.fill(10.0)
    assert bucket.take()
    bucket.fill(5.0)
    bucket.fill(10.5)
    assert not bucket.take()
    bucket.fill(11.0)
    assert bucket.take()


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.lists(st.floats(0, 10), max_size=30))
def test_never_more_than_the_rate(rate: int, burst: int, pauses: list[float]) -> None:
    """However it is asked, no more goes out than the burst and what the time was good for."""
    bucket, now, taken = Bucket(rate, burst), 0.0, 0
    for pause in pauses:
        now += pause
        bucket.fill(now)
        while bucket.take(max(1, burst // 3)):
            taken += max(1, burst // 3)
    assert taken <= burst + rate * now + 1


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0)])
def test_without_sense(rate: int, burst: int) -> None:
    """A bucket that never fills, or holds nothing, is refused."""
    with pytest.raises(ValueError, match=f"rate and burst are 1 or more, not {rate} and {burst}"):
        Bucket(rate, burst)


def test_parts_of_a_token() -> None:
    """A rate or burst that is no whole number is refused."""
    with pytest.raises(TypeError, match="rate is a whole number a second, not 1.5"):
        Bucket(1.5, 1)  # type: ignore[arg-type]
