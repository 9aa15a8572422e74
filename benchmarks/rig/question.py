"""What a question is: the cases it asks in, what runs in each, which figures are told, and which are aimed at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from rig.commands import Command

Figures = dict[str, float]
"""What one run found."""
Run = Callable[[], Figures]


class Missing(Exception):
    """A variant cannot run here; the text says why."""


@attrs.frozen
class Effort:
    """How long to look."""

    rounds: int = 5
    seconds: float = 1.5
    """Seconds a run counts."""
    warm_up: float = 0.4
    """Seconds before that."""
    quick: bool = False
    """Whether it is enough to see that everything runs."""

    def of(self, count: int) -> int:
        """Return how many of something to do, where *count* is the full number."""
        return max(1, count // 50) if self.quick else count


QUICK = Effort(rounds=1, seconds=0.2, warm_up=0.1, quick=True)


@attrs.frozen
class Column:
    """A figure that is told of each variant."""

    key: str
    title: str
    digits: int = 2
    factor: float = 1.0
    """What the figure is multiplied by, to be told in the unit of the title."""
    ratio: bool = False
    """Whether its ratio to the reference, round by round, is told too."""


@attrs.frozen
class Goal:
    """What a variant's figure should be, over another variant's of the same round; or by itself, against None."""

    variant: str
    key: str
    limit: float
    against: str | None = "C"
    at_most: bool = False


@attrs.frozen
class Case:
    """One table: variants that do the same, in turn."""

    title: str
    runs: Mapping[str, Run]
    columns: tuple[Column, ...]
    reference: str | None = "C"
    goals: tuple[Goal, ...] = ()
    x: float | None = None
    """Where the case lies on the axis, if the cases of its question differ in a number."""
    rounds: int | None = None
    """How many rounds, where one gives all there is to know."""


def no_cases(effort: Effort) -> Iterator[Case]:
    """Make none."""
    yield from ()


@attrs.frozen
class Question:
    """Something to find out about aiotun."""

    name: str
    asks: str
    says: str
    """What is done, and how to read the figures; Markdown."""
    cases: Callable[[Effort], Iterator[Case]] = no_cases
    """Makes the cases one by one, each with what it needs; what it made goes when the iterator ends."""
    program: Callable[[Effort], Command] | None = None
    """A program that does it all by itself, and whose own words are the answer."""
    seconds: float = attrs.field(kw_only=True)
    """About how long a round of all cases takes, or the program. Only the time left is told from it."""
    x: str | None = None
    """What the cases' x counts."""
