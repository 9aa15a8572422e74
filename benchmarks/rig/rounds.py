"""Runs every variant of a case in turn, round by round, and tells how far it is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from rig.question import Case, Effort, Figures, Missing, Question, Run

FAILURES = (RuntimeError, OSError, ValueError, subprocess.SubprocessError)
"""What a run that went wrong raises."""


class Progress:
    """Which question, which round, and about how long it still takes."""

    def __init__(self, questions: Sequence[Question], effort: Effort) -> None:
        self._left = [_seconds(question, effort) for question in questions]
        self._done = 0.0
        self._begun = self._question_begun = time.monotonic()
        self._question = ""

    def ask(self, question: Question) -> None:
        """Begin a question."""
        self._question, self._question_begun = question.name, time.monotonic()
        print(f"{question.name}: {question.asks}", file=sys.stderr, flush=True)

    def answered(self) -> None:
        """End it."""
        self._done += self._left.pop(0)

    def tell(self, case: Case, number: int, rounds: int, variant: str) -> None:
        """Say what runs now: on a terminal in one line that changes, elsewhere in a line a round."""
        text = f"  {case.title}: round {number + 1} of {rounds}"
        left = f", about {_clock(self.seconds_left())} left"
        if sys.stderr.isatty():
            print(f"\r\033[K{text}, {variant}{left}", end="", file=sys.stderr, flush=True)
        elif variant == next(iter(case.runs)) and number % max(1, rounds // 5) == 0:
            print(text + left, file=sys.stderr, flush=True)

    def end_of_case(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def seconds_left(self) -> float:
        """Return what the questions say they take, corrected by what those took that are done."""
        now = time.monotonic()
        pace = (self._question_begun - self._begun) / self._done if self._done else 1.0
        return max(sum(self._left) * pace - (now - self._question_begun), 0.0)


def _seconds(question: Question, effort: Effort) -> float:
    rounds = effort.rounds if question.program is None else 1
    return question.seconds * rounds * (0.2 if effort.quick else 1)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def alternate(case: Case, rounds: int, progress: Progress) -> tuple[dict[str, list[Figures]], dict[str, str]]:
    """
    Run everything once a round, in turn, so that the machine's moods fall on all alike.

    Every second round goes backwards: who runs first or last changes too. A variant that cannot run, or fails twice in
    a row, is left out of the other rounds and of the result; the second result says why.
    """
    results: dict[str, list[Figures]] = {name: [] for name in case.runs}
    missing: dict[str, str] = {}
    for number in range(rounds):
        for name in list(case.runs)[:: 1 if number % 2 == 0 else -1]:
            if name in missing:
                continue
            progress.tell(case, number, rounds, name)
            try:
                results[name].append(_twice(case.runs[name]))
            except (Missing, *FAILURES) as reason:
                missing[name] = str(reason)
    progress.end_of_case()
    return {name: found for name, found in results.items() if name not in missing}, missing


def _twice(run: Run) -> Figures:
    """Run, and once more if it fails: a server that was not up in time is no reason to lose the others' rounds."""
    try:
        return run()
    except FAILURES:
        return run()
