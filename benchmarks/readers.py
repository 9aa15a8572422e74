"""
Read a tun for some seconds in one of several ways, and print what it cost.

The measured child of iterate.py and fairness.py::

    readers.py NAMESPACE/NAME --variant async_for --loop uvloop

``naive`` and ``queue`` use no aiotun: they stand for what projects write by hand today.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from child import READ_SIZE, Consumer, Tally, attach, consume_for, report, run, say_ready, split

if TYPE_CHECKING:
    from aiotun import Tun


async def async_for(tun: Tun, tally: Tally) -> None:
    """``async for packet in tun``."""
    packets = size = 0
    try:
        async for packet in tun:
            packets += 1
            size += len(packet)
    finally:
        tally.packets, tally.bytes = packets, size


async def batches(tun: Tun, tally: Tally) -> None:
    """``async for batch in tun.batches()``."""
    packets = size = 0
    try:
        async for batch in tun.batches():
            packets += len(batch)
            size += sum(map(len, batch))
    finally:
        tally.packets, tally.bytes = packets, size


async def recv(tun: Tun, tally: Tally) -> None:
    """``await tun.recv()`` again and again."""
    packets = size = 0
    try:
        while True:
            size += len(await tun.recv())
            packets += 1
    finally:
        tally.packets, tally.bytes = packets, size


async def naive(fd: int, tally: Tally) -> None:
    """One read a callback, as aiortc and many others do."""
    loop = asyncio.get_running_loop()

    def on_readable() -> None:
        try:
            packet = os.read(fd, READ_SIZE)
        except BlockingIOError:
            return
        tally.packets += 1
        tally.bytes += len(packet)

    loop.add_reader(fd, on_readable)
    try:
        await loop.create_future()
    finally:
        loop.remove_reader(fd)


async def queue(fd: int, tally: Tally) -> None:
    """The callback drains into an asyncio.Queue; the consumer awaits get()."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    packets = size = 0

    def on_readable() -> None:
        try:
            for _ in range(64):
                arrived.put_nowait(os.read(fd, READ_SIZE))
        except BlockingIOError:
            pass

    loop.add_reader(fd, on_readable)
    try:
        while True:
            size += len(await arrived.get())
            packets += 1
    finally:
        loop.remove_reader(fd)
        tally.packets, tally.bytes = packets, size


WITH_AIOTUN = {"async_for": async_for, "batches": batches, "recv": recv}
BY_HAND = {"naive": naive, "queue": queue}


@asynccontextmanager
async def opened(where: str, variant: str) -> AsyncIterator[Consumer]:
    """Open the tun the way *variant* needs it, and yield what consumes it."""
    if variant in BY_HAND:
        fd = attach(where)
        yield lambda tally: BY_HAND[variant](fd, tally)
        os.close(fd)
    else:
        import aiotun

        namespace, name = split(where)
        async with aiotun.open_tun(name, netns=namespace) as tun:
            yield lambda tally: WITH_AIOTUN[variant](tun, tally)


@contextmanager
def ticking(milliseconds: float) -> Iterator[list[float]]:
    """Run a timer of that period while inside; the list gets each tick's lateness in seconds."""
    loop = asyncio.get_running_loop()
    period = milliseconds / 1000
    late: list[float] = []
    due = time.perf_counter() + period

    def tick() -> None:
        nonlocal due
        if stopped:
            return
        now = time.perf_counter()
        late.append(now - due)
        due = now + period
        loop.call_later(period, tick)

    stopped = False
    loop.call_later(period, tick)
    try:
        yield late
    finally:
        stopped = True


def lateness(late: list[float]) -> dict[str, float]:
    """Return the quantiles of *late*, in milliseconds."""
    ordered = sorted(late)
    figures = {"ticks": float(len(ordered)), "late_max": 1000 * ordered[-1]}
    for percent in (50, 99):
        figures[f"late_p{percent}"] = 1000 * ordered[percent * len(ordered) // 100]
    return figures


async def main(where: str, variant: str, warm_up: float, seconds: float, timer: float) -> None:
    async with opened(where, variant) as consumer:
        say_ready()
        await consume_for(consumer, warm_up)
        if timer:
            with ticking(timer) as late:
                figures = await consume_for(consumer, seconds)
            figures |= lateness(late)
        else:
            figures = await consume_for(consumer, seconds)
    report(figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", metavar="NAMESPACE/NAME")
    parser.add_argument("--variant", choices=[*WITH_AIOTUN, *BY_HAND], default="async_for")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds not counted (default 0.5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds counted (default 2)")
    parser.add_argument("--timer", type=float, default=0.0, metavar="MS", help="also run a timer of this period")
    given = parser.parse_args()
    run(given.loop, main(given.where, given.variant, given.warm_up, given.seconds, given.timer))
