"""What does importing aiotun cost?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from rig.commands import HERE, Command
from rig.question import Case, Column, Effort, Figures, Question

SCRIPT = """\
import time
start = time.perf_counter()
import {}
print(time.perf_counter() - start)
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))"""

MODULES = {
    "asyncio": ("asyncio", None),
    "asyncio and aiotun": ("asyncio, aiotun", None),
    "asyncio and pyroute2": ("asyncio, pyroute2", None),
    "asyncio and python-pytun": ("asyncio, pytun", "pytun"),
    "asyncio and scapy.all": ("asyncio, scapy.all", "scapy"),
}


def load(modules: str, needs: str | None) -> Figures:
    """Return what a fresh interpreter takes to import *modules*."""
    Command((), needs=needs).check()
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(modules)], check=True, capture_output=True, text=True, cwd=HERE.parent
    )
    seconds, kilobytes = map(float, told.stdout.split())
    return {"seconds": seconds, "memory": kilobytes * 1024}


def cases(effort: Effort) -> Iterator[Case]:
    yield Case(
        "a fresh interpreter",
        {name: partial(load, *modules) for name, modules in MODULES.items()},
        (Column("seconds", "ms", 1, 1e3, ratio=True), Column("memory", "MB of the process", 1, 1e-6)),
        reference="asyncio",
        rounds=1 if effort.quick else max(15, effort.rounds),
    )


QUESTION = Question(
    "importing",
    "What does importing aiotun cost?",
    """The milliseconds of `import`, files in the page cache, byte code written. What aiotun takes is the difference to
asyncio.""",
    cases,
    seconds=3,
)
