"""The drivers and their model agree, step by step, whoever chooses the steps."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from .drivers import Failure, HypothesisMachine, episode, replay
from .machine import ACTIONS, Machine


def test_hypothesis_finds_no_difference() -> None:
    """No steps that Hypothesis chooses make a device differ from its model, break a law or leave anything behind."""
    chosen = settings(max_examples=30, stateful_step_count=50, derandomize=True, database=None, deadline=None)
    run_state_machine_as_test(HypothesisMachine, settings=chosen)


@pytest.mark.parametrize("seed", range(4))
def test_a_random_walk_finds_no_difference(seed: int) -> None:
    """Nor do the steps of a random walk, by weights that keep devices busy."""
    hits = episode(seed, 800)
    assert hits.total() == 800


def test_a_walk_takes_every_action() -> None:
    """A thousand steps are enough to take every action there is."""
    assert set(episode(99, 1000)) == set(ACTIONS)


def test_a_difference_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that forgets to count one packet fails the machine at that step."""
    from aiotun.driver import TunDevice

    monkeypatch.setattr(TunDevice, "_count_output", lambda self, batch: batch)
    steps = [("read", {"which": 0, "size": 0}), ("output", {"which": 0, "packet": 0, "count": 1, "stride": 0})]
    with pytest.raises(Failure) as failure:
        replay([*steps, ("advance", {"ticks": 0})])
    assert failure.value.taken == steps


def test_a_packet_that_disappears_breaks_the_law() -> None:
    """A packet taken out of the send queue behind its back is missed at the next step."""
    machine = Machine()
    try:
        machine.step("output", {"which": 0, "packet": 0, "count": 1, "stride": 0})
        machine.pairs[0].real.snd._packets.clear()  # type: ignore[attr-defined]
        with pytest.raises(AssertionError):
            machine.step("advance", {"ticks": 0})
    finally:
        machine.abandon()


def test_a_descriptor_left_open_is_seen() -> None:
    """A machine that ends with a descriptor more than it began with fails."""
    machine = Machine()
    machine.fds = machine.fds[1:]
    with pytest.raises(AssertionError, match="descriptor"):
        machine.finish()


def test_a_timer_left_armed_is_seen() -> None:
    """A machine that ends with a timer armed fails."""
    machine = Machine()
    machine.loop.call_later(1, print)
    with pytest.raises(AssertionError):
        machine.finish()
