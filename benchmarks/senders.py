"""
Write to a tun for some seconds in one of several ways, and print what it cost.

The measured child of sending.py::

    senders.py NAMESPACE/NAME --variant send_many --loop uvloop
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from child import Consumer, Tally, attach, consume_for, report, run, say_ready, split

if TYPE_CHECKING:
    from aiotun import Tun

BATCH = 64


def packet_of(payload: int) -> bytes:
    """The packet of write_loop.c: to the tun's own address, where nobody listens."""
    from aiotun.packet import UDP, IPv4, Protocol

    datagram = UDP(9, 9, bytes(payload)).build("10.9.0.2", "10.9.0.1")
    return IPv4("10.9.0.2", "10.9.0.1", Protocol.UDP, datagram).build()


async def send_many(tun: Tun, batch: list[bytes], tally: Tally) -> None:
    """``await tun.send_many(batch)``."""
    sent = 0
    try:
        while True:
            await tun.send_many(batch)
            sent += 1
    finally:
        tally.packets, tally.bytes = sent * len(batch), sent * sum(map(len, batch))


async def send(tun: Tun, batch: list[bytes], tally: Tally) -> None:
    """``await tun.send(packet)`` again and again."""
    packet, sent = batch[0], 0
    try:
        while True:
            await tun.send(packet)
            sent += 1
    finally:
        tally.packets, tally.bytes = sent, sent * len(packet)


async def naive(fd: int, batch: list[bytes], tally: Tally) -> None:
    """os.write() of each, and a turn of the loop every batch."""
    sent = 0
    try:
        while True:
            for packet in batch:
                os.write(fd, packet)
            sent += 1
            await asyncio.sleep(0)
    finally:
        tally.packets, tally.bytes = sent * len(batch), sent * sum(map(len, batch))


WITH_AIOTUN = {"send_many": send_many, "send": send}


@asynccontextmanager
async def opened(where: str, variant: str, batch: list[bytes]) -> AsyncIterator[Consumer]:
    """Open the tun the way *variant* needs it, and yield what sends."""
    if variant == "naive":
        fd = attach(where)
        yield lambda tally: naive(fd, batch, tally)
        os.close(fd)
    else:
        import aiotun

        namespace, name = split(where)
        async with aiotun.open_tun(name, netns=namespace) as tun:
            yield lambda tally: WITH_AIOTUN[variant](tun, batch, tally)


async def main(where: str, variant: str, payload: int, warm_up: float, seconds: float) -> None:
    async with opened(where, variant, [packet_of(payload)] * BATCH) as sender:
        say_ready()
        await consume_for(sender, warm_up)
        report(await consume_for(sender, seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", metavar="NAMESPACE/NAME")
    parser.add_argument("--variant", choices=[*WITH_AIOTUN, "naive"], default="send_many")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    parser.add_argument("--payload", type=int, default=64, help="UDP bytes (default 64)")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds not counted (default 0.5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds counted (default 2)")
    given = parser.parse_args()
    run(given.loop, main(given.where, given.variant, given.payload, given.warm_up, given.seconds))
