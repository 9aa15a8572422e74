"""Super-packets with fields out of place, and whether ``SuperPacket.check()`` says of them what the kernel says."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from typing import Any

from aiotun.errors import PacketError
from aiotun.packet import GSO_UDP_TUNNEL, SuperPacket

from . import packets as p
from .rig import Kernel
from .tunnels import random_tunnel

__all__ = ["disagreements"]

TYPES = (0, 1, 2, 3, 4, 5, 6, 0x10, 0x20, 0x40, 0x80, 0x81, 0x83, 0x84, 0x85)
NUMBERS = (0, 1, 6, 8, 13, 14, 16, 19, 20, 33, 34, 39, 40, 59, 60, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
FIELDS = ("gso_type", "gso_size", "hdr_len", "csum_start", "csum_offset", "needs_csum")
TUNNEL_TYPES = (0x20, 0x21, 0x23, 0x24, 0x25, 0x40, 0x41, 0x43, 0x44, 0x45, 0x61, 0xA1, 0xC4, 0xA5, 0x22)
TUNNEL_FIELDS = (*FIELDS, "outer_th_offset", "inner_nh_offset", "tunnel_csum")


def random_fields(rng: random.Random, ethernet: bool) -> SuperPacket:
    """Return a good packet, or the front of one, with fields that fit it or not."""
    version, make = rng.choice((4, 6)), rng.choice((p.tcp, p.udp))
    link = p.link_header(version, rng.choice((14, 18))) if ethernet else b""
    packet = make(version, bytes(rng.choice((1, 10, 300))))
    whole = p.super_packet(packet, rng.choice((1, 2, 5, 100, 400)), link=link)
    if rng.random() < 0.2:
        whole = SuperPacket(link + packet)
    size = len(whole)
    if rng.random() < 0.05:
        whole = SuperPacket(whole[: rng.randrange(1, size)], **vars(whole))
    fields: dict[str, Any] = {}
    for name in rng.sample(FIELDS, rng.randrange(4)):
        near = rng.choice((size - 3, size - 2, size - 1, size, size + 1, rng.randrange(65536), *NUMBERS))
        fields[name] = {
            "gso_type": rng.choice((rng.randrange(256), *TYPES)),
            "needs_csum": rng.random() < 0.5,
        }.get(name, near)
    return p.with_fields(whole, **fields)


def random_tunnel_fields(rng: random.Random) -> SuperPacket:
    """Return a good frame in a tunnel with fields that fit it or not."""
    whole = random_tunnel(rng, link=rng.choice((14, 18)))
    fields: dict[str, Any] = {}
    for name in rng.sample(TUNNEL_FIELDS, rng.randrange(4)):
        place = getattr(whole, rng.choice(("outer_th_offset", "inner_nh_offset", "csum_start")))
        near = rng.choice((*(place + step for step in (-40, -20, -8, -1, 0, 1, 8, 20, 40)), *NUMBERS))
        fields[name] = {
            "gso_type": rng.choice((whole.gso_type ^ GSO_UDP_TUNNEL, *TUNNEL_TYPES)),
            "needs_csum": rng.random() < 0.5,
            "tunnel_csum": rng.random() < 0.5,
        }.get(name, max(0, near))
    return p.with_fields(whole, **fields)


def disagreements(
    judge: Kernel, seed: int, count: int, ethernet: bool, tunnels: bool = False
) -> Iterator[tuple[SuperPacket, str]]:
    """Yield each packet that the kernel takes and check() refuses, with its reason, or the other way round."""
    rng = random.Random(seed)
    for _ in range(count):
        packet = random_tunnel_fields(rng) if tunnels else random_fields(rng, ethernet)
        try:
            packet.check(ethernet)
            reason = ""
        except PacketError as error:
            reason = error.reason
        try:
            judge.forward(packet)
            refused = False
        except OSError as error:
            assert error.errno == errno.EINVAL
            refused = True
        if refused != bool(reason):
            yield packet, reason
