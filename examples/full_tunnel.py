"""
All that this machine sends, over a VPN: the tun, the tunnel's own socket, and nothing past them.

::

    sudo python examples/full_tunnel.py client --address 10.8.0.2/24 --local 0.0.0.0:5555 --remote 192.0.2.1:5555
    sudo python examples/full_tunnel.py server --address 10.8.0.1/24 --local 192.0.2.1:5555 --remote 198.51.100.7:5555

The client's default route leads into the tun, but for the tunnel's own datagrams, which carry a mark. While it runs
nothing leaves the machine past the tunnel, even if the tun is deleted. When it ends, by Ctrl-C or by SIGKILL, the
network is as it was before. The server is a plain end of the tunnel; to let the client reach the world from there,
have the kernel forward and translate (``sysctl net.ipv4.ip_forward=1``, and a masquerading rule).

There is no cipher here, to show the routing alone: see udp_vpn.py for one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

import aiotun
from aiotun.channel import open_udp

MTU = 1420
"""Bytes of a packet that in a datagram still fits a path of 1500, over IPv6 as well."""


async def carry(source: aiotun.Endpoint, target: aiotun.Endpoint) -> None:
    """Carry packets one way; what the other side cannot take now is lost, as on any link."""
    async for batch in source.batches():
        await target.send_many(batch, drop=True)


async def join(tun: aiotun.Tun, channel: aiotun.Endpoint) -> None:
    """Carry packets both ways; if one way fails, leave the tunnel up, for to end it would be to leak."""
    try:
        async with asyncio.TaskGroup() as ways:
            ways.create_task(carry(tun, channel))
            ways.create_task(carry(channel, tun))
    except* OSError as errors:
        for error in errors.exceptions:
            print(f"{error}; nothing leaves the machine until Ctrl-C", flush=True)


async def main(options: argparse.Namespace) -> None:
    async with contextlib.AsyncExitStack() as stack:
        channel = await stack.enter_async_context(open_udp(options.local, options.remote))
        tun = await stack.enter_async_context(aiotun.open_tun(options.name, address=options.address, mtu=MTU))
        if options.side == "client":
            tunnel = aiotun.full_tunnel(tun, sockets=[channel], except_for=options.except_for)
            await stack.enter_async_context(tunnel)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        carrying = asyncio.create_task(join(tun, channel))
        print(f"{tun.name}: everything goes by {channel.name}, Ctrl-C ends", flush=True)
        await stop.wait()
        carrying.cancel()
        await asyncio.wait([carrying])


def host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A full tunnel with a kill switch, without a cipher.")
    parser.add_argument("side", choices=("client", "server"), help="whose packets all go into the tunnel")
    parser.add_argument("--address", required=True, help="of the tun, ADDRESS/LENGTH")
    parser.add_argument("--local", required=True, type=host_and_port, help="HOST:PORT to receive on")
    parser.add_argument("--remote", required=True, type=host_and_port, help="HOST:PORT of the other side")
    parser.add_argument("--except-for", action="append", default=[], metavar="PREFIX", help="goes past the tunnel")
    parser.add_argument("--name", default="vpn%d", help="the interface (default: vpn0, or the next free number)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments()))
    except (OSError, ValueError) as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
