"""Who drives the machine: Hypothesis, a seeded random number generator, or a recorded list of steps."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from .machine import ACTIONS, Machine

__all__ = ["Failure", "HypothesisMachine", "Step", "episode", "replay", "shrink", "steps"]

Step = tuple[str, dict[str, int]]


class Failure(Exception):
    """The machine and its model differ."""

    def __init__(self, taken: list[Step], error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.taken = taken
        """The steps up to the one that failed."""


def steps(random: random.Random) -> Iterator[Step]:
    """Yield steps for ever, by the weights of the actions."""
    names = list(ACTIONS)
    weights = [ACTIONS[name][2] for name in names]
    while True:
        for name in random.choices(names, weights, k=64):
            yield name, {argument: int(random.random() * count) for argument, count in ACTIONS[name][1].items()}


def replay(taken: list[Step]) -> Counter[str]:
    """Take recorded steps with a new machine, to its end; return how often each action was."""
    machine = Machine()
    done: list[Step] = []
    try:
        for name, arguments in taken:
            done.append((name, arguments))
            machine.step(name, arguments)
        machine.finish()
    except BaseException as error:
        machine.abandon()
        if isinstance(error, Exception):
            raise Failure(done, error) from error
        raise
    return machine.hits


def episode(seed: int, length: int) -> Counter[str]:
    """Take *length* random steps with a new machine."""
    source = steps(random.Random(seed))
    return replay([next(source) for _ in range(length)])


def shrink(taken: list[Step]) -> list[Step]:
    """Leave out what the failure does not need."""

    def fails(candidate: list[Step]) -> bool:
        try:
            replay(candidate)
        except Failure:
            return True
        return False

    size = len(taken) // 2
    while size:
        start = 0
        while start < len(taken):
            candidate = taken[:start] + taken[start + size :]
            if fails(candidate):
                taken = candidate
            else:
                start += size
        size //= 2
    return taken


def _rule(name: str, ranges: dict[str, int]) -> Any:
    def take(self: HypothesisMachine, **arguments: int) -> None:
        self.machine.step(name, arguments)
        HypothesisMachine.hits[name] += 1

    take.__name__ = name
    take.__doc__ = ACTIONS[name][0].__doc__
    drawn: dict[str, Any] = {argument: st.integers(0, count - 1) for argument, count in ranges.items()}
    decorate: Any = rule(**drawn)
    return decorate(take)


class HypothesisMachine(RuleBasedStateMachine):
    """The same actions, chosen and shrunk by Hypothesis."""

    hits: Counter[str] = Counter()
    """How often each action was taken, by all the machines of this process."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine()

    def teardown(self) -> None:
        self.machine.finish()


for _name, _action in ACTIONS.items():
    setattr(HypothesisMachine, _name, _rule(_name, _action[1]))
