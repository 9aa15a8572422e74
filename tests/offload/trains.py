"""Random batches in which much can be merged and much cannot, and the law that coalescing keeps on all of them."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from aiotun.offload import coalesce, segment
from aiotun.offload.headers import find_network
from aiotun.packet import Flow, SuperPacket, flow

from . import packets as p

__all__ = ["check", "random_batch"]

SIZES = (1, 2, 7, 100, 100, 101)


class Stream:
    """One side of a conversation, which sends packets that follow each other until something happens to it."""

    def __init__(self, rng: random.Random, ethernet: bool) -> None:
        self._rng = rng
        self._version = rng.choice((4, 6))
        self._tcp = rng.random() < 0.6
        self._link = rng.choice((14, 18, 22)) if ethernet else 0
        self._size = rng.choice(SIZES)
        self._seq = rng.choice((100, 2**32 - 250, rng.getrandbits(32)))
        self._port = 1500 + rng.randrange(3)
        self._step = rng.choice((0, 1, 1, 1))
        self._ip: dict[str, Any] = {}
        self._tcp_fields: dict[str, Any] = {"ack": 5, "window": 500, "options": rng.choice((b"", b"\x01" * 12))}
        if self._version == 4:
            self._ip = {"identification": rng.choice((8, 65533)), "dont_fragment": rng.random() < 0.5}
        elif rng.random() < 0.2:
            self._ip = {"extensions": rng.choice((p.destination(), p.hop_by_hop(16)))}

    def next(self) -> bytes:
        """Return the next packet, which is now and then not what should come next."""
        rng, size, ip = self._rng, self._size, dict(self._ip)
        fields = dict(self._tcp_fields, seq=self._seq & 0xFFFFFFFF, flags=0x18 if rng.random() < 0.1 else 0x10)
        event = rng.random()
        if event < 0.04:
            ip |= (
                rng.choice(({"tos": 2}, {"ttl": 7}, {"options": b"\x01" * 4}, {"more_fragments": True}))
                if (self._version == 4)
                else rng.choice(({"traffic_class": 2}, {"hop_limit": 7}, {"extensions": b"\x2c\0\0\0\0\0\0\0"}))
            )
        elif event < 0.08:
            fields |= rng.choice(
                ({"flags": rng.getrandbits(9)}, {"window": 7}, {"urgent": 3}, {"options": b"\x01" * 4})
            )
        elif event < 0.11:
            fields["seq"] = (self._seq + rng.choice((-size, 1, size))) & 0xFFFFFFFF
        elif event < 0.16:
            size = rng.choice((0, *SIZES))
        if ip.get("more_fragments"):
            size = size // 8 * 8 + 4 if self._tcp else size // 8 * 8
        payload = bytes((rng.getrandbits(8),)) * size
        if self._tcp:
            packet = p.tcp(self._version, payload, src_port=self._port, ip=ip, **fields)
        else:
            packet = p.udp(self._version, payload, src_port=self._port, ip=ip)
        self._seq += size
        if self._version == 4:
            self._ip["identification"] = (self._ip["identification"] + self._step) & 0xFFFF
        if 0.16 <= event < 0.19:
            at = rng.randrange(len(packet))
            packet = p.patched(packet, at, bytes((packet[at] ^ rng.randrange(1, 256),)))
        if 0.19 <= event < 0.20:
            packet += bytes(rng.randrange(1, 8))
        return p.link_header(self._version, self._link) + packet


def random_batch(rng: random.Random, ethernet: bool, most: int = 64) -> list[bytes]:
    """Return the packets of a few streams, mixed; some twice, some cut short, and a super-packet now and then."""
    streams = [Stream(rng, ethernet) for _ in range(rng.randint(1, 3))]
    batch: list[bytes] = []
    stream = streams[0]
    for _ in range(rng.randint(1, most)):
        if rng.random() < 0.3:
            stream = rng.choice(streams)
        packet = stream.next()
        batch.append(packet)
        event = rng.random()
        if event < 0.01:
            batch.append(packet)
        elif event < 0.02:
            batch.append(packet[: rng.randrange(len(packet))])
        elif event < 0.03:
            batch.append(SuperPacket(packet))
        elif event < 0.04:
            batch.insert(rng.randrange(len(batch)), batch.pop())
    return batch


def check(batch: list[bytes], ethernet: bool, **options: Any) -> int:
    """Coalesce *batch*, make sure that nothing is lost, changed or overtaken; return how many packets were saved."""
    merged = coalesce(batch, ethernet, **options)
    most, size = options.get("max_segments", 64), options.get("max_size", 65535)
    parts: list[bytes] = []
    for packet in merged:
        if isinstance(packet, SuperPacket) and packet.gso_type:
            packet.check(ethernet)
            pieces = segment(packet, ethernet)
            assert 2 <= len(pieces) <= most, "so many packets in one"
            assert len(packet) - (find_network(packet) if ethernet else 0) <= size, "so long a packet"
            parts += pieces
        else:
            parts.append(packet)
    assert Counter(parts) == Counter(batch), "packets are lost, or changed"
    assert in_order(parts, ethernet) == in_order(batch, ethernet), "packets are overtaken"
    return len(batch) - len(merged)


def in_order(batch: list[bytes], ethernet: bool) -> dict[Flow, list[bytes]]:
    """Return each flow's packets in their order, with every other one that may be of it."""
    keyed = []
    for packet in batch:
        network = max(0, find_network(packet)) if ethernet else 0
        keyed.append((flow(packet[network:]), packet))
    flows = {key for key, _ in keyed if key is not None}
    return {key: [packet for other, packet in keyed if other and may_be_of(other, key)] for key in flows}


def may_be_of(other: Flow, key: Flow) -> bool:
    """Whether a packet of *other* may be of flow *key*: it is, or hides its ports, over IPv6 perhaps its protocol."""
    if other == key:
        return True
    if other[1:3] != key[1:3] or other.src_port or other.dst_port:
        return False
    return other.protocol == key.protocol or (len(key.src) == 16 and other.protocol not in (6, 17, 58))
