"""
Read a tun in one of several ways, until killed.

    python -m programs.readers NAMESPACE/NAME --variant async_for --loop uvloop

With ``--timer`` it also runs a timer in the same loop, and prints how late its ticks were.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine

from programs.child import READ_SIZE, arguments, attach, plain, report, run, say_ready, split, tun_at, within
from programs.ticking import lateness, ticking

BATCH = 64


# --- with aiotun ----------------------------------------------------------------------------------


async def async_for(where: str) -> None:
    """``async for packet in tun``."""
    async with tun_at(where) as tun:
        say_ready()
        async for _ in tun:
            pass


async def batches(where: str) -> None:
    """``async for batch in tun.batches()``."""
    async with tun_at(where) as tun:
        say_ready()
        async for _ in tun.batches():
            pass


async def recv(where: str) -> None:
    """``await tun.recv()`` again and again."""
    async with tun_at(where) as tun:
        say_ready()
        while True:
            await tun.recv()


# --- by hand --------------------------------------------------------------------------------------


async def callback(where: str) -> None:
    """One read a callback."""
    fd = attach(where)

    def on_readable() -> None:
        try:
            os.read(fd, READ_SIZE)
        except BlockingIOError:
            pass

    loop = asyncio.get_running_loop()
    loop.add_reader(fd, on_readable)
    say_ready()
    await loop.create_future()


async def naive(where: str) -> None:
    """One read a callback, into an asyncio.Queue; the consumer awaits get()."""
    fd = attach(where)
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def on_readable() -> None:
        try:
            arrived.put_nowait(os.read(fd, READ_SIZE))
        except BlockingIOError:
            pass

    asyncio.get_running_loop().add_reader(fd, on_readable)
    say_ready()
    while True:
        await arrived.get()


async def queue(where: str) -> None:
    """The callback drains into an asyncio.Queue; the consumer awaits get()."""
    fd = attach(where)
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def on_readable() -> None:
        try:
            for _ in range(BATCH):
                arrived.put_nowait(os.read(fd, READ_SIZE))
        except BlockingIOError:
            pass

    asyncio.get_running_loop().add_reader(fd, on_readable)
    say_ready()
    while True:
        await arrived.get()


async def thread(where: str) -> None:
    """A blocking read in a thread for each packet."""
    fd = attach(where, blocking=True)
    loop = asyncio.get_running_loop()
    say_ready()
    while True:
        await loop.run_in_executor(None, os.read, fd, READ_SIZE)


def pytun(where: str) -> None:
    """python-pytun: read() of its blocking device."""
    from pytun import IFF_NO_PI, IFF_TUN, TunTapDevice

    namespace, name = split(where)
    with within(namespace):
        tun = TunTapDevice(name=name, flags=IFF_TUN | IFF_NO_PI)
    plain(tun.fileno())
    say_ready()
    while True:
        tun.read(READ_SIZE)


def scapy(where: str) -> None:
    """scapy: recv() of its TunTapInterface, which parses what it reads."""
    from scapy.layers.tuntap import TunTapInterface

    namespace, name = split(where)
    with within(namespace):
        tun = TunTapInterface(name, mode_tun=True)  # type: ignore[no-untyped-call]
    plain(tun.fileno())
    say_ready()
    while True:
        tun.recv()


def socat(where: str) -> None:
    """socat from the tun to /dev/null: a process that has it open already becomes socat."""
    fd = attach(where)
    os.set_inheritable(fd, True)
    say_ready()
    os.execvp("socat", ["socat", "-u", "-b", str(READ_SIZE), f"FD:{fd}", "OPEN:/dev/null"])


IN_A_LOOP: dict[str, Callable[[str], Coroutine[None, None, None]]] = {
    reader.__name__: reader for reader in (async_for, batches, recv, callback, naive, queue, thread)
}
WITHOUT = {reader.__name__: reader for reader in (pytun, scapy, socat)}


async def with_timer(where: str, variant: str, milliseconds: float, seconds: float) -> None:
    """Read, and run a timer for some seconds beside it."""
    reader = asyncio.ensure_future(IN_A_LOOP[variant](where))
    await asyncio.sleep(seconds / 4)
    with ticking(milliseconds) as late:
        await asyncio.wait([reader], timeout=seconds)
    report(lateness(late))
    await reader


if __name__ == "__main__":
    parser = arguments(__doc__, [*IN_A_LOOP, *WITHOUT])
    parser.add_argument("where", metavar="NAMESPACE/NAME")
    parser.add_argument("--timer", type=float, metavar="MS", help="also run a timer of this period")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds the timer runs (default 2)")
    given = parser.parse_args()
    if given.variant in WITHOUT:
        WITHOUT[given.variant](given.where)
    elif given.timer:
        run(given.loop, with_timer(given.where, given.variant, given.timer, given.seconds))
    else:
        run(given.loop, IN_A_LOOP[given.variant](given.where))
