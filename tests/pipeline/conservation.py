"""
Every packet through a graph of a router, wires and pumps that lose, double and reorder: where is each?

::

    source -> router -> peer 1..4 -[lose, duplicate, reorder]-> wire -> pump [lose, duplicate, reorder] -> sink 1..4

Peer 3's sink takes little, so that its queue in the router overflows; peer 4's endpoint is closed half-way. Run by
hand for many packets: ``PYTHONPATH=tests python -m pipeline.conservation 10000000``.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import AsyncExitStack

import attrs
from endpoint.fakes import FakePort

import aiotun
from aiotun.endpoint import Tun
from aiotun.pipeline import Pump, Router
from aiotun.pipeline.stage import Stage
from aiotun.stages.duplicate import duplicate
from aiotun.stages.lose import lose
from aiotun.stages.reorder import reorder
from aiotun.stages.stock import Stock

from .pump_ends import udp

PEERS = 4
ROOM = 256
"""Packets on a wire, at most."""


class Source(FakePort):
    """Has *count* packets to read, one of five for nobody, the others for the peers in turn."""

    def __init__(self, count: int, halfway: asyncio.Event) -> None:
        super().__init__()
        self.name = self.next_name = "source"
        self.left = count
        self.half = count // 2
        self.halfway = halfway
        self.packets = [udp("192.0.2.1", f"10.0.0.{number}") for number in range(1, PEERS + 2)]
        self.readable.set()

    def read_many(self, limit: int) -> list[bytes]:
        taken = min(limit, self.left)
        start = self.left % len(self.packets)
        self.left -= taken
        if self.left <= self.half:
            self.halfway.set()
        if not self.left:
            self.readable.clear()
        turned = self.packets[start:] + self.packets[:start]
        return (turned * (taken // len(turned) + 1))[:taken]


class Sink(FakePort):
    """Counts what it takes; *slow* takes one packet in each call that it has room at all, every other time."""

    def __init__(self, name: str, slow: bool = False) -> None:
        super().__init__()
        self.name = self.next_name = name
        self.slow = slow
        self.full = False
        self.count = 0
        self.writable.set()

    def write_many(self, batch: Sequence[bytes]) -> int:
        self.full = not self.full and self.slow
        taken = 0 if self.full else 1 if self.slow else len(batch)
        self.count += taken
        return taken


class WirePort(FakePort):
    """One end of a wire with room for ROOM packets each way."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = self.next_name = name
        self.arrived: deque[bytes] = deque()
        self.other = self
        self.writable.set()

    def read_many(self, limit: int) -> list[bytes]:
        arrived = self.arrived
        batch = [arrived.popleft() for _ in range(min(limit, len(arrived)))]
        if not arrived:
            self.readable.clear()
        self.other.writable.set()
        return batch

    def write_many(self, batch: Sequence[bytes]) -> int:
        arrived = self.other.arrived
        taken = min(len(batch), ROOM - len(arrived))
        arrived.extend(batch[:taken])
        if arrived:
            self.other.readable.set()
        if len(arrived) >= ROOM:
            self.writable.clear()
        return taken


def wire(name: str) -> tuple[WirePort, WirePort]:
    one, other = WirePort(f"{name} near"), WirePort(f"{name} far")
    one.other, other.other = other, one
    return one, other


def bad_network(seed: int) -> list[Stage]:
    return [lose(0.25, seed=seed), duplicate(0.05, seed=seed), reorder(0.1, seed=seed)]


@attrs.frozen
class Account:
    """Where the packets of a run are."""

    sent: int
    """Packets that the source gave."""
    created: int
    """Copies that were made."""
    delivered: int
    """Packets that the sinks counted."""
    on_wires: int
    """Packets that lie on wires nobody reads any more."""
    waiting: int
    """Packets that a stage still holds."""
    dropped: Counter[str]
    """Packets that were dropped, by reason."""

    @property
    def missing(self) -> int:
        found = self.delivered + self.on_wires + self.waiting + self.dropped.total()
        return self.sent + self.created - found


async def run(count: int, seed: int) -> Account:
    """Send *count* packets through the graph until all have come to rest."""
    halfway = asyncio.Event()
    source = Source(count, halfway)
    sinks = [Sink(f"sink{number}", slow=number == 3) for number in range(1, PEERS + 1)]
    wires = [wire(f"wire{number}") for number in range(1, PEERS + 1)]
    pumps: list[Pump] = []
    async with AsyncExitStack() as stack:
        router = Router(await stack.enter_async_context(Tun(source)), packets=100)
        for number, (sink, (near, far)) in enumerate(zip(sinks, wires, strict=True), 1):
            a, b, c = [await stack.enter_async_context(Tun(port)) for port in (near, far, sink)]
            router.add(a, f"10.0.0.{number}", outbound=bad_network(seed + number))
            pumps.append(aiotun.pump(b, c, outbound=bad_network(seed - number)))
            await stack.enter_async_context(pumps[-1])
        async with router:
            await halfway.wait()
            await router.peers[-1].endpoint.aclose()
            while not at_rest(source, wires, router, pumps):
                await asyncio.sleep(0)
        total = router.statistics().total
        ways = [pump.statistics().outbound for pump in pumps]
    dropped = Counter(total.dropped) + Counter(total.refused)
    for way in ways:
        dropped += Counter(way.dropped)
    return Account(
        sent=count,
        created=total.created + sum(way.created for way in ways),
        delivered=sum(sink.count for sink in sinks),
        on_wires=sum(len(port.arrived) for pair in wires for port in pair),
        waiting=total.waiting + sum(way.waiting for way in ways),
        dropped=dropped,
    )


def at_rest(source: Source, wires: list[tuple[WirePort, WirePort]], router: Router, pumps: list[Pump]) -> bool:
    """Return whether nothing moves any more: what waits is held by a stage that waits for more packets."""
    if source.left or any(far.arrived for _, far in wires):
        return False
    held = sum(holding(peer.outbound) for peer in router.peers) + sum(holding(pump.outbound) for pump in pumps)
    waiting = router.statistics().total.waiting + sum(pump.statistics().outbound.waiting for pump in pumps)
    return waiting == held


def holding(path: aiotun.Path) -> int:
    return sum(len(stage) for stage in map(path.__getitem__, path) if isinstance(stage, Stock))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.perf_counter()
    account = asyncio.run(run(options.count, options.seed))
    print(account)
    print(f"missing: {account.missing}, after {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
