"""How does reading scale with interfaces and flows?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rig.commands import c, ours
from rig.lab import lab
from rig.question import Case, Effort, Question

from questions.figures import CPU, LOAD, PACKETS
from questions.iterate import read

PAYLOAD, SEGMENTS = 64, 16
INTERFACES = (1, 10, 100, 1000)
FLOWS = (1, 16, 256)


def over_interfaces(effort: Effort) -> Iterator[Case]:
    for count in INTERFACES[:2] if effort.quick else INTERFACES:
        with lab() as bench:
            place = bench.place("10.9.0.1/24", tuns=count)
            flood = c("flows", "10.9.0.2", PAYLOAD, SEGMENTS, count, 0, count)
            commands = {
                "C": c("read_many", place.namespace, count),
                "aiotun": ours("interfaces", place.namespace, f"--count={count}"),
                "aiotun, pure Python": ours("interfaces", place.namespace, f"--count={count}", pure=True),
            }
            yield Case(
                f"{count} interface{'s' if count > 1 else ''}",
                {name: partial(read, place, command, flood, effort) for name, command in commands.items()},
                (PACKETS, CPU, LOAD),
                x=count,
            )


def over_flows(effort: Effort) -> Iterator[Case]:
    with lab() as bench:
        place = bench.place("10.9.0.1/24")
        commands = {
            "C": c("read_loop", place.where()),
            "async for": ours("readers", place.where(), "--variant=async_for"),
            "batches()": ours("readers", place.where(), "--variant=batches"),
        }
        for count in FLOWS:
            flood = c("flows", "10.9.0.2", PAYLOAD, SEGMENTS, count, 0)
            yield Case(
                f"{count} flow{'s' if count > 1 else ''}",
                {name: partial(read, place, command, flood, effort) for name, command in commands.items()},
                (PACKETS, CPU, LOAD),
                x=count,
            )


INTERFACES_QUESTION = Question(
    "interfaces",
    "How does reading scale with the number of interfaces?",
    """That many tuns in one loop, a task with `batches()` for each; the source takes them in turn, 16 datagrams of
64 bytes to each. `c/read_many` does the same with epoll. Packets a second are those of all interfaces together.""",
    over_interfaces,
    seconds=39,
    x="interfaces",
)
FLOWS_QUESTION = Question(
    "flows",
    "How does reading scale with the number of flows?",
    """One tun; the source takes that many flows in turn, 16 datagrams of 64 bytes from each. Streams that are merged,
where flows are told apart, are under forwarding.""",
    over_flows,
    seconds=18,
    x="flows",
)
