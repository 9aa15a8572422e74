"""How fast are the in-process drivers?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rig.commands import Command, ours, python
from rig.program import running
from rig.question import Case, Column, Effort, Figures, Question, Run

COUNT = 150_000
DISCIPLINES = ("Fifo", "CoDel", "TokenBucket", "Priority", "FairQueue", "FQCoDel")
QUEUES = {
    "asyncio.Queue, one task puts and gets": "one_task",
    "asyncio.Queue(64), two tasks": "two_tasks",
    "asyncio.Queue(1), handed over one by one": "one_by_one",
}


def run(command: Command) -> Figures:
    with running(command, ready=False) as child:
        return child.figures()


def cases(effort: Effort) -> Iterator[Case]:
    for loop in ("uvloop", "asyncio"):
        rest = (f"--loop={loop}", f"--count={effort.of(COUNT)}")
        commands = (
            {"async for": ours("in_process", "--variant=async_for", *rest)}
            | {"async for, pure Python": ours("in_process", "--variant=async_for", *rest, pure=True)}
            | {name: python("in_process", f"--variant={variant}", *rest) for name, variant in QUEUES.items()}
            | {f"recv_many(), {name}": ours("in_process", f"--variant={name}", *rest) for name in DISCIPLINES}
            | {"recv_many(), Fifo, pure Python": ours("in_process", "--variant=Fifo", *rest, pure=True)}
        )
        runs: dict[str, Run] = {name: partial(run, command) for name, command in commands.items()}
        yield Case(
            f"packets of 64 bytes in batches of 64, {loop}",
            runs,
            (Column("packets_per_second", "k packets/s of CPU time", 0, 1e-3, ratio=True),),
            reference="asyncio.Queue, one task puts and gets",
        )


QUESTION = Question(
    "in_process",
    "How fast are the in-process drivers?",
    """From `interface.output(batch)` to the reader, in one process on one CPU; nothing waits for anything, so the
measure is CPU time. Beside `asyncio.Queue`, which stands for a driver that could not be simpler.""",
    cases,
    seconds=11,
)
