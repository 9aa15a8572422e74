"""
Answer pings into a network as an ordinary user: a broker opens the tun, by its policy.

::

    sudo aiotun broker --policy policy.toml
    python examples/broker_client.py --address 10.8.0.2/24
    ping 10.8.0.9

The policy allows it in a few lines::

    [[rule]]
    users = ["alice"]
    kinds = ["tun"]
    interfaces = ["vpn*"]
    addresses = ["10.8.0.0/24"]

Put aiotun.SystemHost() or aiotun.PrivateHost() in the place of the broker: nothing else changes.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

import aiotun
from aiotun.packet import echo_reply


async def respond(tun: aiotun.Tun) -> None:
    """Answer echo requests."""
    async for packet in tun:
        if reply := echo_reply(packet):
            await tun.send(reply)


async def main(options: argparse.Namespace) -> None:
    responding = asyncio.current_task()
    assert responding is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, responding.cancel)
    async with aiotun.BrokerHost(options.socket) as host, host.open_tun("vpn%d", address=options.address) as tun:
        print(f"{tun.name}: answering pings, Ctrl-C ends", flush=True)
        await respond(tun)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Answer every ping into a network, without a privilege.")
    parser.add_argument("--address", required=True, help="ADDRESS/LENGTH")
    parser.add_argument("--socket", default="/run/aiotun.sock", help="where the broker listens (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments()))
    except asyncio.CancelledError:
        pass
    except (OSError, ValueError) as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
