"""
A learning Ethernet switch whose ports are taps.

::

    sudo ip netns add red && sudo ip netns add blue
    sudo python examples/tap_switch.py sw0@red=10.9.0.1/24 sw0@blue=10.9.0.2/24
    sudo ip netns exec red ping 10.9.0.2

It has no spanning tree: do not build loops with it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import aiotun

HEADER = 14
"""Bytes of an Ethernet header: destination, source, type."""
GROUP = 0x01
"""The bit of an address's first byte that makes it a group's, such as broadcast; no frame comes from one."""


class MacTable:
    """Which port a station was last heard on; the *limit* most recent ones, each for *max_age* seconds."""

    def __init__(
        self, *, limit: int = 4096, max_age: float = 300.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._max_age = max_age
        self._clock = clock
        self._heard: dict[bytes, tuple[aiotun.Endpoint, float]] = {}  # the stalest first

    def __len__(self) -> int:
        return len(self._heard)

    def learn(self, mac: bytes, port: aiotun.Endpoint) -> None:
        """Note that *mac* was heard on *port* now; a full table forgets its stalest station."""
        self._heard.pop(mac, None)
        if len(self._heard) >= self._limit:
            del self._heard[next(iter(self._heard))]
        self._heard[mac] = port, self._clock()

    def find(self, mac: bytes) -> aiotun.Endpoint | None:
        """Return the port *mac* is on, or None if it was not heard lately."""
        port, when = self._heard.get(mac, (None, 0.0))
        if port is not None and self._clock() - when > self._max_age:
            del self._heard[mac]
            return None
        return port

    def forget(self, port: aiotun.Endpoint) -> None:
        """Forget the stations on *port*."""
        self._heard = {mac: heard for mac, heard in self._heard.items() if heard[0] is not port}


class Switch:
    """Passes frames between its ports: to the port a station is on, or to all others if that is unknown."""

    def __init__(self, ports: Iterable[aiotun.Endpoint], table: MacTable | None = None) -> None:
        self.ports = list(ports)
        self.table = MacTable() if table is None else table
        self.forwarded = 0
        """Frames given to a port, counted once for each."""
        self.dropped = 0
        """Frames too short to be one, and those a port did not take: full, down or gone, or its mtu too small."""

    async def run(self) -> None:
        """Serve all ports until the last one is closed or gone."""
        async with asyncio.TaskGroup() as tasks:
            for port in self.ports:
                tasks.create_task(self._serve(port))

    async def _serve(self, port: aiotun.Endpoint) -> None:
        try:
            async for batch in port.batches():
                self.switch(batch, port)
        except aiotun.DeviceError as error:
            print(f"port lost: {error}", flush=True)
        self.ports.remove(port)
        self.table.forget(port)

    def switch(self, batch: list[bytes], ingress: aiotun.Endpoint) -> None:
        """Pass on frames that came from *ingress*, never back to it."""
        leaving: defaultdict[aiotun.Endpoint, list[bytes]] = defaultdict(list)
        for frame in batch:
            if len(frame) < HEADER:
                self.dropped += 1
                continue
            destination, source = frame[:6], frame[6:12]
            if not source[0] & GROUP:
                self.table.learn(source, ingress)
            known = self.table.find(destination)  # never for a group, which is no source
            for port in self.ports if known is None else (known,):
                if port is not ingress:
                    leaving[port].append(frame)
        for port, frames in leaving.items():
            sent = send_what_fits(port, frames)
            self.forwarded += sent
            self.dropped += len(frames) - sent


def send_what_fits(port: aiotun.Endpoint, frames: list[bytes]) -> int:
    """Send the frames that *port* takes now and return how many: one slow port must not hold up the others."""
    try:
        return port.send_many_nowait(frames)
    except aiotun.PacketTooBig:
        # With one frame too long the whole batch is refused, and nothing of it sent: try them one by one.
        return sum(send_what_fits(port, [frame]) for frame in frames) if len(frames) > 1 else 0
    except aiotun.DeviceError as error:
        return error.sent
    except (aiotun.DeviceClosed, aiotun.WouldBlock):
        return 0


def open_port(port: str, mtu: int) -> aiotun.Opening[aiotun.Tap]:
    """Open the tap that *port* describes: ``NAME[@NETNS][=ADDRESS/LENGTH]``."""
    place, _, address = port.partition("=")
    name, _, netns = place.partition("@")
    return aiotun.open_tap(name, netns=netns or None, address=address or (), mtu=mtu)


async def main(options: argparse.Namespace) -> None:
    async with contextlib.AsyncExitStack() as taps:
        switch = Switch([await taps.enter_async_context(open_port(port, options.mtu)) for port in options.port])
        switching = asyncio.create_task(switch.run())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, switching.cancel)
        print(f"switching between {', '.join(options.port)}, Ctrl-C ends", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await switching
    print(f"{switch.forwarded} frames forwarded, {switch.dropped} dropped")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A learning Ethernet switch whose ports are taps.")
    parser.add_argument("port", nargs="+", help="NAME[@NETNS][=ADDRESS/LENGTH], such as sw0@red=10.9.0.1/24")
    parser.add_argument("--mtu", type=int, default=1500, help="of every port, in bytes (default: 1500)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments()))
    except (OSError, ValueError) as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
