"""
What do a pump and a router cost, and what does a peer that is slow or dead cost the others?

Stands alone; CPU time of this process throughout. Needs no privilege; the kernel's part needs user namespaces.

* pump: packets from one endpoint to the other, through ``aiotun.pump`` and through a bare loop of ``batches()`` and
  ``send_many(drop=True)``, in turns; between two tuns of a SoftHost, and between two of the kernel's. The ratio is of
  neighbouring rounds.
* peers: eight peers behind a router whose endpoints cost nothing, so that all of the time is the router's. All well,
  then one slow (it takes one packet of eight), one dead (it never has room), one closed, four dead. Packets a CPU
  second to those who are well, over the same when all are; and the most that ever waited for one peer.
* lookup: the longest prefix of 20000 random addresses, at 10 to 1000000 routes with lengths as in the Internet's
  tables; tries from PyPI beside ours, those that are installed: pytricia, py-radix, pysubnettree.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import random
import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_network
from typing import Any

import uvloop

import aiotun
from aiotun import speedups
from aiotun.endpoint import Event, Port, Readiness
from aiotun.packet import IPv4, Protocol
from aiotun.pipeline.prefixes import Prefixes
from aiotun.queueing import Fifo

PEERS = 8
FILL = 512
"""Packets that wait in a tun's queue when a round begins."""

# --- the pump -------------------------------------------------------------------------------------


async def bare(a: aiotun.Endpoint, b: aiotun.Endpoint) -> None:
    async for batch in a.batches():
        await b.send_many(batch, drop=True)


async def pumped(a: aiotun.Endpoint, b: aiotun.Endpoint) -> None:
    await aiotun.pump(a, b)


async def drained(
    way: Callable[[aiotun.Endpoint, aiotun.Endpoint], Awaitable[None]],
    a: aiotun.Tun,
    b: aiotun.Tun,
    fill: Callable[[], object],
    fills: int,
) -> float:
    """Return the CPU seconds that it takes to carry what fill() puts into a's queue, so often."""
    carrying = asyncio.ensure_future(way(a, b))
    await asyncio.sleep(0)
    spent = 0.0
    for _ in range(fills):
        goal = b.statistics().sent_packets + FILL
        fill()
        began = time.process_time()
        while b.statistics().sent_packets < goal:
            for _ in range(10):
                await asyncio.sleep(0)
        spent += time.process_time() - began
    carrying.cancel()
    with suppress(asyncio.CancelledError):
        await carrying
    return spent


async def compare(a: aiotun.Tun, b: aiotun.Tun, fill: Callable[[], object], rounds: int) -> str:
    ratios, times = [], []
    for _ in range(rounds):
        by_hand = await drained(bare, a, b, fill, 20)
        by_pump = await drained(pumped, a, b, fill, 20)
        ratios.append(by_pump / by_hand)
        times.append(by_pump / (20 * FILL))
    return (
        f"{statistics.median(times) * 1e6:.2f} us a packet, over a bare loop: "
        f"{statistics.median(ratios):.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"
    )


async def pump_on_softhost(rounds: int) -> str:
    packet = IPv4("192.0.2.1", "10.0.0.1", Protocol.UDP, bytes(80)).build()
    async with aiotun.SoftHost() as host, host.open_tun(queue=Fifo(FILL)) as a, host.open_tun() as b:
        output = host.interface(a.name).output
        return await compare(a, b, lambda: output([packet] * FILL), rounds)


async def pump_on_kernel(rounds: int) -> str:
    async with (
        aiotun.PrivateHost() as host,
        host.open_tun(address="10.1.0.1/24") as a,
        host.open_tun(address="10.2.0.1/24") as b,
    ):
        sender = await host.datagram(remote_addr=("10.1.0.2", 9))

        def fill() -> None:
            for _ in range(FILL):
                sender.send(bytes(80))

        with sender:
            return await compare(a, b, fill, rounds)


# --- the peers ------------------------------------------------------------------------------------


class CheapPort(Port):
    """A port that costs nothing: what it reads is there, what it writes is counted."""

    mtu = 1500

    def __init__(self, name: str) -> None:
        self.name = name
        self.readable = Readiness(f"receiving from {name}")
        self.writable = Readiness(f"sending to {name}", level=True)
        self.count = 0

    def read_many(self, limit: int) -> list[bytes]:
        return []

    def write_many(self, batch: Sequence[bytes]) -> int:
        self.count += len(batch)
        return len(batch)

    def fileno(self) -> int:
        return -1

    def is_up(self) -> bool:
        return True

    def refresh(self) -> None:
        pass

    def watch(self, tell: Callable[[Event], None]) -> None:
        pass

    def disarm(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def close_now(self) -> None:
        pass

    def detach(self) -> int:
        return -1


class SourcePort(CheapPort):
    """Has *left* packets of 1400 bytes, for each peer in turn."""

    def __init__(self, left: int) -> None:
        super().__init__("source")
        self.readable.set()
        self.left = left
        self.slow: list[SlowPort] = []
        body = bytes(1380)
        self.packets = [IPv4("192.0.2.1", f"10.0.0.{peer}", Protocol.UDP, body).build() for peer in range(PEERS)] * 8

    def read_many(self, limit: int) -> list[bytes]:
        if self.left <= 0:
            self.readable.clear()
            return []
        self.left -= len(self.packets)
        if not self.left % (16 * len(self.packets)):
            for port in self.slow:
                port.make_room()
        return list(self.packets)


class SlowPort(CheapPort):
    """Takes 16 packets, one of eight for it, each time the source was read 16 times."""

    room = 0

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.writable.clear()

    def write_many(self, batch: Sequence[bytes]) -> int:
        taken = min(len(batch), self.room)
        self.room -= taken
        if not self.room:
            self.writable.clear()
        return super().write_many(batch[:taken])

    def make_room(self) -> None:
        self.room = 16
        self.writable.set()


class DeadPort(CheapPort):
    """Never has room."""

    def write_many(self, batch: Sequence[bytes]) -> int:
        self.writable.clear()
        return 0


async def peers_of(kinds: Sequence[type[CheapPort]], closed: int, count: int) -> tuple[float, int, int]:
    """Return packets a CPU second to those who are well, and the packets and bytes that waited for one peer at most."""
    source, ports = SourcePort(count), [kind(f"peer{number}") for number, kind in enumerate(kinds)]
    source.slow = [port for port in ports if isinstance(port, SlowPort)]
    async with AsyncExitStack() as stack:
        router = aiotun.Router(await stack.enter_async_context(aiotun.Tun(source)))
        for number, port in enumerate(ports):
            router.add(await stack.enter_async_context(aiotun.Tun(port)), f"10.0.0.{number}")
        for peer in router.peers[:closed]:
            await peer.endpoint.aclose()
        packets = nbytes = 0
        gc.collect()
        began = time.process_time()
        async with router:
            while source.left > 0:
                for _ in range(200):
                    await asyncio.sleep(0)
                for leg in router.statistics().peers:
                    packets, nbytes = max(packets, leg.waiting), max(nbytes, leg.waiting_bytes)
            spent = time.process_time() - began
    well = [port.count for port in ports[closed:] if type(port) is CheapPort]
    if min(well) != max(well) or well[0] < count // PEERS:
        raise RuntimeError(f"a peer that is well missed packets: {well}")
    return sum(well) / len(well) / spent, packets, nbytes


async def peers(rounds: int, count: int) -> None:
    cases: dict[str, tuple[list[type[CheapPort]], int]] = {
        "one slow": ([SlowPort] + [CheapPort] * 7, 0),
        "one dead": ([DeadPort] + [CheapPort] * 7, 0),
        "one closed": ([CheapPort] * 8, 1),
        "four dead": ([DeadPort] * 4 + [CheapPort] * 4, 0),
    }
    ratios: dict[str, list[float]] = {name: [] for name in cases}
    most: dict[str, tuple[int, int]] = {}
    all_well: list[float] = []
    for _ in range(rounds):
        for name, (kinds, closed) in cases.items():
            rate, _, _ = await peers_of([CheapPort] * PEERS, 0, count)
            there, packets, nbytes = await peers_of(kinds, closed, count)
            all_well.append(rate)
            ratios[name].append(there / rate)
            most[name] = packets, nbytes
    print(f"  all well: {statistics.median(all_well) * PEERS / 1e6:.2f} million packets a CPU second")
    for name, found in ratios.items():
        packets, nbytes = most[name]
        ratio = f"{statistics.median(found):.2f} [{min(found):.2f} to {max(found):.2f}]"
        print(
            f"  {name}: {ratio} of that to each other; {packets} packets waited for one at most, {nbytes} bytes queued"
        )


# --- the lookup -----------------------------------------------------------------------------------

# How often each length stands in the Internet's tables, of a thousand, roughly.
LENGTHS = {
    4: {8: 1, 12: 1, 14: 2, 15: 2, 16: 13, 17: 8, 18: 13, 19: 24, 20: 44, 21: 50, 22: 110, 23: 100, 24: 580, 32: 50},
    6: {20: 1, 28: 2, 29: 20, 32: 120, 36: 30, 40: 60, 44: 90, 46: 30, 47: 30, 48: 480, 56: 20, 64: 30, 128: 24},
}


def table_of(version: int, count: int) -> tuple[list[tuple[bytes, int]], list[bytes]]:
    """Return *count* prefixes, each as address and length, and addresses that they hold."""
    chance, bits = random.Random(count), 32 if version == 4 else 128
    lengths, weights = list(LENGTHS[version]), list(LENGTHS[version].values())
    prefixes: set[tuple[int, int]] = set()
    while len(prefixes) < count:
        length = chance.choices(lengths, weights)[0]
        prefixes.add((chance.getrandbits(length) << (bits - length), length))
    some = list(prefixes)[:10_000]
    drawn = [chance.choice(some) for _ in range(20_000)]
    addresses = [(bottom | chance.getrandbits(bits - length)).to_bytes(bits // 8, "big") for bottom, length in drawn]
    return [(bottom.to_bytes(bits // 8, "big"), length) for bottom, length in prefixes], addresses


def ours(version: int, prefixes: list[tuple[bytes, int]]) -> Callable[[bytes], Any]:
    table: Prefixes[object] = Prefixes()
    for address, length in prefixes:
        table[ip_network((address, length))] = True
    return table.lookup


def pytricia(version: int, prefixes: list[tuple[bytes, int]]) -> Callable[[bytes], Any]:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    table = importlib.import_module("pytricia").PyTricia(32 if version == 4 else 128, family, True)
    for address, length in prefixes:
        table.insert(address, length, True)
    lookup: Callable[[bytes], Any] = table.get
    return lookup


def py_radix(version: int, prefixes: list[tuple[bytes, int]]) -> Callable[[bytes], Any]:
    table = importlib.import_module("radix").Radix()
    for address, length in prefixes:
        table.add(packed=address, masklen=length).data["peer"] = True
    return lambda address: table.search_best(packed=address)


def pysubnettree(version: int, prefixes: list[tuple[bytes, int]]) -> Callable[[bytes], Any]:
    table = importlib.import_module("SubnetTree").SubnetTree(True)
    for address, length in prefixes:
        table[str(ip_network((address, length)))] = True
    lookup: Callable[[bytes], Any] = table.__getitem__
    return lookup


def lookup(counts: Sequence[int]) -> None:
    for version in (4, 6):
        for count in counts:
            prefixes, addresses = table_of(version, count)
            figures = []
            for make in (ours, pytricia, py_radix, pysubnettree):
                try:
                    find = make(version, prefixes)
                except ImportError:
                    continue
                figures.append(f"{make.__name__} {min(timed(find, addresses) for _ in range(7)):.0f} ns")
            print(f"  IPv{version}, {count} routes: {', '.join(figures)}")


def timed(find: Callable[[bytes], Any], addresses: list[bytes]) -> float:
    began = time.process_time()
    for address in addresses:
        if find(address) is None:
            raise RuntimeError(f"no prefix for {address!r}")
    return (time.process_time() - began) / len(addresses) * 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description="What do a pump and a router cost, and what does a dead peer?")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--packets", type=int, default=1_024_000, help="for each measurement with peers")
    parser.add_argument("--routes", type=int, default=1_000_000, help="the largest table")
    parser.add_argument("--only", choices=("pump", "peers", "lookup"))
    options = parser.parse_args()
    print(f"uvloop; the twins in C are {'' if speedups.active else 'not '}in use ({speedups.reason})")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if options.only in (None, "pump"):
            print("pump")
            print(f"  SoftHost: {runner.run(pump_on_softhost(options.rounds))}")
            try:
                print(f"  kernel: {runner.run(pump_on_kernel(options.rounds))}")
            except OSError as error:
                print(f"  kernel: not measured, {error}")
        if options.only in (None, "peers"):
            print("peers")
            runner.run(peers(options.rounds, options.packets))
    if options.only in (None, "lookup"):
        print("lookup")
        lookup([count for count in (10, 1000, 100_000, 1_000_000) if count <= options.routes])


if __name__ == "__main__":
    main()
