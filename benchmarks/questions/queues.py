"""What do two queues bring?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from rig.commands import Command, c, ours
from rig.lab import Place, lab
from rig.measuring import measure
from rig.program import MEASURED_CPU, SOURCE_CPU, running, source
from rig.question import Case, Column, Effort, Figures, Goal, Question

from questions.figures import CPU, LOAD, PACKETS

FAR = "10.9.0.2"
FLOWS, PAYLOAD, SEGMENTS = 64, 1400, 16

WORK = {
    "count": ("nothing done with a packet, a flood", 0),
    "hash": ("a hash of each packet, a flood", 0),
    "toil": ("8 hashes of each packet, 200,000 packets a second", 200_000),
}
"""What is done with packets, in words, and the source's packets a second; 0 is a flood, which takes its CPU whole."""

# What each variant starts: the arguments of each reader, and its CPU.
VARIANTS: dict[str, list[tuple[list[str], int]]] = {
    "one queue": [([], MEASURED_CPU)],
    "two queues, one loop": [(["--queues=2"], MEASURED_CPU)],
    "two queues, two threads": [(["--queues=2", "--threads"], MEASURED_CPU)],
    "two processes": [([], MEASURED_CPU), ([], SOURCE_CPU)],
}


def read(place: Place, readers: Sequence[tuple[Command, int]], flood: Command, effort: Effort) -> Figures:
    """Run the readers at once under the flood, and return what they took together."""
    with ExitStack() as stack:
        children = [stack.enter_context(running(command, cpu)) for command, cpu in readers]
        stack.enter_context(source(flood, place.namespace))
        return measure(children, [place], effort)


def order(place: Place, flood: Command, effort: Effort) -> Figures:
    """Run two processes that look at the order of each flow in the queue they have."""
    reader = ours("queue_readers", place.where(), f"--order={effort.seconds}")
    with ExitStack() as stack:
        children = [stack.enter_context(running(reader, cpu)) for cpu in (MEASURED_CPU, SOURCE_CPU)]
        stack.enter_context(source(flood, place.namespace))
        found = [child.figures() for child in children]
    return {key: sum(one[key] for one in found) for key in found[0]}


def cases(effort: Effort) -> Iterator[Case]:
    with lab() as bench:
        place = bench.place("10.9.0.1/24", multi_queue=True)
        flood = ("flows", FAR, PAYLOAD, SEGMENTS, FLOWS)
        yield Case(
            f"the order of {FLOWS} flows in two processes",
            {"two processes": partial(order, place, c(*flood, 0), effort)},
            (
                Column("packets", "packets", 0),
                Column("flows", "flows seen, at each queue", 0),
                Column("late", "packets behind a later one", 0),
            ),
            reference=None,
            goals=(Goal("two processes", "late", 0, against=None, at_most=True),),
            rounds=1,
        )
        for work, (words, rate) in WORK.items():
            yield Case(
                words,
                {
                    name: partial(
                        read,
                        place,
                        [
                            (ours("queue_readers", place.where(), *options, f"--work={work}"), cpu)
                            for options, cpu in them
                        ],
                        c(*flood, rate),
                        effort,
                    )
                    for name, them in VARIANTS.items()
                },
                (PACKETS, CPU, LOAD),
                reference="one queue",
            )


QUESTION = Question(
    "queues",
    "What do two queues bring?",
    """One multi-queue tun, and 64 flows that the kernel spreads over its queues. It is read through one queue by one
process, and through two queues: in one loop, in two threads, and by two processes. The second process shares the
source's CPU, so on two CPUs it has what the source leaves: little beside a flood, most beside a source with a pace.
A flow stays in its queue and in order.""",
    cases,
    seconds=28,
)
