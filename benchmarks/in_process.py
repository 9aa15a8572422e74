"""
How fast are the in-process drivers, and how small?

Everything in one process, pinned to one CPU, by its CPU time: nothing here waits for anything. The variants alternate;
a ratio is taken within each round. Needs no privilege.

* Packets a second from ``interface.output(batch)`` to ``recv_many()``, with each discipline, and to ``async for``,
  beside asyncio.Queue with put() and get() in one task, in two tasks, and handed over one by one.
* Bytes for an interface among ten thousand, idle and after traffic, and what opening the last costs over the first.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable

import uvloop

import aiotun
from aiotun import queueing, speedups
from aiotun.packet import IPv4, Protocol

BATCH = 64
INTERFACES = 10_000

Coroutine = Callable[[int, bytes], Awaitable[int]]


def packet_of(size: int) -> bytes:
    return IPv4("10.0.0.9", "10.0.0.1", Protocol.UDP, bytes(size - 20)).build()


def recv_many(discipline: Callable[[], queueing.Discipline]) -> Coroutine:
    async def run(count: int, packet: bytes) -> int:
        async with aiotun.SoftHost() as host, host.open_tun(queue=discipline()) as tun:
            output, batch, taken = host.interface(tun.name).output, [packet] * BATCH, 0
            while taken < count:
                output(batch)
                taken += len(await tun.recv_many(BATCH))
            return taken

    return run


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


def queue_in_two_tasks(size: int) -> Coroutine:
    async def run(count: int, packet: bytes) -> int:
        queue: asyncio.Queue[bytes] = asyncio.Queue(size)

        async def produce() -> None:
            for _ in range(count):
                await queue.put(packet)

        producer = asyncio.create_task(produce())
        for _ in range(count):
            await queue.get()
        await producer
        return count

    return run


DISCIPLINES: dict[str, Callable[[], queueing.Discipline]] = {
    "Fifo": lambda: queueing.Fifo(1000),
    "Priority": lambda: queueing.Priority([queueing.Fifo(1000), queueing.Fifo(1000)], lambda packet: packet[1] == 0),
    "TokenBucket": lambda: queueing.TokenBucket(10**12, 10**9, queueing.Fifo(1000)),
    "FairQueue": lambda: queueing.FairQueue(1000),
    "CoDel": lambda: queueing.CoDel(1000),
    "FQCoDel": lambda: queueing.FQCoDel(1000),
}
VARIANTS: dict[str, Coroutine] = {
    "async for": async_for,
    "Queue, put and get in one task": queue_in_one_task,
    f"Queue({BATCH}), two tasks": queue_in_two_tasks(BATCH),
    "Queue(1), handed over one by one": queue_in_two_tasks(1),
} | {f"recv_many, {name}": recv_many(make) for name, make in DISCIPLINES.items()}


def rate(run: Callable[..., int], variant: Coroutine, count: int, packet: bytes) -> float:
    """Return packets per second of CPU time."""
    start = time.process_time()
    taken = run(variant(count, packet))
    return taken / (time.process_time() - start)


def speed(rounds: int, count: int, size: int) -> None:
    for loop, run in (("uvloop", uvloop.run), ("asyncio", asyncio.run)):
        rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for number in range(rounds):
            order = list(VARIANTS) if number % 2 == 0 else list(reversed(VARIANTS))
            for name in order:
                rates[name].append(rate(run, VARIANTS[name], count, packet_of(size)))
        print(f"\n{loop}, packets of {size} bytes, batches of {BATCH}, {rounds} rounds; ratio: to async for's")
        for name, found in rates.items():
            ratio = statistics.median(a / b for a, b in zip(rates["async for"], found, strict=True))
            print(
                f"  {name:<34} {statistics.median(found) / 1e6:6.2f} M packets/s   async for is {ratio:5.2f} times it"
            )


async def size_of_interfaces(kind: str, traffic: bool) -> None:
    """Open ten thousand; tell bytes each, and CPU time of the first and of the last thousand."""
    packet = packet_of(64) if kind == "tun" else bytes(12) + b"\x08\x00" + packet_of(64)
    async with aiotun.SoftHost() as host:
        opening = host.open_tun if kind == "tun" else host.open_tap
        async with opening():  # what is imported and made once is not an interface's
            pass
        endpoints, laps = [], []
        gc.collect()
        tracemalloc.start()
        for _ in range(INTERFACES // 1000):
            for _ in range(1000):
                endpoint = await opening()
                if traffic:
                    host.interface(endpoint.name).output([packet])
                    await endpoint.send(await endpoint.recv())
                endpoints.append(endpoint)
        gc.collect()
        each = tracemalloc.get_traced_memory()[0] / INTERFACES
        tracemalloc.stop()
    async with aiotun.SoftHost() as host:
        opening = host.open_tun if kind == "tun" else host.open_tap
        gc.disable()  # a collection in one lap and not in the other would be the difference
        for _ in range(INTERFACES // 1000):
            start = time.process_time()
            for _ in range(1000):
                endpoints.append(await opening())
            laps.append(time.process_time() - start)
        gc.enable()
    state = "after traffic" if traffic else "idle"
    print(f"  {kind}, {state:<13} {each:6.0f} bytes each", end="")
    print(f"; opening: {laps[0] * 1e3:.0f} us the first thousand, {laps[-1] * 1e3:.0f} us the last, each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default 7)")
    parser.add_argument("--count", type=int, default=200_000, help="packets of a variant in a round (default 200000)")
    parser.add_argument("--size", type=int, default=64, help="bytes of a packet (default 64)")
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"C twin: {speedups.reason}" if speedups.active else f"Python alone: {speedups.reason}")
    speed(given.rounds, given.count, given.size)
    print(f"\n{INTERFACES} interfaces, endpoint, driver and queue, by tracemalloc")
    for kind in ("tun", "tap"):
        for traffic in (False, True):
            asyncio.run(size_of_interfaces(kind, traffic))


if __name__ == "__main__":
    main()
