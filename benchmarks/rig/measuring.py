"""
What a program did in an interval, as the kernel saw it: one way for all programs, whatever they are written in.

CPU time is the process's clock, which another process may read: user and system time of all its threads, those that
ended too. Packets are the counters of its tuns.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs

from rig.lab import Counts, Place
from rig.program import Program
from rig.question import Effort, Figures

CPUCLOCK_SCHED = 2
"""The clock of a process, in the number that stands for it: linux/posix-timers.h."""


@attrs.frozen
class Snapshot:
    """A moment: seconds of the wall, seconds of CPU time, and the tuns' counters."""

    at: float
    cpu: float
    counts: tuple[Counts, ...]


def snapshot(children: Sequence[Program], places: Sequence[Place]) -> Snapshot:
    cpu = sum(time.clock_gettime((~child.pid << 3) | CPUCLOCK_SCHED) for child in children)
    return Snapshot(time.perf_counter(), cpu, tuple(place.counts() for place in places))


def measure(children: Sequence[Program], places: Sequence[Place], effort: Effort, *, written: bool = False) -> Figures:
    """
    Let *children* run, and return what they took from the tuns of *places*, or wrote to them, and what it cost.

    Raises:
        RuntimeError: If one ended, or nothing passed.
    """
    time.sleep(effort.warm_up)
    before = snapshot(children, places)
    time.sleep(effort.seconds)
    after = snapshot(children, places)
    for child in children:
        if child.status is not None:
            raise RuntimeError(child.last_words())
    passed = [now.since(then) for now, then in zip(after.counts, before.counts, strict=True)]
    packets = sum(one.written if written else one.read for one in passed)
    size = sum(one.written_bytes if written else one.read_bytes for one in passed)
    if not packets:
        raise RuntimeError("nothing passed")
    seconds, cpu = after.at - before.at, after.cpu - before.cpu
    return {
        "seconds": seconds,
        "packets_per_second": packets / seconds,
        "bits_per_second": size * 8 / seconds,
        "cpu_per_packet": cpu / packets,
        "cpu_per_byte": cpu / size,
        "load": cpu / seconds,
        "dropped": sum(one.dropped for one in passed) / packets,
    }
