"""Does the event loop stay fair while a tun is flooded?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from rig.commands import Command, c, ours, python
from rig.lab import Place, lab
from rig.program import running, source
from rig.question import Case, Column, Effort, Figures, Goal, Question

from questions.iterate import FAR, PAYLOAD

PERIOD = 1.0
SEGMENTS = 16


def late(place: Place, reader: Command, flood: Command | None) -> Figures:
    """Run *reader* once, under *flood* if there is one."""
    with ExitStack() as stack:
        child = stack.enter_context(running(reader))
        if flood is not None:
            stack.enter_context(source(flood, place.namespace))
        return child.figures()


def cases(effort: Effort) -> Iterator[Case]:
    with lab() as bench:
        place = bench.place("10.9.0.1/24")
        timer = (place.where(), f"--timer={PERIOD}", f"--seconds={effort.seconds}")
        flood = c("flood", FAR, PAYLOAD, SEGMENTS)
        readers = {
            "async for": ours("readers", *timer, "--variant=async_for"),
            "batches()": ours("readers", *timer, "--variant=batches"),
            "recv()": ours("readers", *timer, "--variant=recv"),
            "async for, pure Python": ours("readers", *timer, "--variant=async_for", pure=True),
            "async for, asyncio's loop": ours("readers", *timer, "--variant=async_for", "--loop=asyncio"),
            "one read a callback": python("readers", *timer, "--variant=callback"),
            "asyncio.Queue": python("readers", *timer, "--variant=queue"),
        }
        idle = {"nothing to do": partial(late, place, readers["one read a callback"], None)}
        yield Case(
            f"a timer of {PERIOD:g} ms beside a flood",
            idle | {name: partial(late, place, reader, flood) for name, reader in readers.items()},
            (
                Column("late_p99", "p99 ms", 2, 1e3),
                Column("late_p50", "p50 ms", 2, 1e3),
                Column("late_max", "worst ms", 1, 1e3),
            ),
            reference=None,
            goals=tuple(
                Goal(name, "late_p99", 0.005, against=None, at_most=True)
                for name in ("async for", "batches()", "recv()")
            ),
        )


QUESTION = Question(
    "fairness",
    "Does the event loop stay fair while a tun is flooded?",
    """A timer of 1 ms runs in the loop that consumes the flooded tun (16 datagrams a message: no reader keeps up).
Lateness counts from the time a tick was due, 1 ms after the one before. The loops' timers have a resolution of 1 ms, so
up to that much comes without any load: see the first row.""",
    cases,
    seconds=16,
)
