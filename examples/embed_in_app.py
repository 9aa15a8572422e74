"""
A tun inside a service that does other things too: here, answer questions over TCP.

::

    python examples/embed_in_app.py --soft --port 7007
    nc 127.0.0.1 7007        # and type: stats

Everything runs in one task group: if any part fails, all of it ends, and nothing is left behind. Without
``--soft`` the tun is one of the kernel's, which takes CAP_NET_ADMIN.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections import Counter
from itertools import count

import aiotun
from aiotun.packet import ICMP, IPv4, Protocol, echo_reply, flow

NAMES = {int(protocol): protocol.name for protocol in Protocol}


class Gateway:
    """What the service does with its tun: answer pings, and count what comes, by protocol."""

    def __init__(self, tun: aiotun.Tun) -> None:
        self.tun = tun
        self.seen: Counter[str] = Counter()

    async def run(self) -> None:
        async for batch in self.tun.batches():
            self.seen.update(map(protocol_of, batch))
            with contextlib.suppress(aiotun.DeviceDown):
                await self.tun.send_many([reply for packet in batch if (reply := echo_reply(packet))])


class Console:
    """A TCP server that answers one JSON line for each line it gets."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def run(self, port: int) -> None:
        """Serve until cancelled; the connections end with it."""
        async with asyncio.TaskGroup() as connections:

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                connections.create_task(self._serve(reader, writer))

            server = await asyncio.start_server(connected, "127.0.0.1", port)
            with contextlib.closing(server):
                print("ready on port", server.sockets[0].getsockname()[1], flush=True)
                await asyncio.Event().wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A line without end is a ValueError; neither that nor a lost client may end the service.
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                answer = self._answer(line.decode(errors="replace").strip())
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()

    def _answer(self, question: str) -> dict[str, object]:
        tun = self._gateway.tun
        match question:
            case "name":
                return {"name": tun.name, "mtu": tun.mtu}
            case "stats":
                counts = tun.statistics()
                return {
                    "received": counts.received_packets,
                    "sent": counts.sent_packets,
                    "seen": self._gateway.seen,
                }
            case _:
                return {"error": f"{question!r} is not one of: name, stats"}


def protocol_of(packet: bytes) -> str:
    """Return the name of what an IP packet carries."""
    known = flow(packet)
    return "malformed" if known is None else NAMES.get(known.protocol, "other")


async def ping_for_ever(neighbour: aiotun.Endpoint) -> None:
    """Ping the service once a second, from the other side of an in-process tun."""
    for sequence in count():
        ping = ICMP.echo_request(1, sequence % 65536, b"are you there?").build()
        await neighbour.send(IPv4("10.9.0.2", "10.9.0.1", Protocol.ICMP, ping).build())
        await neighbour.recv()
        await asyncio.sleep(1)


async def serve(host: aiotun.SoftHost | aiotun.SystemHost, port: int) -> None:
    """Run all parts of the service until it is cancelled, or one of them fails."""
    async with host.open_tun("app%d", address="10.9.0.1/24") as tun, asyncio.TaskGroup() as parts:
        gateway = Gateway(tun)
        parts.create_task(gateway.run())
        parts.create_task(Console(gateway).run(port))
        if isinstance(host, aiotun.SoftHost):
            parts.create_task(ping_for_ever(host.network_side(tun.name)))


async def main(options: argparse.Namespace) -> None:
    async with contextlib.aclosing(aiotun.SoftHost() if options.soft else aiotun.SystemHost()) as host:
        serving = asyncio.create_task(serve(host, options.port))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    print("closed, nothing left behind")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A tun inside a service that answers questions over TCP.")
    parser.add_argument("--port", type=int, default=7007, help="TCP port of the console, 0 for a free one")
    parser.add_argument("--soft", action="store_true", help="use an in-process tun, which needs no privilege")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments()))
    except (OSError, ValueError) as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
