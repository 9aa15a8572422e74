"""
The demo's VPN: a tun and a UDP channel joined both ways, every packet sealed with ChaCha20-Poly1305.

On the wire: the sender's 64-bit counter, little-endian, then ciphertext and tag. The counter is the
nonce (RFC 8439, with four zero bytes in front) and each direction has a key of its own, so no nonce
is used twice with a key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..endpoint import Endpoint
from ..errors import DeviceClosed, DeviceDown, DeviceError, DeviceGone, PacketError, PacketTooBig, QueueFull
from .replay import LIMIT, ReplayWindow

__all__ = ["KEY_SIZE", "OVERHEAD", "Tunnel", "Way"]

KEY_SIZE = 32
COUNTER_SIZE = 8
TAG_SIZE = 16
OVERHEAD = COUNTER_SIZE + TAG_SIZE
"""Bytes that sealing adds to a packet."""

NONCE_PREFIX = bytes(4)

# Why an endpoint refused a packet -> the reason it is counted under.
REASONS: tuple[tuple[type[Exception], str], ...] = (
    (QueueFull, "queue_full"),
    (PacketTooBig, "too_big"),
    (DeviceDown, "down"),
    (DeviceGone, "gone"),
    (PacketError, "bad_packet"),
)


@attrs.define
class Way:
    """What one way of a tunnel counted: ``taken == passed + sum(dropped.values())`` between batches."""

    taken: int = 0
    """Packets taken from the endpoint this way begins at."""
    passed: int = 0
    """Packets the endpoint at its end took."""
    dropped: Counter[str] = attrs.field(factory=Counter)
    """Packets dropped in between, by reason."""
    sent_before: int = 0
    """Packets sent to the endpoint at its end before this way did."""


class Tunnel:
    """
    One end of an encrypted tunnel.

    The endpoints stay their owner's: run() neither opens nor closes them. Nobody else may send on them.

    Args:
        tun: Carries the plain packets.
        channel: Carries the sealed ones to the peer.
        key: 32 bytes that both ends know. Counters begin at 0, so a key is good for one pair of tunnels, once.
        first: True at one end, False at the other.
        window: How far a datagram may be late, in datagrams; a power of two.
    """

    def __init__(self, tun: Endpoint, channel: Endpoint, key: bytes, *, first: bool, window: int = 2048) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a tunnel's key is {KEY_SIZE} bytes, not {len(key)}")
        mine, theirs = _direction_keys(key)
        if not first:
            mine, theirs = theirs, mine
        self._tun = tun
        self._channel = channel
        self._encrypt = ChaCha20Poly1305(mine).encrypt
        self._decrypt = ChaCha20Poly1305(theirs).decrypt
        self._counter = 0
        self._window = ReplayWindow(window)
        self.outbound = Way()
        """From the tun to the channel."""
        self.inbound = Way()
        """From the channel to the tun."""

    async def run(self) -> None:
        """
        Carry packets both ways until either endpoint is closed, or this is cancelled.

        Cancel it at any time: every packet taken by then was passed on or is counted.

        Raises:
            ExceptionGroup: Of DeviceGone, if an interface was deleted.
        """
        async with asyncio.TaskGroup() as tasks:
            ways = (
                tasks.create_task(self._carry(self._tun, self.seal, self._channel, self.outbound)),
                tasks.create_task(self._carry(self._channel, self.unseal, self._tun, self.inbound)),
            )
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()

    def seal(self, batch: Sequence[bytes]) -> list[bytes]:
        """Return the packets as datagrams for the wire; each takes the next counter."""
        start = self._counter
        if start + len(batch) > LIMIT:
            self.outbound.dropped["exhausted"] += len(batch)
            return []
        self._counter = start + len(batch)
        encrypt = self._encrypt
        heads = [counter.to_bytes(COUNTER_SIZE, "little") for counter in range(start, self._counter)]
        return [head + encrypt(NONCE_PREFIX + head, packet, None) for head, packet in zip(heads, batch, strict=True)]

    def unseal(self, batch: Sequence[bytes]) -> list[bytes]:
        """Return the packets of those datagrams that are whole, authentic and new; count the others."""
        decrypt = self._decrypt
        accept = self._window.accept
        packets: list[bytes] = []
        append = packets.append
        for datagram in batch:
            head = datagram[:COUNTER_SIZE]
            try:
                packet = decrypt(NONCE_PREFIX + head, datagram[COUNTER_SIZE:], None)
            except (InvalidTag, ValueError):  # ValueError: not even a nonce
                self.inbound.dropped["too_short" if len(datagram) < OVERHEAD else "auth_failed"] += 1
                continue
            if accept(int.from_bytes(head, "little")):
                append(packet)
            else:
                self.inbound.dropped["replayed"] += 1
        return packets

    async def _carry(
        self, source: Endpoint, change: Callable[[Sequence[bytes]], list[bytes]], sink: Endpoint, way: Way
    ) -> None:
        way.sent_before = sink.statistics().sent_packets - way.passed
        with contextlib.suppress(DeviceClosed):
            async for batch in source.batches():
                way.taken += len(batch)
                await _pass(change(batch), sink, way)


async def _pass(batch: list[bytes], sink: Endpoint, way: Way) -> None:
    """
    Send the batch, and account for every packet of it. What is refused is dropped, and the others still go.

    Raises:
        DeviceGone, DeviceClosed: If no packet will ever pass again; those left are counted.
    """
    step = len(batch)
    while batch:
        try:
            await sink.send_many(batch[:step])
        except (DeviceGone, DeviceClosed, asyncio.CancelledError) as error:
            way.dropped[_reason(error)] += len(batch) - _passed(sink, way)
            raise
        except (DeviceError, PacketError) as error:
            if step == 1:
                way.dropped[_reason(error)] += 1
                batch = batch[1:]
            else:  # one of them is refused, and maybe none was sent for it: find out which
                batch = batch[_passed(sink, way) :]
                step = 1
        else:
            way.passed += step
            batch = batch[step:]


def _passed(sink: Endpoint, way: Way) -> int:
    """Count the packets that an interrupted call did send, and return how many."""
    sent = sink.statistics().sent_packets - way.sent_before - way.passed
    way.passed += sent
    return sent


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError | DeviceClosed):
        return "closed"
    return next((reason for kind, reason in REASONS if isinstance(error, kind)), "refused")


def _direction_keys(key: bytes) -> tuple[bytes, bytes]:
    """Return the keys of the two directions, independent of each other: RFC 5869."""
    both = HKDF(algorithm=SHA256(), length=2 * KEY_SIZE, salt=None, info=b"aiotun demo tunnel").derive(key)
    return both[:KEY_SIZE], both[KEY_SIZE:]
