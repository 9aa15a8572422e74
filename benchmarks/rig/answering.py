"""Asks a question, and makes of what it found the JSON that the page is made from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import attrs

from rig.commands import BY_HAND, Command
from rig.machine import conditions
from rig.program import running
from rig.question import Case, Effort, Figures, Missing, Question
from rig.rounds import FAILURES, Progress, alternate


def ask(question: Question, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Run all its cases, and return the answer: nothing but this is needed to tell it."""
    answer: dict[str, Any] = {
        "asks": question.asks,
        "says": question.says,
        "x": question.x,
        "command": f"python benchmarks/run.py --only {question.name} --rounds {effort.rounds}",
        "conditions": conditions(),
    }
    begun = time.monotonic()
    progress.ask(question)
    answer["cases"] = [
        as_json(case, *alternate(case, case.rounds or effort.rounds, progress)) for case in question.cases(effort)
    ]
    if question.program is not None:
        answer["told"] = told(question.program(effort))
    progress.answered()
    return answer | {"seconds": round(time.monotonic() - begun)}


def told(command: Command) -> str:
    """Return what a program that stands alone prints, or why it does not."""
    try:
        with running(command, cpu=None, ready=False) as program:
            return program.output().strip()
    except (Missing, *FAILURES) as reason:
        return f"Not measured: {reason}."


def as_json(case: Case, rounds: Mapping[str, list[Figures]], missing: Mapping[str, str]) -> dict[str, Any]:
    return {
        "title": case.title,
        "columns": [attrs.asdict(column) for column in case.columns],
        "reference": case.reference,
        "goals": [attrs.asdict(goal) for goal in case.goals],
        "x": case.x,
        "by_hand": [name for name in rounds if name in BY_HAND],
        "rounds": {name: [_rounded(figures) for figures in found] for name, found in rounds.items()},
        "missing": dict(missing),
    }


def _rounded(figures: Figures) -> Figures:
    """Leave out the digits that no clock here can tell."""
    return {key: float(f"{value:.6g}") for key, value in figures.items()}
