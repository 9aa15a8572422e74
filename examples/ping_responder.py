"""
Answer every ping into a network, IPv4 and IPv6.

::

    sudo python examples/ping_responder.py --address 10.9.0.1/24 --address fd00:9::1/64
    ping 10.9.0.2

The kernel answers pings to the interface's own addresses itself, so ping any other address of the network.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

import aiotun
from aiotun.packet import echo_reply


async def respond(tun: aiotun.Tun) -> None:
    """Answer echo requests, a batch at a time."""
    async for batch in tun.batches():
        replies = [reply for packet in batch if (reply := echo_reply(packet))]
        # If the interface goes down under us, these replies are lost; whoever pinged will ping again.
        with contextlib.suppress(aiotun.DeviceDown):
            await tun.send_many(replies)


async def main(options: argparse.Namespace) -> None:
    async with aiotun.open_tun(options.name, address=options.address, netns=options.netns) as tun:
        responding = asyncio.create_task(respond(tun))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, responding.cancel)
        print(f"{tun.name}: answering pings, Ctrl-C ends", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await responding
    counts = tun.statistics()
    print(f"{tun.name}: {counts.received_packets} packets received, {counts.sent_packets} answered")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Answer every ping into a network, IPv4 and IPv6.")
    parser.add_argument("--name", default="ping%d", help="the interface (default: ping0, or the next free number)")
    parser.add_argument("--address", action="append", required=True, help="ADDRESS/LENGTH, may be repeated")
    parser.add_argument("--netns", help="the network namespace to open it in, as `ip netns` knows it")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments()))
    except (OSError, ValueError) as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
