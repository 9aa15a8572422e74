"""Random trains by the hundred thousand: packets made from a template, of which nothing is left over in coalescing."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from aiotun.offload import coalesce, segment
from aiotun.packet import checksum, ones_sum

from . import packets as p

__all__ = ["check_train", "random_train"]

SIZES = (1, 2, 3, 7, 64, 100, 101, 536, 1000, 1448)


class Template:
    """The headers of one kind of packet, and what their sums are."""

    def __init__(self, rng: random.Random) -> None:
        self.version, self.is_tcp, self.link = rng.choice((4, 6)), rng.random() < 0.5, rng.choice((0, 0, 14, 18, 22))
        ip: dict[str, Any] = {}
        if self.version == 4:
            ip = {"dont_fragment": rng.random() < 0.5, "ttl": rng.randrange(1, 256), "tos": rng.getrandbits(8)}
        elif rng.random() < 0.3:
            ip = {"extensions": rng.choice((p.destination(), p.hop_by_hop(16), p.routing()))}
        ports = {"src_port": rng.randrange(65536)}
        if self.is_tcp:
            options = rng.randbytes(4 * rng.choice((0, 0, 3, 10)))
            packet = p.tcp(self.version, b"", options=options, ack=rng.getrandbits(32), ip=ip, **ports)
        else:
            packet = p.udp(self.version, b"", ip=ip, **ports)
        self.headers = p.link_header(self.version, self.link) + packet
        self.may_repeat = self.version == 6 or ip["dont_fragment"]
        self.transport = p.transport_of(packet) + self.link

    def packet(self, payload: bytes, seq: int, ident: int, push: bool) -> bytes:
        """Return a packet with its lengths and checksums."""
        octets = bytearray(self.headers + payload)
        ip, at = self.link, self.transport
        length = len(octets) - at
        if self.version == 4:
            octets[ip + 2 : ip + 6] = ((len(octets) - ip) << 16 | ident).to_bytes(4, "big")
            octets[ip + 10 : ip + 12] = b"\0\0"
            octets[ip + 10 : ip + 12] = checksum(octets[ip : ip + 20]).to_bytes(2, "big")
            ends = octets[ip + 12 : ip + 20]
        else:
            octets[ip + 4 : ip + 6] = (len(octets) - ip - 40).to_bytes(2, "big")
            ends = octets[ip + 8 : ip + 40]
        if self.is_tcp:
            octets[at + 4 : at + 8] = seq.to_bytes(4, "big")
            octets[at + 13] |= push << 3
            field, protocol = at + 16, 6
        else:
            octets[at + 4 : at + 6] = length.to_bytes(2, "big")
            field, protocol = at + 6, 17
        octets[field : field + 2] = b"\0\0"
        total = checksum(octets[at:], ones_sum(ends, protocol + length))
        octets[field : field + 2] = (total if self.is_tcp else total or 0xFFFF).to_bytes(2, "big")
        return bytes(octets)


@cache
def templates() -> list[Template]:
    rng = random.Random(3)
    return [Template(rng) for _ in range(500)]


def random_train(rng: random.Random) -> tuple[bool, list[bytes]]:
    """Return whether they are frames, and 2 to 12 packets that follow each other, the last perhaps short."""
    template = rng.choice(templates())
    size, count = rng.choice(SIZES), rng.randint(2, 12)
    seq = rng.choice((rng.getrandbits(32), 2**32 - rng.randrange(1, size * count + 1)))
    ident, step = rng.choice((rng.getrandbits(16), 0xFFFF)), 0 if template.may_repeat and rng.random() < 0.3 else 1
    payloads = rng.randbytes(size * (count - 1) + rng.choice((size, rng.randint(1, size))))
    last, push = count - 1, template.is_tcp and rng.random() < 0.5
    return template.link > 0, [
        template.packet(
            payloads[number * size : number * size + size],
            (seq + number * size) & 0xFFFFFFFF,
            (ident + number * step) & 0xFFFF,
            push and number == last,
        )
        for number in range(count)
    ]


def check_train(ethernet: bool, train: list[bytes]) -> None:
    """Make sure that a train becomes one super-packet, and that this is cut into the train again."""
    merged = coalesce(train, ethernet)
    assert len(merged) == 1, f"{len(merged)} packets are left of {len(train)}"
    merged[0].check(ethernet)  # type: ignore[attr-defined]
    assert segment(merged[0], ethernet) == train
