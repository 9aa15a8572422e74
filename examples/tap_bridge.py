"""
One Ethernet segment in two places: a tap, and a UDP socket to the other place. Frames of all kinds pass, ARP first.

Try both ends on one machine, each with its tap in a namespace, in two terminals, and ping in a third::

    sudo ip netns add red; sudo ip netns add blue
    sudo python examples/tap_bridge.py 5001 127.0.0.1 5002 --netns red  --address 10.9.0.1/24
    sudo python examples/tap_bridge.py 5002 127.0.0.1 5001 --netns blue --address 10.9.0.2/24
    sudo ip netns exec red ping 10.9.0.2

To join what is more than one station, leave the addresses out and put each tap into a bridge of its place, with
``ip link set tap0 master br0``. Nothing is encrypted and anybody can send frames in, so let it cross a network that
you trust, or put the stages of udp_vpn.py into the pump.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

import aiotun
from aiotun.channel import open_udp

MTU = 1434  # with headers of Ethernet, a VLAN tag, UDP and IPv6 it fits a path of 1500


async def main(options: argparse.Namespace) -> None:
    local = "::" if ":" in options.peer else "0.0.0.0"
    addresses = options.address or ()
    async with (
        open_udp((local, options.port), (options.peer, options.peer_port), gro=True) as channel,
        aiotun.open_tap("tap%d", address=addresses, mtu=MTU, netns=options.netns, offload=True) as tap,
    ):
        print(f"{tap.name}: joined to {channel.name}, Ctrl-C ends", flush=True)
        pumping = asyncio.ensure_future(aiotun.pump(tap, channel))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, pumping.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await pumping


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One Ethernet segment in two places, over UDP.")
    parser.add_argument("port", type=int, help="to receive on")
    parser.add_argument("peer", help="address of the other side")
    parser.add_argument("peer_port", type=int, help="its port")
    parser.add_argument("--address", help="of the tap, ADDRESS/LENGTH")
    parser.add_argument("--netns", help="the network namespace to put the tap into")
    try:
        asyncio.run(main(parser.parse_args()))
    except OSError as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
