"""Super-packets in VXLAN and Geneve for the tests, and random ones."""

from __future__ import annotations

import random
from typing import Any

from aiotun.packet import (
    GSO_UDP_TUNNEL_IPV4,
    GSO_UDP_TUNNEL_IPV6,
    UDP,
    SuperPacket,
    pseudo_sum,
)

from . import packets as p

VXLAN = bytes.fromhex("0800000000000700")
INNER_LINK = p.link_header(4, 14)


def in_tunnel(
    inner: SuperPacket,
    version: int = 4,
    *,
    csum: bool = True,
    link: bytes = b"",
    header: bytes = VXLAN + INNER_LINK,
    **ip: Any,
) -> SuperPacket:
    """Put outer headers in front of *inner*, a super-packet without Ethernet header, as the kernel hands one out."""
    udp = bytearray(UDP(40000, 4789, header + inner).build(*p.ENDS[version]))
    udp[6:8] = b"\0\0"
    outer = p.wrap(version, 17, bytes(udp), **ip)
    transport = len(outer) - len(udp)
    octets = bytearray(link + outer)
    at = len(link) + transport
    if csum:
        src, dst = (outer[12:16], outer[16:20]) if version == 4 else (outer[8:24], outer[24:40])
        octets[at + 6 : at + 8] = pseudo_sum(src, dst, 17, len(udp)).to_bytes(2, "big")
    inside = at + 8 + len(header)
    moved = inner.moved(bytes(octets), inside)
    fields = vars(moved) | {"outer_th_offset": at, "inner_nh_offset": inside, "tunnel_csum": csum}
    fields["gso_type"] |= GSO_UDP_TUNNEL_IPV4 if version == 4 else GSO_UDP_TUNNEL_IPV6
    return SuperPacket(octets, **fields)


def random_tunnel(rng: random.Random, *, link: int = 0) -> SuperPacket:
    """Return a super-packet in a tunnel."""
    inside, outside = rng.choice((4, 6)), rng.choice((4, 6))
    size = int(rng.choice((1, 300, 3000, 20000, 60000)) * rng.random()) + 1
    make = rng.choice((p.big, p.big_udp))
    gso_size = rng.randint(size // 100 + 1, max(size // 100 + 1, min(size + 5, 9000)))
    fields: dict[str, Any] = {"ip": {"identification": rng.getrandbits(16)} if inside == 4 else {}}
    if make is p.big:
        fields |= {"flags": rng.getrandbits(9), "seq": rng.getrandbits(32), "options": b"\x01" * 4 * rng.randrange(11)}
    inner = make(inside, size, gso_size, **fields)
    ip: dict[str, Any] = {"identification": rng.choice((rng.getrandbits(16), 0xFFFF))} if outside == 4 else {}
    if outside == 4:
        ip |= {"dont_fragment": rng.random() < 0.5, "options": b"\x01" * 4 * rng.choice((0, 0, 1, 10))}
    header = VXLAN + rng.randbytes(4 * rng.choice((0, 0, 3))) + p.link_header(inside, rng.choice((14, 18)))
    return in_tunnel(
        inner,
        outside,
        csum=rng.random() < 0.6,
        link=p.link_header(outside, link) if link else b"",
        header=header,
        **ip,
    )
