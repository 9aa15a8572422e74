"""
Pass packets through the in-process driver, or through asyncio.Queue, and print how many a second of CPU time.

    python -m programs.in_process --variant async_for --count 200000

From ``interface.output(batch)`` to the reader, in one process; nothing here waits for anything, so that its CPU time is
the measure. ``--memory`` tells the bytes of an interface among ten thousand instead, and what opening one takes.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import aiotun
from aiotun import queueing
from aiotun.packet import IPv4, Protocol
from programs.child import arguments, report, run

BATCH = 64
SIZE = 64
LAP = 1000

Pass = Callable[[int, bytes], Awaitable[int]]
"""Passes a number of packets, and returns how many it was."""


def recv_many(discipline: Callable[[], queueing.Discipline]) -> Pass:
    """``recv_many()`` behind a queue of that discipline."""

    async def passing(count: int, packet: bytes) -> int:
        async with aiotun.SoftHost() as host, host.open_tun(queue=discipline()) as tun:
            output, batch, taken = host.interface(tun.name).output, [packet] * BATCH, 0
            while taken < count:
                output(batch)
                taken += len(await tun.recv_many(BATCH))
            return taken

    return passing


async def async_for(count: int, packet: bytes) -> int:
    """One task outputs a batch a turn, the other iterates."""
    async with aiotun.SoftHost() as host, host.open_tun() as tun:
        interface, batch = host.interface(tun.name), [packet] * BATCH

        async def produce() -> None:
            output = interface.output
            for _ in range(count // BATCH):
                output(batch)
                await asyncio.sleep(0)
            while tun.statistics().held_packets or interface.snd:
                await asyncio.sleep(0)
            await tun.aclose()

        producer = asyncio.create_task(produce())
        async for _ in tun:
            pass
        await producer
        return interface.counts.opackets


async def queue_in_one_task(count: int, packet: bytes) -> int:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    for _ in range(count):
        await queue.put(packet)
        await queue.get()
    return count


def queue_in_two_tasks(size: int) -> Pass:
    async def passing(count: int, packet: bytes) -> int:
        queue: asyncio.Queue[bytes] = asyncio.Queue(size)

        async def produce() -> None:
            for _ in range(count):
                await queue.put(packet)

        producer = asyncio.create_task(produce())
        for _ in range(count):
            await queue.get()
        await producer
        return count

    return passing


DISCIPLINES: dict[str, Callable[[], queueing.Discipline]] = {
    "Fifo": lambda: queueing.Fifo(1000),
    "Priority": lambda: queueing.Priority([queueing.Fifo(1000), queueing.Fifo(1000)], lambda packet: packet[1] == 0),
    "TokenBucket": lambda: queueing.TokenBucket(10**12, 10**9, queueing.Fifo(1000)),
    "FairQueue": lambda: queueing.FairQueue(1000),
    "CoDel": lambda: queueing.CoDel(1000),
    "FQCoDel": lambda: queueing.FQCoDel(1000),
}
VARIANTS: dict[str, Pass] = {
    "async_for": async_for,
    "one_task": queue_in_one_task,
    "two_tasks": queue_in_two_tasks(BATCH),
    "one_by_one": queue_in_two_tasks(1),
} | {name: recv_many(make) for name, make in DISCIPLINES.items()}
KINDS: dict[str, Callable[..., Any]] = {"tun": aiotun.SoftHost.open_tun, "tap": aiotun.SoftHost.open_tap}


async def pace(variant: str, count: int) -> None:
    """Report packets per second of CPU time."""
    packet = IPv4("10.0.0.9", "10.0.0.1", Protocol.UDP, bytes(SIZE - 20)).build()
    await VARIANTS[variant](min(count, BATCH), packet)
    start = time.process_time()
    taken = await VARIANTS[variant](count, packet)
    report({"packets_per_second": taken / (time.process_time() - start)})


async def memory(kind: str, count: int) -> None:
    """Report bytes of an interface, idle and after a packet each way, and the seconds that opening one takes."""
    packet = IPv4("10.0.0.9", "10.0.0.1", Protocol.UDP, bytes(SIZE - 20)).build()
    frame = packet if kind == "tun" else bytes(12) + b"\x08\x00" + packet
    figures = {}
    async with aiotun.SoftHost() as host:
        async with KINDS[kind](host):  # what is imported and made once is not an interface's
            pass
        gc.collect()
        tracemalloc.start()
        endpoints = [await KINDS[kind](host) for _ in range(count)]
        gc.collect()
        figures["idle"] = tracemalloc.get_traced_memory()[0] / count
        for endpoint in endpoints:
            host.interface(endpoint.name).output([frame])
            await endpoint.send(await endpoint.recv())
        gc.collect()
        figures["after_traffic"] = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
    async with aiotun.SoftHost() as host:
        gc.disable()  # a collection in one lap and not in the other would be the difference
        laps = []
        for _ in range(max(2, count // LAP)):
            start = time.process_time()
            endpoints += [await KINDS[kind](host) for _ in range(LAP)]
            laps.append((time.process_time() - start) / LAP)
        gc.enable()
    report(figures | {"open_first": laps[0], "open_last": laps[-1]})


if __name__ == "__main__":
    parser = arguments(__doc__, [*VARIANTS, *KINDS])
    parser.add_argument("--count", type=int, default=200_000, help="packets, or interfaces (default 200000)")
    given = parser.parse_args()
    run(given.loop, (memory if given.variant in KINDS else pace)(given.variant, given.count))
