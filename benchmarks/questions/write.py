"""How near is sending to C?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rig.commands import Command, by_hand, c, ours
from rig.lab import Place, lab
from rig.measuring import measure
from rig.program import running
from rig.question import Case, Effort, Figures, Goal, Question

from questions.figures import CPU, LOAD, PACKETS

PAYLOADS = (64, 1400)


def write(place: Place, writer: Command, effort: Effort) -> Figures:
    """Run *writer* once."""
    with running(writer) as child:
        return measure([child], [place], effort, written=True)


def commands(where: str, payload: int) -> dict[str, Command]:
    size = f"--payload={payload}"
    return {
        "C": c("write_loop", where, payload),
        "send_many()": ours("writers", where, "--variant=send_many", size),
        "send()": ours("writers", where, "--variant=send", size),
        "send_many(), pure Python": ours("writers", where, "--variant=send_many", size, pure=True),
        "send_many(), asyncio's loop": ours("writers", where, "--variant=send_many", size, "--loop=asyncio"),
    } | by_hand("writers", where, size, without=("socat",))


def cases(effort: Effort) -> Iterator[Case]:
    with lab() as bench:
        place = bench.place("10.9.0.1/24")
        for payload in PAYLOADS:
            yield Case(
                f"{payload} bytes of UDP payload",
                {
                    name: partial(write, place, command, effort)
                    for name, command in commands(place.where(), payload).items()
                },
                (PACKETS, CPU, LOAD),
                goals=(Goal("send_many()", PACKETS.key, 1.00),),
            )


QUESTION = Question(
    "write",
    "How near is sending to C?",
    """One program writes packets into a tun as fast as it can. They are UDP datagrams for the tun's own address, where
the stack finds nobody to give them to: most of the time is the kernel's, in `write()`.""",
    cases,
    seconds=45,
)
