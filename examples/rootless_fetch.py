"""
Fetch a page through a tun, as any user, with the kernel's own TCP on both ends.

::

    python examples/rootless_fetch.py

Two private networks stand for two machines. A tun in each is all that leads out of it, and this program carries the
packets from one to the other: a VPN would encrypt them on the way and send them in datagrams.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import aiotun

CLIENT, SERVER, PORT = "10.9.0.1", "10.9.0.2", 80
PAGE = b"<p>Nobody was root.</p>\n" * 10_000


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, whatever it asks for."""
    with contextlib.closing(writer):
        request = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
        print(f"{SERVER}: {request}, from {writer.get_extra_info('peername')[0]}")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE)
        await writer.drain()


async def fetch(host: aiotun.PrivateHost, path: str) -> tuple[str, bytes]:
    """Return the status line and the page."""
    reader, writer = await host.open_connection(SERVER, PORT)
    with contextlib.closing(writer):
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {SERVER}\r\n\r\n".encode())
        head, _, page = (await reader.read()).partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), page


async def carry(source: aiotun.Tun, target: aiotun.Tun) -> None:
    """Carry packets one way."""
    async for batch in source.batches():
        await target.send_many(batch)


async def main() -> None:
    async with (
        aiotun.PrivateHost() as ours,
        aiotun.PrivateHost() as theirs,
        ours.open_tun("vpn0", address=f"{CLIENT}/24") as near,
        theirs.open_tun("vpn0", address=f"{SERVER}/24") as far,
        asyncio.TaskGroup() as tasks,
    ):
        wires = [tasks.create_task(carry(near, far)), tasks.create_task(carry(far, near))]
        async with await theirs.start_server(serve, SERVER, PORT):
            status, page = await fetch(ours, "/index.html")
        for wire in wires:
            wire.cancel()
        counts = near.statistics()
    print(f"{CLIENT}: {status}, {len(page)} bytes")
    print(f"vpn0: {counts.received_packets} packets out, {counts.sent_packets} in")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except OSError as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
