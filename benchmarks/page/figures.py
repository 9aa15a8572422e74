"""Medians, spreads and verdicts of a case, as it stands in the JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

Case = dict[str, Any]
Column = dict[str, Any]


@attrs.frozen
class Spread:
    """The median of some values, the least and the most."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def text(self, digits: int) -> str:
        """Tell all three, or the one value there is."""
        if self.count == 1 or self.least == self.most:
            return number(self.median, digits)
        return f"{number(self.median, digits)} [{number(self.least, digits)} to {number(self.most, digits)}]"


@attrs.frozen
class Verdict:
    """A goal, what was reached, and whether that is enough."""

    question: str
    case: str
    goal: str
    reached: Spread
    limit: float
    at_most: bool

    @property
    def met(self) -> bool:
        """Whether the median meets the goal."""
        return self.reached.median <= self.limit if self.at_most else self.reached.median >= self.limit


def number(value: float, digits: int) -> str:
    """Tell a number; none is -0."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def absolute(case: Case, variant: str, column: Column) -> Spread:
    """Return a figure of a variant, in the unit of the column's title."""
    return Spread.of([figures[column["key"]] * column["factor"] for figures in case["rounds"][variant]])


def ratio(case: Case, variant: str, key: str, against: str) -> Spread | None:
    """Return a figure of a variant over another's, round by round; None if either was not measured."""
    ours, theirs = case["rounds"].get(variant), case["rounds"].get(against)
    if not ours or not theirs or any(not figures[key] for figures in theirs):
        return None
    return Spread.of([one[key] / other[key] for one, other in zip(ours, theirs, strict=True)])


def verdicts(name: str, answer: dict[str, Any]) -> Iterator[Verdict]:
    """Judge every goal of a question of which both sides were measured."""
    for case in answer["cases"]:
        columns = {column["key"]: column for column in case["columns"]}
        for goal in case["goals"]:
            column = columns[goal["key"]]
            factor = 1.0
            if goal["against"] is not None:
                reached = ratio(case, goal["variant"], goal["key"], goal["against"])
                against = f" over {goal['against']}"
            else:
                reached = absolute(case, goal["variant"], column) if goal["variant"] in case["rounds"] else None
                factor, against = column["factor"], ""
            if reached is not None:
                limit = goal["limit"] * factor
                sign = "at most" if goal["at_most"] else "at least"
                text = f"{goal['variant']}: {column['title']}{against}, {sign} {limit:.2f}"
                yield Verdict(name, case["title"], text, reached, limit, goal["at_most"])
