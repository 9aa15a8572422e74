"""
The smallest VPN: a tun, a UDP channel, and a cipher between them.

Write a key with ``openssl rand -hex 32``, bring it to both machines unseen, and start one side on each::

    sudo python examples/udp_vpn.py left  --key-file vpn.key --address 10.8.0.1/24 \\
        --local 192.0.2.1:5555 --remote 198.51.100.1:5555
    sudo python examples/udp_vpn.py right --key-file vpn.key --address 10.8.0.2/24 \\
        --local 198.51.100.1:5555 --remote 192.0.2.1:5555

Written to be read, not to be relied on. What a real VPN has and this one lacks: a handshake, so that every
session has a key of its own and a key stolen later opens nothing recorded earlier (forward secrecy); protection
against replay, so whoever listens can send your datagrams again; a check that a packet's source address is one
the peer may use; peers that change their address; keep-alives; hidden packet lengths.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import os
import secrets
import signal
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

import aiotun
from aiotun.channel import open_udp

NONCE = 12
MTU = 1420
"""Bytes of a packet that, sealed in a datagram, still fits a path of 1500, over IPv6 as well."""


class Seal:
    """
    Encrypts one direction, and authenticates it.

    The two directions have keys of their own, so one side's nonces cannot meet the other's, and a datagram
    sent back to its sender is a forgery to it. A side's nonces count on from a random start of 96 bits: two runs
    with 2^40 packets each overlap with a probability of 2^-55.
    """

    def __init__(self, secret: bytes, sender: str) -> None:
        self._cipher = ChaCha20Poly1305(hashlib.blake2s(sender.encode(), key=secret, person=b"udp_vpn").digest())
        self._nonces = itertools.count(secrets.randbits(96))

    def close(self, packet: bytes) -> bytes:
        nonce = (next(self._nonces) % 2**96).to_bytes(NONCE, "big")
        return nonce + self._cipher.encrypt(nonce, packet, None)

    def open(self, datagram: bytes) -> bytes | None:
        """Return the packet, or None if its sender does not have the key."""
        with contextlib.suppress(InvalidTag, ValueError):  # ValueError: too short to have a nonce
            return self._cipher.decrypt(datagram[:NONCE], datagram[NONCE:], None)
        return None


async def outbound(tun: aiotun.Tun, channel: aiotun.Endpoint, seal: Seal) -> None:
    async for batch in tun.batches():
        await channel.send_many([seal.close(packet) for packet in batch], drop=True)


async def inbound(channel: aiotun.Endpoint, tun: aiotun.Tun, seal: Seal) -> None:
    async for batch in channel.batches():
        # drop: while the tun is down, or for a packet too long for it, that one is lost and counted.
        await tun.send_many(list(filter(None, map(seal.open, batch))), drop=True)


async def join(tun: aiotun.Tun, channel: aiotun.Endpoint, ours: Seal, theirs: Seal) -> None:
    """Carry packets both ways, until one way fails."""
    async with asyncio.TaskGroup() as ways:
        ways.create_task(outbound(tun, channel, ours))
        ways.create_task(inbound(channel, tun, theirs))


async def main(options: argparse.Namespace) -> None:
    secret = read_key(options.key_file)
    ours, theirs = Seal(secret, options.side), Seal(secret, "right" if options.side == "left" else "left")
    async with (
        open_udp(options.local, options.remote) as channel,
        aiotun.open_tun(options.name, address=options.address, mtu=MTU) as tun,
    ):
        joined = asyncio.create_task(join(tun, channel, ours, theirs))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, joined.cancel)
        print(f"{tun.name}: joined to {channel.name}, Ctrl-C ends", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await joined


def read_key(path: Path | None) -> bytes:
    """Return the key, 64 hexadecimal digits, from a file or $VPN_KEY; a command line is for everybody to see."""
    key = bytes.fromhex(path.read_text() if path else os.environ.get("VPN_KEY", ""))
    if len(key) != 32:
        raise ValueError(f"the key has {len(key)} bytes, not 32: write one with `openssl rand -hex 32`")
    return key


def host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The smallest VPN, for reading.")
    parser.add_argument("side", choices=("left", "right"), help="which of the two ends this is")
    parser.add_argument("--key-file", type=Path, help="64 hexadecimal digits, the same on both sides; or $VPN_KEY")
    parser.add_argument("--address", required=True, help="of the tun, ADDRESS/LENGTH")
    parser.add_argument("--local", required=True, type=host_and_port, help="HOST:PORT to receive on")
    parser.add_argument("--remote", required=True, type=host_and_port, help="HOST:PORT of the other side")
    parser.add_argument("--name", default="vpn%d", help="the interface (default: vpn0, or the next free number)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments()))
    except (OSError, ValueError) as error:  # what stood in the way, and what to do about it
        sys.exit(str(error))
