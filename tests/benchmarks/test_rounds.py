"""Tests of benchmarks/rig/rounds.py: every variant in turn, and none that fails ends the others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from rig.question import Case, Effort, Figures, Missing, Question
from rig.rounds import Progress, alternate


def nothing(effort: Effort) -> Iterator[Case]:
    yield from ()


QUESTION = Question("speed", "How fast?", "", nothing, seconds=10)


@pytest.fixture
def progress() -> Progress:
    return Progress([QUESTION, QUESTION], Effort(rounds=6))


def test_every_second_round_goes_backwards(progress: Progress) -> None:
    """Who runs first or last changes, so that the machine's moods fall on all alike."""
    order: list[str] = []

    def run(name: str) -> Figures:
        order.append(name)
        return {"rank": len(order)}

    case = Case("a case", {name: partial(run, name) for name in "abc"}, ())
    results, missing = alternate(case, 2, progress)
    assert ("".join(order), missing) == ("abccba", {})
    assert results["a"] == [{"rank": 1}, {"rank": 6}]


def test_a_variant_that_cannot_run_is_left_out(progress: Progress) -> None:
    """Its reason is told, and the others run."""

    def run() -> Figures:
        raise Missing("socat is not installed")

    case = Case("a case", {"C": lambda: {"packets": 1}, "socat": run}, ())
    assert alternate(case, 2, progress) == (
        {"C": [{"packets": 1}, {"packets": 1}]},
        {"socat": "socat is not installed"},
    )


def test_a_variant_that_fails_once_runs_again(progress: Progress) -> None:
    """One failure in a long run does not cost a variant its row."""
    failures = iter([RuntimeError("nothing passed")])

    def run() -> Figures:
        for failure in failures:
            raise failure
        return {"packets": 1}

    assert alternate(Case("a case", {"C": run}, ()), 2, progress) == ({"C": [{"packets": 1}] * 2}, {})


def test_a_variant_that_fails_again_is_out_of_all_rounds(progress: Progress) -> None:
    """Ratios are taken round by round, so half a row is none."""

    def run() -> Figures:
        raise RuntimeError("nothing passed")

    assert alternate(Case("a case", {"C": run}, ()), 2, progress) == ({}, {"C": "nothing passed"})


def test_the_time_left_begins_with_what_the_questions_say(progress: Progress) -> None:
    """A question's seconds are those of one round."""
    assert progress.seconds_left() == pytest.approx(120, abs=5)
