"""
Do the forms in Python and their twins in C agree? On packets that are good, damaged, garbage, and said to be what they
are not: the same result, or the same exception with the same text.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

from aiotun import offload, speedups
from aiotun.errors import PacketError
from aiotun.packet import SuperPacket

from . import packets as p

__all__ = ["NAMES", "difference", "outcome", "random_call", "super_packets", "trains"]

NAMES = ("coalesce", "complete", "segment")
LINKS = (0, 0, 14, 18, 22)
NUMBERS = (0, 1, 2, 6, 7, 8, 16, 19, 20, 39, 40, 41, 64, 128, 129, 0xFFFE, 0xFFFF, 0x10000)
ODD_NUMBERS = (-1, -20, 2**31 - 1, 2**31, 2**63, 2**64, True)
ODD_FIELDS = (*ODD_NUMBERS, -(2**31) - 1, -(2**64))
NO_NUMBERS = (None, 1.0, "1", b"\1")
FLAGS = ("needs_csum", "fixed_id", "tunnel_csum")
FIELDS = ("gso_type", "gso_size", "hdr_len", "csum_start", "csum_offset", "needs_csum", "fixed_id",
    "outer_th_offset", "inner_nh_offset", "tunnel_csum")  # fmt: skip
TYPES = (0, 1, 3, 4, 5, 0x81, 0x84, 0x85, 0x80, 2, 0x20, 0x21, 0x44, 0x65)

Call = tuple[str, tuple[Any, ...], dict[str, Any]]


@cache
def trains() -> list[tuple[bool, list[bytes]]]:
    """Return trains of all kinds, and whether they are of frames."""
    rng = random.Random(1)
    found = []
    for number in range(400):
        version, link = rng.choice((4, 6)), rng.choice(LINKS)
        ip: dict[str, Any] = {}
        if version == 6 and rng.random() < 0.3:
            ip = {"extensions": rng.choice((p.destination(), p.hop_by_hop(16) + p.routing()))}
        step, dont_fragment, ident = rng.choice((0, 1, 1, 1)), rng.random() < 0.5, rng.choice((8, 65533))
        size, options = rng.choice((1, 2, 7, 100)), rng.choice((b"", b"", b"\x01" * 12, b"\x01" * 40))
        seq, is_tcp, packets = rng.choice((100, 2**32 - 250)), rng.random() < 0.6, []
        for place in range(8):
            if version == 4:
                ip |= {"identification": (ident + place * step) & 0xFFFF, "dont_fragment": dont_fragment}
            payload = rng.randbytes(size if place % 5 < 4 else rng.choice((size, 1)))
            if is_tcp:
                flags = 0x18 if rng.random() < 0.1 else 0x10
                packet = p.tcp(version, payload, seq=seq, flags=flags, options=options, src_port=number % 3, ip=ip)
            else:
                packet = p.udp(version, payload, src_port=number % 3, ip=ip)
            seq = (seq + len(payload)) & 0xFFFFFFFF
            packets.append(p.link_header(version, link) + packet)
        found.append((link > 0, packets))
    return found


@cache
def super_packets() -> list[tuple[bool, SuperPacket]]:
    """Return good super-packets of all kinds, and whether they are frames."""
    rng = random.Random(2)
    found = []
    for _ in range(200):
        version, link, make = rng.choice((4, 6)), rng.choice(LINKS), rng.choice((p.big, p.big_udp))
        ip: dict[str, Any] = {}
        if rng.random() < 0.3:
            ip = {"extensions": p.destination()} if version == 6 else {"options": b"\x01" * 4 * rng.randint(1, 10)}
        fields: dict[str, Any] = {"ip": ip}
        if make is p.big:
            fields |= {"flags": rng.getrandbits(9), "options": b"\x01" * 4 * rng.randint(0, 10)}
            fields["seq"] = rng.choice((7, 2**32 - 20))
        size = rng.choice((0, 1, 30, 100, 301))
        found.append((link > 0, make(version, size, rng.choice((1, 7, 30, 100)), link=link, **fields)))
    return found


def damaged(rng: random.Random, packet: bytes) -> bytes:
    """Return plain bytes: *packet* with some changed, most of them in its headers, or of another length."""
    octets = bytearray(packet)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if octets:
            at = rng.randrange(min(len(octets), rng.choice((24, 80, 2000))))
            octets[at] = rng.choice((0, 1, 0x40, 0x45, 0x60, 0xFF, octets[at] ^ 1 << rng.randrange(8)))
    kind = rng.random()
    if kind < 0.15:
        del octets[rng.randrange(len(octets) + 1) :]
    elif kind < 0.25:
        octets += rng.randbytes(rng.randint(1, 8))
    return bytes(octets)


def random_field(rng: random.Random, name: str, near: int) -> Any:
    """Return a value for a field or an argument, now and then one that makes no sense."""
    kind = rng.random()
    if kind < 0.05:
        return rng.choice(NO_NUMBERS)
    if kind < 0.15:
        return rng.choice(ODD_FIELDS if name in FIELDS else ODD_NUMBERS)
    if name in FLAGS:
        return rng.random() < 0.5
    return rng.choice(TYPES if name == "gso_type" else (*NUMBERS, near - 2, near - 1, near, near + 1))


def random_super(rng: random.Random) -> tuple[bool, SuperPacket]:
    """Return a super-packet, good or not, and whether it is a frame, which is not always so."""
    if rng.random() < 0.05:
        octets = rng.randbytes(rng.randrange(100))
        return rng.random() < 0.5, SuperPacket(octets, *(random_field(rng, name, len(octets)) for name in FIELDS))
    ethernet, packet = rng.choice(super_packets())
    fields = vars(packet)
    if rng.random() < 0.4:
        fields = fields | {
            name: random_field(rng, name, rng.choice((len(packet), packet.csum_start)))
            for name in rng.sample(FIELDS, rng.randint(1, 2))
        }
    octets = damaged(rng, packet) if rng.random() < 0.5 else bytes(packet)
    return ethernet != (rng.random() < 0.02), SuperPacket(octets, **fields)


def random_batch(rng: random.Random) -> tuple[bool, list[Any]]:
    """Return packets of some trains, mixed, and now and then something else among them."""
    ethernet, first = rng.choice(trains())
    chosen = [iter(first)]
    for _ in range(rng.choice((0, 0, 1, 2))):
        frames, other = rng.choice(trains())
        if frames == ethernet:
            chosen.append(iter(other))
    batch: list[Any] = []
    for _ in range(rng.choice((2, 4, 8, 16))):
        packet: Any = next(rng.choice(chosen), None)
        kind = rng.random()
        if kind < 0.1 and packet is not None:
            packet = damaged(rng, packet)
        elif kind < 0.12:
            packet = random_super(rng)[1]
        elif kind < 0.13:
            packet = rng.choice((bytearray(packet or b""), rng.randbytes(rng.randrange(60)), 5, None))
        elif kind < 0.15 and packet is not None:
            batch.append(packet)
        if packet is not None or kind < 0.001:
            batch.append(packet)
    return ethernet != (rng.random() < 0.02), batch


def random_call(rng: random.Random) -> Call:
    """Return the name of a form and arguments for it."""
    kind = rng.random()
    if kind < 0.2:
        return "complete", (random_super(rng)[1],), {}
    some: dict[str, Any] = {}
    if kind < 0.65:
        ethernet, packet = random_super(rng)
        for name in rng.sample(("first", "limit"), rng.choice((0, 0, 1, 2))):
            some[name] = random_field(rng, name, rng.randrange(10))
        return "segment", (packet, ethernet), some
    ethernet, batch = random_batch(rng)
    for name in rng.sample(("tcp", "udp", "max_segments", "max_size"), rng.choice((0, 0, 0, 1, 2))):
        some[name] = rng.random() < 0.7 if name in ("tcp", "udp") else random_field(rng, name, rng.randrange(500))
    return "coalesce", (batch, ethernet), some


def outcome(form: Callable[..., Any], call: Call) -> object:
    """Return what a call comes to, in a way that two of them can be compared."""
    try:
        result = form(*call[1], **call[2])
    except PacketError as error:
        return type(error), str(error), error.reason
    except Exception as error:
        return type(error), str(error)
    if call[0] == "complete":
        return type(result), result, result is call[1][0]
    come_through = set(map(id, call[1][0])) if call[0] == "coalesce" else {id(call[1][0])}
    return [
        (type(one), one, id(one) in come_through and id(one), vars(one) if isinstance(one, SuperPacket) else None)
        for one in result
    ]


def difference(call: Call) -> tuple[object, object] | None:
    """Return what the form in Python and its twin make of a call, if that is not the same."""
    python, c = outcome(speedups.pure[call[0]], call), outcome(getattr(offload, call[0]), call)
    return None if python == c else (python, c)
