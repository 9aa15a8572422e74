"""What the measured Python programs share: attaching to a tun without aiotun, the interval, and the JSON line."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import resource
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000

READ_SIZE = 65536
"""Bytes offered to each read, as in the C references."""


class Tally:
    """What a consumer saw. It writes the figures when it is cancelled, so that its loop counts in locals."""

    packets = 0
    bytes = 0


Consumer = Callable[[Tally], Awaitable[None]]


def split(where: str) -> tuple[str, str]:
    """Return namespace and name of ``NAMESPACE/NAME``."""
    namespace, _, name = where.partition("/")
    return namespace, name


def attach(where: str) -> int:
    """Attach to the tun ``NAMESPACE/NAME`` with plain system calls: non-blocking, whole packets, no offload."""
    namespace, name = split(where)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(os.open(f"/run/netns/{namespace}", os.O_RDONLY))
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        fcntl.ioctl(fd, TUNSETOFFLOAD, 0)
    finally:
        _enter(home)
    return fd


def _enter(namespace: int) -> None:
    """Go into the network namespace *namespace*, and close the descriptor. (os.setns() is Python 3.12.)"""
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(namespace)


async def consume_for(consumer: Consumer, seconds: float) -> dict[str, float]:
    """Run *consumer* for *seconds*, cancel it, and return its figures with what they cost this process."""
    tally = Tally()
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    task = asyncio.ensure_future(consumer(tally))
    await asyncio.wait([task], timeout=seconds)
    if task.done():
        task.result()
        raise RuntimeError("the consumer ended by itself")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    after, end = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    return {
        "packets": tally.packets,
        "bytes": tally.bytes,
        "seconds": end - start,
        "user": after.ru_utime - before.ru_utime,
        "sys": after.ru_stime - before.ru_stime,
    }


def say_ready() -> None:
    """Tell the rig that traffic may begin."""
    print("ready", flush=True)


def report(figures: dict[str, float]) -> None:
    print(json.dumps(figures), flush=True)


def run(loop: str, main: Coroutine[None, None, None]) -> None:
    """Run *main* on asyncio's own loop or on uvloop."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)
