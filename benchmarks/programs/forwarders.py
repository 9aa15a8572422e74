"""
Forward between two tuns in one of several ways, until killed.

    python -m programs.forwarders NAMESPACE/NAME NAMESPACE/NAME --variant plain --loop uvloop

``plain``, ``whole`` and ``resegmented`` are aiotun: without offload, with super-packets in one piece, and with
super-packets cut into packets and merged again. The others stand for what is done without it; with ``--vnet`` they take
super-packets whole too, each behind its virtio_net_hdr.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from programs.child import READ_SIZE, arguments, attach, plain, run, say_ready, split, tun_at, within

if TYPE_CHECKING:
    from aiotun import Tun

BATCH = 64


# --- with aiotun ----------------------------------------------------------------------------------


async def without_offload(one: str, two: str) -> None:
    """A task for each direction: batches() to send_many()."""

    async def move(source: Tun, target: Tun) -> None:
        async for batch in source.batches():
            await target.send_many(batch, drop=True)

    async with tun_at(one) as first, tun_at(two) as second:
        say_ready()
        await asyncio.gather(move(first, second), move(second, first))


async def whole(one: str, two: str) -> None:
    """The same with super-packets in one piece."""

    async def move(source: Tun, target: Tun) -> None:
        async for batch in source.batches(superpackets=True):
            await target.send_many(batch, drop=True)

    async with tun_at(one, offload=True) as first, tun_at(two, offload=True) as second:
        say_ready()
        await asyncio.gather(move(first, second), move(second, first))


async def resegmented(one: str, two: str) -> None:
    """Each batch cut into packets with finished checksums, and merged again."""
    from aiotun.offload import coalesce, segment
    from aiotun.packet import SuperPacket

    def cut(batch: list[bytes]) -> list[bytes]:
        packets: list[bytes] = []
        for packet in batch:
            if isinstance(packet, SuperPacket):
                packets += segment(packet)
            else:
                packets.append(packet)
        return packets

    async def move(source: Tun, target: Tun) -> None:
        async for batch in source.batches(superpackets=True):
            await target.send_many(coalesce(cut(batch)), drop=True)

    async with tun_at(one, offload=True) as first, tun_at(two, offload=True) as second:
        say_ready()
        await asyncio.gather(move(first, second), move(second, first))


# --- by hand --------------------------------------------------------------------------------------


async def callback(one: int, two: int) -> None:
    """One read and one write a callback."""
    loop = asyncio.get_running_loop()

    def move(source: int, target: int) -> None:
        try:
            os.write(target, os.read(source, READ_SIZE))
        except BlockingIOError:
            pass

    loop.add_reader(one, move, one, two)
    loop.add_reader(two, move, two, one)
    say_ready()
    await loop.create_future()


async def naive(one: int, two: int) -> None:
    """One read a callback, into an asyncio.Queue; a task for each direction awaits get() and writes."""
    await _through_queues(one, two, 1)


async def queue(one: int, two: int) -> None:
    """The same, where the callback reads up to a batch."""
    await _through_queues(one, two, BATCH)


async def _through_queues(one: int, two: int, reads: int) -> None:
    loop = asyncio.get_running_loop()

    async def move(source: int, target: int) -> None:
        arrived: asyncio.Queue[bytes] = asyncio.Queue()

        def on_readable() -> None:
            try:
                for _ in range(reads):
                    arrived.put_nowait(os.read(source, READ_SIZE))
            except BlockingIOError:
                pass

        loop.add_reader(source, on_readable)
        while True:
            os.write(target, await arrived.get())

    say_ready()
    await asyncio.gather(move(one, two), move(two, one))


async def thread(one: int, two: int) -> None:
    """A blocking read in a thread for each packet, then a write."""
    loop = asyncio.get_running_loop()

    async def move(source: int, target: int) -> None:
        while True:
            os.write(target, await loop.run_in_executor(None, os.read, source, READ_SIZE))

    os.set_blocking(one, True)
    os.set_blocking(two, True)
    say_ready()
    await asyncio.gather(move(one, two), move(two, one))


def pytun(one: str, two: str) -> None:
    """python-pytun: poll, read() and write()."""
    from pytun import IFF_NO_PI, IFF_TUN, TunTapDevice

    tuns = []
    for namespace, name in map(split, (one, two)):
        with within(namespace):
            tuns.append(TunTapDevice(name=name, flags=IFF_TUN | IFF_NO_PI))
        plain(tuns[-1].fileno())
    others = {tun.fileno(): (tun, other) for tun, other in zip(tuns, tuns[::-1], strict=True)}
    poll = select.poll()
    for fd in others:
        poll.register(fd, select.POLLIN)
    say_ready()
    while True:
        for fd, _ in poll.poll():
            source, target = others[fd]
            target.write(source.read(READ_SIZE))


def scapy(one: str, two: str) -> None:
    """scapy: select, recv() and send() of its TunTapInterface."""
    from scapy.layers.tuntap import TunTapInterface

    tuns = []
    for namespace, name in map(split, (one, two)):
        with within(namespace):
            tuns.append(TunTapInterface(name, mode_tun=True))  # type: ignore[no-untyped-call]
        plain(tuns[-1].fileno())
    others = dict(zip(tuns, tuns[::-1], strict=True))
    say_ready()
    while True:
        for source in select.select(tuns, [], [])[0]:
            packet = source.recv()
            if packet is not None:
                others[source].send(packet)


def socat(one: int, two: int) -> None:
    """socat between both: a process that has them open already becomes socat."""
    for fd in (one, two):
        os.set_inheritable(fd, True)
    say_ready()
    os.execvp("socat", ["socat", "-b", str(READ_SIZE), f"FD:{one}", f"FD:{two}"])


WITH_AIOTUN: dict[str, Callable[[str, str], Awaitable[None]]] = {
    "plain": without_offload,
    "whole": whole,
    "resegmented": resegmented,
}
IN_A_LOOP: dict[str, Callable[[int, int], Awaitable[None]]] = {
    forwarder.__name__: forwarder for forwarder in (callback, naive, queue, thread)
}
BY_NAME = {"pytun": pytun, "scapy": scapy}


async def main(one: str, two: str, variant: str, vnet: bool) -> None:
    if variant in WITH_AIOTUN:
        await WITH_AIOTUN[variant](one, two)
    else:
        await IN_A_LOOP[variant](attach(one, vnet=vnet), attach(two, vnet=vnet))


if __name__ == "__main__":
    parser = arguments(__doc__, [*WITH_AIOTUN, *IN_A_LOOP, *BY_NAME, "socat"])
    parser.add_argument("one", metavar="NAMESPACE/NAME")
    parser.add_argument("two", metavar="NAMESPACE/NAME")
    parser.add_argument("--vnet", action="store_true", help="with every offload, for what is not aiotun")
    given = parser.parse_args()
    if given.variant in BY_NAME:
        BY_NAME[given.variant](given.one, given.two)
    elif given.variant == "socat":
        socat(attach(given.one, vnet=given.vnet), attach(given.two, vnet=given.vnet))
    else:
        run(given.loop, main(given.one, given.two, given.variant, given.vnet))
