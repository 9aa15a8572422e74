"""How long does a round trip through a forwarder take?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from rig.commands import Command, by_hand, c, ours
from rig.lab import Place, lab
from rig.program import SOURCE_CPU, running, source
from rig.question import Case, Column, Effort, Figures, Goal, Question

from questions.figures import P50, P99

NEAR, FAR = "10.9.0.1", "10.9.0.2"
PAYLOAD = 64
LOADS = {"nothing else passes": 0, "beside 50,000 packets a second of 1400 bytes": 50_000}


def ping(one: Place, two: Place, forwarder: Command, effort: Effort, rate: int) -> Figures:
    """Play from *one* to *two* and back for a while, beside a flow of *rate* packets a second."""
    client = c("pingpong", FAR, PAYLOAD, effort.warm_up, effort.seconds)
    with ExitStack() as stack:
        stack.enter_context(running(forwarder))
        stack.enter_context(running(c("pingpong", "serve"), SOURCE_CPU, two.namespace))
        if rate:
            stack.enter_context(source(c("flows", FAR, 1400, 1, 1, rate), one.namespace))
        return stack.enter_context(source(client, one.namespace)).figures()


def cases(effort: Effort) -> Iterator[Case]:
    with lab() as bench:
        one, two = bench.place(f"{NEAR}/24"), bench.place(f"{FAR}/24")
        tuns = one.where(), two.where()
        commands = {
            "C": c("forward", *tuns),
            "aiotun": ours("forwarders", *tuns, "--variant=plain"),
            "aiotun, pure Python": ours("forwarders", *tuns, "--variant=plain", pure=True),
            "aiotun, asyncio's loop": ours("forwarders", *tuns, "--variant=plain", "--loop=asyncio"),
        } | by_hand("forwarders", *tuns)
        for words, rate in LOADS.items():
            yield Case(
                f"{PAYLOAD} bytes of UDP payload, {words}",
                {name: partial(ping, one, two, command, effort, rate) for name, command in commands.items()},
                (P50, P99, Column("samples", "round trips", 0), Column("lost", "lost", 0)),
                goals=(Goal("aiotun", "p50", 1.25, at_most=True), Goal("aiotun", "p99", 1.5, at_most=True)),
            )


QUESTION = Question(
    "latency",
    "How long does a round trip through a forwarder take?",
    """A UDP datagram goes from one namespace through the forwarder to the other, and its answer comes back; one is in
flight. Both ends run on the source's CPU. The time is that of four passages of a tun, four wake-ups and the forwarder;
a virtual CPU that sleeps wakes late, which all variants share.""",
    cases,
    seconds=46,
)
