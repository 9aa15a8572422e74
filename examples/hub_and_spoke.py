"""
A VPN of a hub and its spokes, all in this process: every spoke pings another one through the hub.

::

    python examples/hub_and_spoke.py --spokes 1000

Each spoke is a network stack of its own, with a tun whose packets go to the hub over a line that has delay and loss.
The hub routes them by their destination. The clock is virtual: a minute between two rounds of pings takes no time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import sys
import time
from ipaddress import ip_address

import aiotun
from aiotun.testing import Lab, LabHost

FIRST = int(ip_address("10.8.0.1"))
"""The hub's address in the VPN; those of the spokes follow."""


def address(number: int) -> str:
    """Return the address of a spoke, or of the hub, which is number 0."""
    return str(ip_address(FIRST + number))


class Network:
    """The hub, its spokes, and the lines between them."""

    def __init__(self, lab: Lab, spokes: int, delay: float, loss: float) -> None:
        self.hub = lab.host("hub")
        self.spokes = [lab.host(f"spoke {number}") for number in range(1, spokes + 1)]
        self._lines = [lab.channel(spoke, self.hub, delay=delay, loss=loss) for spoke in self.spokes]

    async def start(self, running: contextlib.AsyncExitStack) -> aiotun.Router:
        """Bring the VPN up, until *running* is closed; return what routes in the hub."""
        tun = await self.hub.open_tun("vpn0", address=f"{address(0)}/16")
        router = aiotun.Router(tun, routes=f"{address(0)}/32")
        for number, (spoke, line) in enumerate(zip(self.spokes, self._lines, strict=True), 1):
            near, far = line
            router.add(far, f"{address(number)}/32", name=spoke.name)
            vpn = await spoke.open_tun("vpn0", address=f"{address(number)}/16")
            await running.enter_async_context(aiotun.pump(vpn, near))
        return await running.enter_async_context(router)


async def ping(spoke: LabHost, target: str, tries: int = 50) -> float:
    """Ping until an answer comes, a second apart; return the round trip time."""
    for _ in range(tries - 1):
        with contextlib.suppress(TimeoutError):
            return await spoke.ping(target)
    return await spoke.ping(target)


async def everybody(network: Network, minutes: int) -> list[float]:
    """Let every spoke ping the next one, all together, once a minute; return the round trip times."""
    count = len(network.spokes)
    trips: list[float] = []
    for _ in range(minutes):
        pings = [ping(spoke, address(number % count + 1)) for number, spoke in enumerate(network.spokes, 1)]
        trips += await asyncio.gather(*pings)
        await asyncio.sleep(60)
    return trips


def main(options: argparse.Namespace) -> None:
    begun = time.perf_counter()
    with Lab(seed=options.seed) as lab:
        network = Network(lab, options.spokes, options.delay, options.loss)

        @lab.run
        async def result() -> tuple[list[float], aiotun.Router]:
            async with contextlib.AsyncExitStack() as running:
                router = await network.start(running)
                return await everybody(network, options.minutes), router

        trips, router = result
        counted = router.statistics()
        lost = sum(end.outgoing().dropped.get("lost", 0) for link in lab.links for end in link.ends)
        print(f"{len(trips)} pings between {options.spokes} spokes were answered, in {lab.time:.0f} virtual seconds")
        print(f"round trip: {min(trips) * 1000:.1f} to {max(trips) * 1000:.1f} ms; {lost} packets were lost on the way")
        print(f"the hub forwarded {sum(peer.forwarded for peer in counted.peers)} packets")
    seconds = time.perf_counter() - begun
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"it took {seconds:.1f} s and {memory:.0f} MiB", file=sys.stderr)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A VPN of a hub and its spokes, in one process.")
    parser.add_argument("--spokes", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--minutes", type=int, default=1, help="how many rounds of pings (default: 1)")
    parser.add_argument("--delay", type=float, default=0.01, help="of each line, in seconds (default: 0.01)")
    parser.add_argument("--loss", type=float, default=0.01, help="of each line, a share (default: 0.01)")
    parser.add_argument("--seed", type=int, default=0, help="what all chance comes from (default: 0)")
    options = parser.parse_args()
    if not 2 <= options.spokes <= 65533:
        parser.error(f"--spokes is 2 to 65533, the addresses of a /16, not {options.spokes}")
    return options


if __name__ == "__main__":
    main(arguments())
