"""How near is iteration to C?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rig.commands import Command, by_hand, c, ours, python
from rig.lab import Place, lab
from rig.measuring import measure
from rig.program import running, source
from rig.question import Case, Effort, Figures, Goal, Question

from questions.figures import CPU, LOAD, PACKETS

FAR = "10.9.0.2"
PAYLOAD = 64
SEGMENTS = {1: "one datagram a message", 16: "16 datagrams a message"}

GOALS = (
    Goal("async for", PACKETS.key, 1.00),
    Goal("batches()", PACKETS.key, 1.00),
    Goal("async for", CPU.key, 1.15, at_most=True),
    Goal("batches()", CPU.key, 1.02, at_most=True),
)
OVER_NAIVE = (
    Goal("async for", PACKETS.key, 6, against="naive asyncio, asyncio's loop"),
    Goal("async for", PACKETS.key, 6, against="naive asyncio"),
)


def read(place: Place, reader: Command, flood: Command, effort: Effort) -> Figures:
    """Run *reader* under *flood* once."""
    with running(reader) as child, source(flood, place.namespace):
        return measure([child], [place], effort)


def commands(where: str) -> dict[str, Command]:
    return {
        "C": c("read_loop", where),
        "async for": ours("readers", where, "--variant=async_for"),
        "batches()": ours("readers", where, "--variant=batches"),
        "recv()": ours("readers", where, "--variant=recv"),
        "async for, pure Python": ours("readers", where, "--variant=async_for", pure=True),
        "batches(), pure Python": ours("readers", where, "--variant=batches", pure=True),
        "async for, asyncio's loop": ours("readers", where, "--variant=async_for", "--loop=asyncio"),
        "naive asyncio, asyncio's loop": python("readers", where, "--variant=naive", "--loop=asyncio"),
    } | by_hand("readers", where)


def cases(effort: Effort) -> Iterator[Case]:
    with lab() as bench:
        place = bench.place("10.9.0.1/24")
        for segments, words in SEGMENTS.items():
            flood = c("flood", FAR, PAYLOAD, segments)
            yield Case(
                f"{PAYLOAD} bytes of UDP payload, {words}",
                {
                    name: partial(read, place, command, flood, effort)
                    for name, command in commands(place.where()).items()
                },
                (PACKETS, CPU, LOAD),
                goals=GOALS if segments == 1 else (*GOALS, *OVER_NAIVE),
            )


QUESTION = Question(
    "iterate",
    "How near is iteration to C?",
    """UDP datagrams leave through a tun, as many as one CPU can send; each reader fetches them.

With one datagram a message the source is slower than C: a reader sleeps part of the time, packets a second say whether
it keeps up, and CPU time holds its wake-ups. With 16 datagrams a message (`UDP_SEGMENT`) the source is faster than any
reader: each is at its limit, both figures say the same, and only here one reader can be many times as fast as
another.""",
    cases,
    seconds=58,
)
