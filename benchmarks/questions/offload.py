"""What does a segment cost, cut from 64 KiB or merged into it?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import attrs
from rig.commands import HERE, Command, ours
from rig.program import running
from rig.question import Case, Column, Effort, Figures, Goal, Question

SIZE = 1448
KINDS = ("IPv4, tcp", "IPv6, tcp", "IPv4, udp", "IPv6, udp")
SHARED = {"memcpy": "copying", "checksum": "checksum()"}
FORMS = {"segment": "segment()", "complete": "complete()", "coalesce": "coalesce()"}
"""What offloading.py measures, for all and in each form, and what the page calls it."""
ROW = re.compile(r"^  (\S.*?) +(\d+) .* (\d+\.\d) \[", re.MULTILINE)
"""A name, nanoseconds a segment, and how many times that of a copy it is."""


def command(pure: bool, repeat: int = 100) -> Command:
    told = ours("offloading", "--rounds=1", f"--repeat={repeat}", f"--sizes={SIZE}", pure=pure)
    return attrs.evolve(told, words=(told.words[0], str(HERE / "offloading.py"), *told.words[3:]))


def read_off(text: str, kind: str, form: str) -> Figures:
    """Return what offloading.py told of packets of that *kind*, in ``C`` or in ``Python``."""
    _, _, rest = text.partition(f"\n{kind}, ")
    rows = {name: (float(cost), float(times)) for name, cost, times in ROW.findall(rest.partition("\n\n")[0])}
    try:
        shared = {name: rows[name] for name in SHARED}
        found = shared | {name: rows[f"{form}: {name}"] for name in FORMS}
    except KeyError as missing:
        raise RuntimeError(f"offloading.py told nothing of {kind}: {missing}") from None
    return {name: cost * 1e-9 for name, (cost, _) in found.items()} | {"times_memcpy": found["segment"][1]}


def cost(kind: str, pure: bool) -> Figures:
    with running(command(pure), ready=False) as child:
        return read_off(child.output(), kind, "Python" if pure else "C")


def cases(effort: Effort) -> Iterator[Case]:
    for kind in KINDS:
        yield Case(
            f"{kind.replace(', ', ' ').replace('tcp', 'TCP').replace('udp', 'UDP')}, segments of {SIZE} bytes",
            {
                "aiotun": partial(cost, kind, pure=False),
                "aiotun, pure Python": partial(cost, kind, pure=True),
            },
            (
                Column("times_memcpy", "segment() over copying", 1),
                *(Column(part, f"{title}, ns a segment", 0, 1e9) for part, title in (SHARED | FORMS).items()),
            ),
            reference=None,
            goals=(Goal("aiotun", "times_memcpy", 4.0, against=None, at_most=True),),
        )


QUESTION = Question(
    "offload",
    "What does a segment cost, cut from 64 KiB or merged into it?",
    """CPU time of `segment()`, which finishes every checksum, of `complete()`, which finishes one, of `coalesce()`,
which verifies them, and of `checksum()` over the same bytes, beside a copy of them: `bytearray(packet)`, one memcpy.
More, and other sizes: `offloading.py`.""",
    cases,
    seconds=8,
)
