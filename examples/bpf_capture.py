"""
Capture what passes a tun and a tap into pcap files, for Wireshark, tshark or tcpdump.

::

    python examples/bpf_capture.py --folder /tmp
    tshark -r /tmp/tap0.pcap

Two in-process hosts are joined by a pair of tuns and a pair of taps. One pings the other through each, while a bpf
listener on its interface writes down every packet with its time: on a tun the echo request and its reply behind
their address family, on a tap the ARP question and answer as well, as Ethernet frames.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiotun
from aiotun.capture import PcapWriter
from aiotun.driver import BpfListener, Device


async def carry(source: aiotun.Endpoint, destination: aiotun.Endpoint) -> None:
    """Be one direction of a cable."""
    async for batch in source.batches():
        await destination.send_many(batch, drop=True)


@asynccontextmanager
async def cable(one: aiotun.Endpoint, other: aiotun.Endpoint) -> AsyncIterator[None]:
    """Join two endpoints for as long as the block lasts."""
    directions = [asyncio.create_task(carry(one, other)), asyncio.create_task(carry(other, one))]
    try:
        yield
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.wait(directions)


async def write(listener: BpfListener, writer: PcapWriter) -> None:
    """Write what *listener* sees, until it is detached and all it saw is written."""
    async for captured in listener:
        writer.write(captured.packet, captured.time, captured.length)


@asynccontextmanager
async def capture(interface: Device, path: Path) -> AsyncIterator[None]:
    """Write every packet of *interface* to a file for as long as the block lasts."""
    with path.open("wb") as file, interface.bpf.attach() as listener:
        writing = asyncio.create_task(write(listener, PcapWriter(file, interface.bpf.dlt)))
        try:
            yield
        finally:
            listener.detach()
            await writing
        print(f"{path}: {listener.statistics().taken} packets")


async def main(folder: Path) -> None:
    async with (
        aiotun.SoftHost() as red,
        aiotun.SoftHost() as blue,
        red.open_tun("tun0", address="10.8.0.1/24") as red_tun,
        red.open_tap("tap0", address="10.9.0.1/24") as red_tap,
        blue.open_tun("tun0", address="10.8.0.2/24") as blue_tun,
        blue.open_tap("tap0", address="10.9.0.2/24", mac="f2:0b:a4:00:00:02") as blue_tap,
        cable(red_tun, blue_tun),
        cable(red_tap, blue_tap),
        capture(red.interface("tun0"), folder / "tun0.pcap"),
        capture(red.interface("tap0"), folder / "tap0.pcap"),
    ):
        for address in ("10.8.0.2", "10.9.0.2"):
            print(f"{address}: answered after {await red.ping(address) * 1e3:.2f} ms")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Capture what passes a tun and a tap into pcap files.")
    parser.add_argument("--folder", type=Path, default=Path(), help="where tun0.pcap and tap0.pcap go (default: here)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments().folder))
    except OSError as error:  # such as a folder that is not there
        sys.exit(str(error))
