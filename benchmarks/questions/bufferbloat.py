"""What does a full queue cost those who share it?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial

from bufferbloat import DISCIPLINES, MTU, START, STOP, simulate
from rig.question import Case, Column, Effort, Figures, Question

from aiotun.queueing import Discipline


def share(make: Callable[[], Discipline]) -> Figures:
    """Return the delay of the pings and the rate of the bulk transfer, behind a queue."""
    queue = make()
    ping, bulk = simulate(queue)
    busy = ping.busy()
    cuts = statistics.quantiles(busy, n=100, method="inclusive")
    return {
        "p50": cuts[49],
        "p99": cuts[98],
        "worst": busy[-1],
        "rate": bulk.delivered * MTU * 8 / (STOP - START),
        "dropped": sum(queue.statistics().dropped.values()),
    }


def cases(effort: Effort) -> Iterator[Case]:
    yield Case(
        "a ping-like flow beside a bulk transfer",
        {name: partial(share, make) for name, make in DISCIPLINES.items()},
        (
            Column("p50", "ping p50 ms", 1, 1e3),
            Column("p99", "p99 ms", 1, 1e3),
            Column("worst", "worst ms", 1, 1e3),
            Column("rate", "bulk Mbit/s", 2, 1e-6),
            Column("dropped", "dropped", 0),
        ),
        reference=None,
        rounds=1,
    )


QUESTION = Question(
    "bufferbloat",
    "What does a full queue cost those who share it?",
    """On a simulated clock: a TCP-like bulk flow and a ping-like one share 10 Mbit/s, behind 1000 packets of each
queueing discipline. Every run gives the same figures; `bufferbloat.py --plot` draws them over time.""",
    cases,
    seconds=1,
)
