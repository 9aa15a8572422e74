"""
Read one or more queues of a multi-queue tun, until killed.

    python -m programs.queue_readers NAMESPACE/NAME --queues 2 --threads --work hash

With ``--order`` it looks at the order of each flow for some seconds instead, and prints what it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import threading
from itertools import pairwise

import aiotun
from programs.child import report, run, say_ready, split

Numbers = dict[bytes, list[int]]
"""The datagrams' numbers, in the order they came, by source port."""


async def count(tun: aiotun.Tun) -> None:
    """Take packets and do nothing with them."""
    async for _ in tun.batches():
        pass


async def hash(tun: aiotun.Tun, times: int = 1) -> None:
    """Take packets and hash each: something that costs as much as a cipher."""
    blake = hashlib.blake2b
    async for batch in tun.batches():
        for packet in batch:
            for _ in range(times):
                blake(packet).digest()


async def toil(tun: aiotun.Tun) -> None:
    """Take packets and do with each what a protocol in Python costs."""
    await hash(tun, 8)


WORK = {"count": count, "hash": hash, "toil": toil}


async def collect(queues: aiotun.Queues[aiotun.Tun], seconds: float) -> list[Numbers]:
    """Take packets for *seconds*, and return what each queue gave."""

    async def from_one(tun: aiotun.Tun, seen: Numbers) -> None:
        async for packet in tun:
            seen.setdefault(packet[20:22], []).append(int.from_bytes(packet[28:36], "little"))

    found: list[Numbers] = [{} for _ in queues]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*map(from_one, queues, found))
    return found


def order(found: list[Numbers]) -> dict[str, float]:
    """Return how many packets came, of how many flows, each counted at every queue, and how many behind a later one."""
    flows = [numbers for seen in found for numbers in seen.values()]
    return {
        "packets": sum(map(len, flows)),
        "flows": len(flows),
        "late": sum(later <= earlier for numbers in flows for earlier, later in pairwise(numbers)),
    }


async def in_threads(queues: aiotun.Queues[aiotun.Tun], work: str) -> None:
    """Consume each queue in the loop of a thread, for ever."""
    for tun in queues:
        threading.Thread(target=run, args=["uvloop", WORK[work](tun)], daemon=True).start()
    await asyncio.Event().wait()


async def main(given: argparse.Namespace) -> None:
    namespace, name = split(given.where)
    async with aiotun.open_tun(name, netns=namespace, queues=given.queues) as queues:
        say_ready()
        if given.order:
            report(order(await collect(queues, given.order)))
            await asyncio.Event().wait()  # to be killed: a queue that is closed gives its flows to the other process
        elif given.threads:
            await in_threads(queues, given.work)
        else:
            await asyncio.gather(*(WORK[given.work](tun) for tun in queues))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", metavar="NAMESPACE/NAME")
    parser.add_argument("--queues", type=int, default=1)
    parser.add_argument("--threads", action="store_true", help="a loop in a thread for each queue")
    parser.add_argument("--work", choices=WORK, default="count")
    parser.add_argument("--order", type=float, metavar="SECONDS", help="look at the order of each flow instead")
    run("uvloop", main(parser.parse_args()))
