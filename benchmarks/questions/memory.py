"""What does an interface take of memory, and of time to open?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rig.commands import Command, ours
from rig.lab import lab
from rig.program import running
from rig.question import Case, Column, Effort, Figures, Question

from questions.in_process import run

IN_PROCESS, TUNS = 10_000, 200


def on_the_kernel(command: str, count: int, pure: bool) -> Figures:
    """Open that many tuns of the kernel in a process, and return what each took."""
    with lab() as bench:
        place = bench.place("10.9.0.1/24", tuns=count + 1)
        reader: Command = ours(command, place.namespace, f"--count={count}", "--memory", pure=pure)
        with running(reader) as child:
            return child.figures()


def cases(effort: Effort) -> Iterator[Case]:
    count = effort.of(IN_PROCESS)
    yield Case(
        f"{count:,} interfaces in process",
        {
            kind: partial(run, ours("in_process", f"--variant={kind}", f"--count={count}", pure=pure))
            for kind, pure in (("tun", True), ("tap", True))
        },
        (
            Column("idle", "bytes each, idle", 0),
            Column("after_traffic", "bytes each, after a packet each way", 0),
            Column("open_first", "opening, µs each: first thousand", 1, 1e6),
            Column("open_last", "last thousand", 1, 1e6),
        ),
        reference=None,
        rounds=1,
    )
    count = effort.of(TUNS)
    yield Case(
        f"{count} tuns of the kernel",
        {
            "aiotun": partial(on_the_kernel, "interfaces", count, False),
            "aiotun, pure Python": partial(on_the_kernel, "interfaces", count, True),
        },
        (Column("bytes", "kB each, of the process", 1, 1e-3),),
        reference=None,
        rounds=1,
    )


QUESTION = Question(
    "memory",
    "What does an interface take of memory, and of time to open?",
    """In process: endpoint, driver and queue, by `tracemalloc`, and CPU time. On the kernel: what the process's
resident memory grew by, by the number of tuns it opened.""",
    cases,
    seconds=3,
)
