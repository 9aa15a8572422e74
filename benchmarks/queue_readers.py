"""
Read one or more queues of a multi-queue tun for some seconds, and print what came.

The measured child of queues.py::

    queue_readers.py NAMESPACE/NAME --queues 2 --threads --work hash
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Callable
from itertools import pairwise

from child import Tally, consume_for, report, run, say_ready, split

import aiotun

Numbers = dict[bytes, list[int]]
"""The datagrams' numbers, in the order they came, by source port."""


async def count(tun: aiotun.Tun, tally: Tally) -> None:
    """Take packets and do nothing with them."""
    packets = 0
    try:
        async for batch in tun.batches():
            packets += len(batch)
    finally:
        tally.packets += packets


async def hash(tun: aiotun.Tun, tally: Tally, times: int = 1) -> None:
    """Take packets and hash each: something that costs as much as a cipher."""
    packets, blake = 0, hashlib.blake2b
    try:
        async for batch in tun.batches():
            for packet in batch:
                for _ in range(times):
                    blake(packet).digest()
            packets += len(batch)
    finally:
        tally.packets += packets


async def toil(tun: aiotun.Tun, tally: Tally) -> None:
    """Take packets and do with each what a protocol in Python costs."""
    await hash(tun, tally, 8)


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


async def in_one_loop(queues: aiotun.Queues[aiotun.Tun], work: str, seconds: float) -> dict[str, float]:
    """Consume every queue in this loop."""

    async def consumer(tally: Tally) -> None:
        await asyncio.gather(*(WORK[work](tun, tally) for tun in queues))

    return await consume_for(consumer, seconds)


async def in_threads(
    queues: aiotun.Queues[aiotun.Tun], work: str, seconds: float, loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> dict[str, float]:
    """Consume each queue in the loop of a thread."""
    figures: list[dict[str, float]] = []

    def consume(tun: aiotun.Tun) -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            figures.append(runner.run(consume_for(lambda tally: WORK[work](tun, tally), seconds)))

    threads = [threading.Thread(target=consume, args=[tun]) for tun in queues]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    # The time of the process is in each thread's figures; the packets are not.
    return figures[0] | {"packets": sum(one["packets"] for one in figures)}


async def main(given: argparse.Namespace) -> None:
    namespace, name = split(given.where)
    async with aiotun.open_tun(name, netns=namespace, queues=given.queues) as queues:
        say_ready()
        if given.order:
            report(order(await collect(queues, given.seconds)))
        else:
            for seconds in (given.warm_up, given.seconds):
                if given.threads:
                    import uvloop

                    figures = await in_threads(queues, given.work, seconds, uvloop.new_event_loop)
                else:
                    figures = await in_one_loop(queues, given.work, seconds)
            report(figures)
        await asyncio.Event().wait()  # to be killed: a queue that is closed gives its flows to the other process


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", metavar="NAMESPACE/NAME")
    parser.add_argument("--queues", type=int, default=1)
    parser.add_argument("--threads", action="store_true", help="a loop in a thread for each queue")
    parser.add_argument("--work", choices=WORK, default="count")
    parser.add_argument("--order", action="store_true", help="look at the order of each flow instead of the pace")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds not counted (default 0.5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds counted (default 2)")
    run("uvloop", main(parser.parse_args()))
