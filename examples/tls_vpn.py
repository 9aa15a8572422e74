"""
A VPN over TLS: one client and one server, which know each other by their certificates and trust nobody else.

Try both on one machine, each with its tun in a namespace, in two terminals, and ping in a third::

    for side in server client; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \\
        -subj /CN=$side -days 365 -keyout $side.key -out $side.crt; done
    sudo ip netns add red; sudo ip netns add blue
    sudo python examples/tls_vpn.py server . 10.8.0.1/24 127.0.0.1 4433 --netns red
    sudo python examples/tls_vpn.py client . 10.8.0.2/24 127.0.0.1 4433 --netns blue
    sudo ip netns exec red ping 10.8.0.2

A side needs its own key and certificate, and the other's certificate. The client connects again when the connection
breaks. TLS passes where UDP does not; where packets are lost TCP inside TCP is slow, and udp_vpn.py is better.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
import sys
from pathlib import Path

import aiotun
from aiotun.channel import StreamChannel, StreamOptions, open_stream, serve_stream

OTHER = {"server": "client", "client": "server"}
PAUSE = 1.0  # seconds between two tries to connect
SOCKET = StreamOptions(user_timeout=20, keepalive=5)  # seconds until a peer that vanished is given up


def tls(side: str, keys: Path) -> ssl.SSLContext:
    """Return what proves who this side is, and that the other is who it should be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if side == "server" else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(keys / f"{side}.crt", keys / f"{side}.key")
    context.load_verify_locations(keys / f"{OTHER[side]}.crt")
    context.check_hostname = False  # this one certificate is trusted, whatever the name in it
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def carry(tun: aiotun.Tun, channel: StreamChannel) -> None:
    """Carry packets until the connection is over."""
    print(f"{tun.name}: joined to {channel.name}", flush=True)
    async with channel:
        try:
            await aiotun.pump(tun, channel)
        except aiotun.DeviceGone as gone:
            print(gone, flush=True)


async def serve(tun: aiotun.Tun, host: str, port: int, context: ssl.SSLContext) -> None:
    """Carry packets for whoever connected last: the connection before may be dead without a word."""
    async with serve_stream(host, port, ssl=context, options=SOCKET) as server, asyncio.TaskGroup() as tasks:
        print(f"{tun.name}: waits for its client on {server.name}, Ctrl-C ends", flush=True)
        carrying = None
        async for channel in server:
            if carrying is not None:
                carrying.cancel()
                await asyncio.wait([carrying])
            carrying = tasks.create_task(carry(tun, channel))


async def connect(tun: aiotun.Tun, host: str, port: int, context: ssl.SSLContext) -> None:
    """Carry packets to the server; whenever the connection ends, make another one."""
    while True:
        try:
            await carry(tun, await open_stream(host, port, ssl=context, options=SOCKET))
        except OSError as error:
            print(error, flush=True)
        await asyncio.sleep(PAUSE)


async def main(options: argparse.Namespace) -> None:
    context = tls(options.side, options.keys)
    async with aiotun.open_tun("vpn%d", address=options.address, netns=options.netns) as tun:
        run = serve if options.side == "server" else connect
        running = asyncio.create_task(run(tun, options.host, options.port, context))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A VPN over TLS.")
    parser.add_argument("side", choices=OTHER, help="the server waits, the client connects")
    parser.add_argument("keys", type=Path, help="the folder with this side's .key and both sides' .crt")
    parser.add_argument("address", help="of the tun, ADDRESS/LENGTH")
    parser.add_argument("host", help="the server's name or address")
    parser.add_argument("port", type=int, help="the server's port")
    parser.add_argument("--netns", help="the network namespace to put the tun into")
    try:
        asyncio.run(main(parser.parse_args()))
    except OSError as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
