"""
A VPN between two machines: a tun, a UDP socket, and a pump that seals what goes out and opens what comes in.

Try both ends on one machine, each with its tun in a namespace, in two terminals, and ping in a third::

    openssl rand -hex 32 > vpn.key; sudo ip netns add red; sudo ip netns add blue
    sudo python examples/udp_vpn.py vpn.key 10.8.0.1/24 5001 127.0.0.1 5002 --netns red
    sudo python examples/udp_vpn.py vpn.key 10.8.0.2/24 5002 127.0.0.1 5001 --netns blue
    sudo ip netns exec red ping 10.8.0.2

Forged, replayed and reflected datagrams are dropped; a peer whose address changes is followed. The clocks have to
agree: nothing is opened that was sealed before this side began. To be read, not relied on: a key stolen later opens
what was recorded before (no forward secrecy), and the lengths of packets can be seen.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import secrets
import signal
import sys
import time
from collections import deque
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

import aiotun
from aiotun.channel import UdpPeer, UdpServer, serve_udp
from aiotun.pipeline import Batch
from aiotun.stages import clamp_mss

MTU = 1420  # sealed, in a datagram, it fits a path of 1500, over IPv6 as well
WINDOW = 4096  # packets that one may come too late and still be told from a replay


class Seal:
    """
    What closes our packets and opens the peer's: a datagram is run, number, and the packet sealed.

    Each run of each side has a random name and, derived from it, a key of its own: nonces never repeat. The number,
    which is the nonce, is the time in nanoseconds or beyond, so that it is newer than all of any run before.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise ValueError(f"a key has 32 bytes, not {len(secret)}: `openssl rand -hex 32` writes one")
        self._secret, self._run, self._next = secret, secrets.token_bytes(8), 0
        self._cipher = self._opener = self._cipher_of(self._run)
        self._peer = b""  # the run that the opener is for
        self._floor = time.time_ns()  # numbers up to it are too old, or were seen
        self._seen: set[int] = set()  # those above it; and in the order they came:
        self._order: deque[int] = deque()

    def close(self, batch: Batch) -> list[bytes]:
        run, encrypt, first = self._run, self._cipher.encrypt, max(self._next, time.time_ns())
        self._next = first + len(batch)
        nonces = [number.to_bytes(12, "big") for number in range(first, self._next)]
        return [run + nonce[4:] + encrypt(nonce, packet, None) for nonce, packet in zip(nonces, batch, strict=True)]

    def open(self, batch: Batch) -> list[bytes]:
        """Return the packets in those datagrams that the peer sealed and that were not here before."""
        packets, seen, order = [], self._seen, self._order
        for datagram in batch:
            run, nonce = datagram[:8], bytes(4) + datagram[8:16]
            number = int.from_bytes(nonce, "big")
            if run == self._run or number <= self._floor or number in seen:
                continue
            opener = self._opener if run == self._peer else self._cipher_of(run)
            try:
                packets.append(opener.decrypt(nonce, datagram[16:], None))
            except InvalidTag:
                continue
            self._peer, self._opener = run, opener
            seen.add(number)
            order.append(number)
        while len(order) > WINDOW:
            seen.remove(oldest := order.popleft())
            self._floor = max(self._floor, oldest)
        return packets

    def _cipher_of(self, run: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(hashlib.blake2s(run, key=self._secret, person=b"udp_vpn").digest())


async def follow(server: UdpServer, peer: UdpPeer, seal: Seal) -> None:
    """Send to wherever the peer was heard last, known by its seal; the datagram that it was known by is lost."""
    while True:
        [(address, datagram, local)] = await server.recv_from_many(1)
        if seal.open([datagram]):
            peer.roam_to(address, local=local)


async def main(options: argparse.Namespace) -> None:
    seal = Seal(bytes.fromhex(options.key.read_text()))
    async with (
        serve_udp(("::", options.port), gro=True) as server,
        server.peer((options.peer, options.peer_port), queue_length=4096) as peer,
        aiotun.open_tun("vpn%d", address=options.address, mtu=MTU, netns=options.netns, offload=True) as tun,
        aiotun.pump(tun, peer, outbound=[clamp_mss(MTU), seal.close], inbound=[seal.open]),
    ):
        tun.busy_poll = server.busy_poll = options.busy_poll / 1000
        following = asyncio.create_task(follow(server, peer, seal))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, following.cancel)
        print(f"{tun.name}: joined to {peer.name}, Ctrl-C ends", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await following


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A VPN between two machines.")
    parser.add_argument("key", type=Path, help="a file of 64 hexadecimal digits, the same on both sides")
    parser.add_argument("address", help="of the tun, ADDRESS/LENGTH")
    parser.add_argument("port", type=int, help="to receive on")
    parser.add_argument("peer", help="address of the other side")
    parser.add_argument("peer_port", type=int, help="its port")
    parser.add_argument("--netns", help="the network namespace to put the tun into")
    busy = "stay awake so long for the next packet; takes a core"
    parser.add_argument("--busy-poll", type=float, default=0, metavar="MILLISECONDS", help=busy)
    try:
        asyncio.run(main(parser.parse_args()))
    except (OSError, ValueError) as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
