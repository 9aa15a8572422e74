"""
Write one packet to a tun again and again in one of several ways, until killed.

    python -m programs.writers NAMESPACE/NAME --variant send_many --payload 64
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from itertools import repeat

from programs.child import arguments, attach, plain, run, say_ready, split, tun_at, within

BATCH = 64


def packet_of(payload: int) -> bytes:
    """The packet of c/write_loop.c: to the tun's own address, where nobody listens."""
    from aiotun.packet import UDP, IPv4, Protocol

    datagram = bytearray(UDP(9, 9, bytes(payload)).build("10.9.0.2", "10.9.0.1"))
    datagram[6:8] = bytes(2)  # no checksum, as there
    return IPv4("10.9.0.2", "10.9.0.1", Protocol.UDP, bytes(datagram)).build()


# --- with aiotun ----------------------------------------------------------------------------------


async def send_many(where: str, packet: bytes) -> None:
    """``await tun.send_many(batch)``."""
    async with tun_at(where) as tun:
        say_ready()
        batch = [packet] * BATCH
        while True:
            await tun.send_many(batch)


async def send(where: str, packet: bytes) -> None:
    """``await tun.send(packet)`` again and again."""
    async with tun_at(where) as tun:
        say_ready()
        while True:
            await tun.send(packet)


# --- by hand --------------------------------------------------------------------------------------


async def callback(where: str, packet: bytes) -> None:
    """One write a callback."""
    fd = attach(where)
    loop = asyncio.get_running_loop()
    loop.add_writer(fd, os.write, fd, packet)
    say_ready()
    await loop.create_future()


async def naive(where: str, packet: bytes) -> None:
    """A task puts into an asyncio.Queue; another one takes and writes one."""
    fd = attach(where)
    waiting: asyncio.Queue[bytes] = asyncio.Queue(1)

    async def produce() -> None:
        while True:
            await waiting.put(packet)

    say_ready()
    producer = asyncio.create_task(produce())
    while not producer.done():
        os.write(fd, await waiting.get())


async def queue(where: str, packet: bytes) -> None:
    """The same with a queue of a batch."""
    fd = attach(where)
    waiting: asyncio.Queue[bytes] = asyncio.Queue(BATCH)

    async def produce() -> None:
        while True:
            await waiting.put(packet)

    say_ready()
    producer = asyncio.create_task(produce())
    while not producer.done():
        os.write(fd, await waiting.get())


async def thread(where: str, packet: bytes) -> None:
    """A write in a thread for each packet."""
    fd = attach(where)
    loop = asyncio.get_running_loop()
    say_ready()
    while True:
        await loop.run_in_executor(None, os.write, fd, packet)


def pytun(where: str, packet: bytes) -> None:
    """python-pytun: write()."""
    from pytun import IFF_NO_PI, IFF_TUN, TunTapDevice

    namespace, name = split(where)
    with within(namespace):
        tun = TunTapDevice(name=name, flags=IFF_TUN | IFF_NO_PI)
    plain(tun.fileno())
    say_ready()
    for each in repeat(packet):
        tun.write(each)


def scapy(where: str, packet: bytes) -> None:
    """scapy: send() of a packet that was built once."""
    from scapy.layers.inet import IP
    from scapy.layers.tuntap import TunTapInterface

    namespace, name = split(where)
    with within(namespace):
        tun = TunTapInterface(name, mode_tun=True)  # type: ignore[no-untyped-call]
    plain(tun.fileno())
    say_ready()
    for each in repeat(IP(packet)):
        tun.send(each)


IN_A_LOOP: dict[str, Callable[[str, bytes], Coroutine[None, None, None]]] = {
    writer.__name__: writer for writer in (send_many, send, callback, naive, queue, thread)
}
WITHOUT = {writer.__name__: writer for writer in (pytun, scapy)}


if __name__ == "__main__":
    parser = arguments(__doc__, [*IN_A_LOOP, *WITHOUT])
    parser.add_argument("where", metavar="NAMESPACE/NAME")
    parser.add_argument("--payload", type=int, default=64, help="UDP bytes (default 64)")
    given = parser.parse_args()
    if given.variant in WITHOUT:
        WITHOUT[given.variant](given.where, packet_of(given.payload))
    else:
        run(given.loop, IN_A_LOOP[given.variant](given.where, packet_of(given.payload)))
