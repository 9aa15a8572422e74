"""
Read many tuns of one namespace in one loop, until killed.

    python -m programs.interfaces NAMESPACE --count 100

With ``--memory`` it opens them, prints what each took of this process's memory, and ends.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from contextlib import AsyncExitStack
from pathlib import Path

import aiotun
from programs.child import report, run, say_ready


async def consume(tun: aiotun.Tun) -> None:
    async for _ in tun.batches():
        pass


def resident() -> int:
    """Return the bytes of memory that this process has."""
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmRSS")


async def main(namespace: str, count: int, memory: bool) -> None:
    async with AsyncExitStack() as stack:

        async def opened(number: int) -> aiotun.Tun:
            return await stack.enter_async_context(aiotun.open_tun(f"tun{number}", netns=namespace))

        tuns = [await opened(0)]  # what the first one loads is not an interface's
        if memory:
            before = resident()
            tuns += [await opened(number) for number in range(1, count + 1)]
            say_ready()
            report({"bytes": (resident() - before) / count})
            return
        tuns += [await opened(number) for number in range(1, count)]
        say_ready()
        await asyncio.gather(*map(consume, tuns))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("namespace", metavar="NAMESPACE")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    given = parser.parse_args()
    run(given.loop, main(given.namespace, given.count, given.memory))
