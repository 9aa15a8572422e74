"""The replay window: WireGuard's vectors, and the same answers as a set would give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.cli.replay import LIMIT, ReplayWindow

SIZE = 2048

# TestReplay() of wireguard-go replay/replay_test.go, with its T_LIM, how many counters the window spans.
WIREGUARD = [
    (0, True),
    (1, True),
    (1, False),
    (9, True),
    (8, True),
    (7, True),
    (7, False),
    (SIZE, True),
    (SIZE - 1, True),
    (SIZE - 1, False),
    (SIZE - 2, True),
    (2, True),
    (2, False),
    (SIZE + 16, True),
    (3, False),
    (SIZE + 16, False),
    (SIZE * 4, True),
    (SIZE * 4 - (SIZE - 1), True),
    (10, False),
    (SIZE * 4 - SIZE, False),
    (SIZE * 4 - (SIZE + 1), False),
    (SIZE * 4 - (SIZE - 2), True),
    (SIZE * 4 + 1 - SIZE, False),
    (0, False),
    (LIMIT, False),
    (LIMIT - 1, True),
    (LIMIT, False),
    (LIMIT - 1, False),
    (LIMIT - 2, True),
    (LIMIT + 1, False),
    (LIMIT + 2, False),
    (LIMIT - 2, False),
    (LIMIT - 3, True),
    (0, False),
]


def test_wireguard_vectors() -> None:
    """The window answers as WireGuard's does, vector after vector."""
    window = ReplayWindow(SIZE)
    assert [window.accept(counter) for counter, _ in WIREGUARD] == [expected for _, expected in WIREGUARD]


@pytest.mark.parametrize("start", [0, 1, 5])
def test_bulk_downwards(start: int) -> None:
    """A whole window in reverse order is new, each counter once; what is left of it is too late."""
    window = ReplayWindow(SIZE)
    top = start + SIZE
    assert all(window.accept(counter) for counter in range(top, start, -1))
    assert not any(window.accept(counter) for counter in range(top, -1, -1))


def test_a_counter_beyond_the_limit_moves_nothing() -> None:
    """A refused counter leaves the window as it was."""
    window = ReplayWindow(SIZE)
    window.accept(LIMIT + 1)
    assert window.accept(0)


@pytest.mark.parametrize("size", [0, -1, 3, 1000])
def test_a_window_is_a_power_of_two(size: int) -> None:
    """Another size is refused with a sentence."""
    with pytest.raises(ValueError, match=f"a replay window spans a power of two of counters, not {size}"):
        ReplayWindow(size)


@given(
    size=st.sampled_from([1, 2, 8, 64]),
    steps=st.lists(st.one_of(st.integers(-80, 80), st.integers(-5, 5), st.integers(0, 2**20)), max_size=200),
    start=st.sampled_from([0, 1000, LIMIT - 100]),
)
def test_window_answers_as_a_set_would(size: int, steps: list[int], start: int) -> None:
    """Whatever comes in whatever order, the ring and a set of all counters accepted agree."""
    window = ReplayWindow(size)
    seen: set[int] = set()
    counter = start
    for step in steps:
        counter = max(counter + step, 0)
        highest = max(seen, default=-1)
        expected = counter not in seen and counter > highest - size and counter < LIMIT
        assert window.accept(counter) is expected
        if expected:
            seen.add(counter)
        counter = max(seen, default=start)
