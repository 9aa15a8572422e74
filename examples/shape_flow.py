"""
Shape one flow, so that it no longer keeps the others waiting.

::

    python examples/shape_flow.py --seconds 5

A bulk transfer and a ping share a link of 8 Mbit/s, an in-process tun whose send queue is a token bucket. The transfer
keeps 200 packets on the way, as TCP with a large window does. Without shaping they wait in front of every ping. With
it, the transfer is a class of its own: it gets 4 Mbit/s, and only while nothing else waits.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics

import aiotun
from aiotun.packet import UDP, IPv4, Protocol, echo_reply, flow
from aiotun.queueing import Discipline, Fifo, Priority, TokenBucket

LINK, SHAPED = 8_000_000, 4_000_000
"""Bits a second: of the link, and of the bulk transfer's share of it."""
BURST = 3000
"""Bytes that may leave at once: two large packets."""
WINDOW = 200
BULK_PORT = 9
HERE, THERE = "10.9.0.1", "10.9.0.2"
BULK = IPv4(HERE, THERE, Protocol.UDP, UDP(4000, BULK_PORT, bytes(972)).build(HERE, THERE)).build()


def of_bulk(packet: bytes) -> int:
    """Return the class of a packet: 1 for the bulk transfer, 0 for everything else."""
    known = flow(packet)
    return int(known is not None and known.dst_port == BULK_PORT)


QUEUES: dict[str, Discipline] = {
    "without": TokenBucket(LINK, BURST, Fifo(1000)),
    "with": TokenBucket(LINK, BURST, Priority([Fifo(100), TokenBucket(SHAPED, BURST, Fifo(1000))], of_bulk)),
}


class Meter:
    """What came through in the second that runs now."""

    def __init__(self) -> None:
        self.bulk_bytes = 0
        self.delays: list[float] = []


async def far_end(tun: aiotun.Tun, meter: Meter) -> None:
    """Be the other end of the link: count the bulk transfer, answer pings."""
    async for batch in tun.batches():
        meter.bulk_bytes += sum(len(packet) for packet in batch if of_bulk(packet))
        await tun.send_many([reply for packet in batch if (reply := echo_reply(packet))])


async def transfer(host: aiotun.SoftHost, name: str) -> None:
    """Keep the window full."""
    while True:
        host.send_many([BULK] * (WINDOW - len(host.interface(name).snd)))
        await asyncio.sleep(0.005)


async def ping(host: aiotun.SoftHost, meter: Meter) -> None:
    while True:
        meter.delays.append(await host.ping(THERE, timeout=10))
        await asyncio.sleep(0.02)


async def run(label: str, queue: Discipline, seconds: int) -> None:
    """Load the link for some seconds and print what came through in each."""
    meter, loop = Meter(), asyncio.get_running_loop()
    async with aiotun.SoftHost() as host, host.open_tun("tun0", address=f"{HERE}/24", queue=queue) as tun:
        async with asyncio.TaskGroup() as tasks:
            parts = (far_end(tun, meter), transfer(host, tun.name), ping(host, meter))
            running = [tasks.create_task(part) for part in parts]
            for second in range(1, seconds + 1):
                began, before, meter.delays = loop.time(), meter.bulk_bytes, []
                await asyncio.sleep(1)
                rate = (meter.bulk_bytes - before) * 8 / (loop.time() - began) / 1e6
                delay = statistics.median(meter.delays) * 1e3
                print(f"{label:8}second {second}: bulk {rate:5.2f} Mbit/s, ping {delay:7.2f} ms", flush=True)
            for task in running:
                task.cancel()


async def main(seconds: int) -> None:
    for label, queue in QUEUES.items():
        await run(label, queue, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Shape one flow, so that it no longer keeps the others waiting.")
    parser.add_argument("--seconds", type=int, default=3, help="how long to run without, and then with (default: 3)")
    asyncio.run(main(parser.parse_args().seconds))
