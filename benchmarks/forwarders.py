"""
Forward between two tuns in one of several ways, and print what it cost: the measured child of forward.py.

    forwarders.py NAMESPACE/NAME NAMESPACE/NAME --variant aiotun --loop uvloop

Counts for some seconds after a warm-up, prints, and goes on forwarding until killed. ``naive`` and ``queue`` use no
aiotun: they stand for what projects write by hand today.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from child import READ_SIZE, Consumer, Tally, attach, consume_for, report, run, say_ready, split

if TYPE_CHECKING:
    from aiotun import Tun


async def aiotun_batches(one: Tun, two: Tun, tally: Tally) -> None:
    """A task for each direction: batches() to send_many()."""

    async def move(source: Tun, target: Tun) -> None:
        async for batch in source.batches():
            await target.send_many(batch)
            tally.packets += len(batch)

    await asyncio.gather(move(one, two), move(two, one))


async def naive(one: int, two: int, tally: Tally) -> None:
    """One read and one write a callback."""
    loop = asyncio.get_running_loop()

    def move(source: int, target: int) -> None:
        try:
            os.write(target, os.read(source, READ_SIZE))
        except BlockingIOError:
            return
        tally.packets += 1

    loop.add_reader(one, move, one, two)
    loop.add_reader(two, move, two, one)
    try:
        await loop.create_future()
    finally:
        loop.remove_reader(one)
        loop.remove_reader(two)


async def queue(one: int, two: int, tally: Tally) -> None:
    """The callback drains into an asyncio.Queue; a task for each direction awaits get() and writes."""
    loop = asyncio.get_running_loop()

    async def move(source: int, target: int) -> None:
        arrived: asyncio.Queue[bytes] = asyncio.Queue()

        def on_readable() -> None:
            try:
                for _ in range(64):
                    arrived.put_nowait(os.read(source, READ_SIZE))
            except BlockingIOError:
                pass

        loop.add_reader(source, on_readable)
        try:
            while True:
                os.write(target, await arrived.get())
                tally.packets += 1
        finally:
            loop.remove_reader(source)

    await asyncio.gather(move(one, two), move(two, one))


BY_HAND = {"naive": naive, "queue": queue}


@asynccontextmanager
async def opened(one: str, two: str, variant: str) -> AsyncIterator[Consumer]:
    """Open both tuns the way *variant* needs them, and yield what forwards between them."""
    if variant in BY_HAND:
        fds = attach(one), attach(two)
        yield lambda tally: BY_HAND[variant](*fds, tally)
        return
    import aiotun

    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(aiotun.open_tun(name, netns=namespace))
            for namespace, name in map(split, (one, two))
        ]
        yield lambda tally: aiotun_batches(first, second, tally)


async def main(one: str, two: str, variant: str, warm_up: float, seconds: float) -> None:
    async with opened(one, two, variant) as consumer:
        say_ready()
        await consume_for(consumer, warm_up)
        report(await consume_for(consumer, seconds))
        await consumer(Tally())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one", metavar="NAMESPACE/NAME")
    parser.add_argument("two", metavar="NAMESPACE/NAME")
    parser.add_argument("--variant", choices=["aiotun", *BY_HAND], default="aiotun")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds not counted (default 1)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds counted (default 3)")
    given = parser.parse_args()
    run(given.loop, main(given.one, given.two, given.variant, given.warm_up, given.seconds))
